import { debug } from '../debug.ts';
import { IOCB_CMD_PREAD } from '../layout/constants.ts';
import { channels, type JobMessage } from './channels.ts';
import type { Core } from './core.ts';
import { pack, take } from './packing.ts';
import { JOB_REQUESTS, MAX_JOBS, MAX_THREADS } from './policy.ts';
import type { Job, Request } from './request.ts';
import type { Room } from './room.ts';
import { Round } from './round.ts';
import type { Completion } from './submitter.ts';
import type { Target } from './target.ts';

/** What would make io_submit wait: it is given to threads in jobs, each file in its turn. */
export class Jobs {
  readonly #core: Core;
  readonly #room: Room;
  /** Files with requests for the threads. */
  readonly #files: Round = new Round('slow');
  /** Jobs that threads have or that wait for one, and those of storage that may hang. */
  #active = 0;
  #remote = 0;
  /** Slots of requests that jobs have. */
  #slots = 0;

  constructor(core: Core, room: Room) {
    this.#core = core;
    this.#room = room;
  }

  /** Whether nothing waits for a thread. */
  get empty(): boolean {
    return this.#files.empty;
  }

  add(request: Request): void {
    request.target.slow.push(request);
    this.#files.add(request.target);
  }

  /** The same for one that was tried before; where the file appends, it goes before those that came later. */
  addAgain(request: Request): void {
    if (!request.target.append) {
      this.add(request);
      return;
    }
    request.target.slow.unshift(request);
    this.#files.add(request.target);
  }

  /** A request of a job has its event. */
  step(request: Request): void {
    const job = request.job!;
    request.job = undefined;
    this.#slots--;
    if (--job.open > 0) return;
    job.target.jobs--;
    this.#active--;
    if (job.target.storage === 'remote') this.#remote--;
  }

  /** Gives the threads what they may have now. */
  dispatch(completion: Completion): void {
    let turns = this.#files.size;
    while (turns-- > 0 && this.#active < MAX_JOBS) {
      const target = this.#files.next()!;
      while (this.#mayStart(target) && this.#start(target, completion));
      if (target.slow.head !== undefined) this.#files.add(target);
    }
  }

  /** Jobs leave half of the slots to the event loop; and storage that may hang never has the last thread, so that others go on. */
  #mayStart(target: Target): boolean {
    if (target.jobs >= target.maxJobs || this.#active >= MAX_JOBS) return false;
    if (this.#slots > 0 && this.#slots >= this.#core.depth >> 1) return false;
    return target.storage !== 'remote' || this.#remote < MAX_THREADS - 1;
  }

  /** Gives a thread the next requests of a file, or fails them where there is none. Returns whether there were any. */
  #start(target: Target, completion: Completion): boolean {
    const core = this.#core;
    const job: Job = { target, open: 0 };
    const slots = this.#fill(job, completion);
    if (job.open === 0) return false;
    target.jobs++;
    this.#active++;
    this.#slots += job.open;
    if (target.storage === 'remote') this.#remote++;
    core.counters.jobs++;
    core.counters.submittedOffThread += job.open;
    if (channels.job.hasSubscribers) {
      const message: JobMessage = { count: job.open, fd: target.fd, path: target.path };
      channels.job.publish(message);
    }
    debug('%s: %d requests go to a thread', target.path ?? target.fd, job.open);
    const error = core.kernel.offload(0, job.open);
    // No thread can be made at all: each request says so, and the next ones too, since nothing in flight would bring their turn.
    if (error !== 0) for (const slot of slots) completion.finishSlot(slot, error, 0);
    return true;
  }

  /** Packs the next requests of the file. A job never has more than an eighth of the slots: a blocked one keeps them. */
  #fill(job: Job, completion: Completion): number[] {
    const core = this.#core;
    const { target } = job;
    const most = Math.min(JOB_REQUESTS, Math.max(1, core.depth >> 3));
    const slots: number[] = [];
    while (job.open < most) {
      const request = target.slow.head;
      if (request === undefined) break;
      if (request.over) {
        target.slow.shift();
        completion.drop(request);
        continue;
      }
      if (this.#room.isMissing(request)) break;
      target.slow.shift();
      if (request.broken) {
        completion.fail(request);
        continue;
      }
      take(core, request, false);
      if (request.op === IOCB_CMD_PREAD && request.pool !== -1) core.pool.touch(request.pool, request.length);
      pack(core, request, job.open++, false);
      request.job = job;
      slots.push(request.slot);
    }
    return slots;
  }
}
