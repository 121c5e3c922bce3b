import { type Channel, channel } from 'node:diagnostics_channel';

/** Published after an io_submit slice on the event loop. */
export interface SubmitMessage {
  /** Requests in the slice. */
  count: number;
  durationMs: number;
  inFlight: number;
  inFlightBytes: number;
}

/** Published when requests are given to a submitting thread. */
export interface JobMessage {
  count: number;
  fd: number;
  path: string | undefined;
}

/** Published when completions are taken: after a wake-up, after a look for those that do not wake, or right after a submit. */
export interface CompleteMessage {
  count: number;
  inFlight: number;
}

/** What tracing tools may listen to (`diagnostics_channel`). While nobody does, each costs one look at a flag. */
export const channels: Readonly<Record<'submit' | 'job' | 'complete', Channel>> = {
  submit: channel('kaio:submit'),
  job: channel('kaio:job'),
  complete: channel('kaio:complete'),
};
