import { IOCB_CMD_POLL, IOCB_CMD_PREADV, IOCB_CMD_PWRITEV, IOCB_FLAG_RESFD, RWF_NOWAIT } from '../layout/constants.ts';
import { type Core, IOVECS_PER_SLOT } from './core.ts';
import { isWrite } from './policy.ts';
import type { Request } from './request.ts';

/** Gives a request a slot: from here on it is the kernel's, until its event or a refusal. `trying` says that it must not wait there. */
export function take(core: Core, request: Request, trying: boolean): void {
  core.slots.take(request);
  core.inFlightBytes += request.length;
  // On xfs, direct appends in flight together all go to where the file ended when they were submitted (xfs_file_write_checks).
  if (request.target.append && isWrite(request.op)) request.target.appending = true;
  request.trying = trying;
  // The first attempt counts: what a refusal costs is part of the latency.
  if (core.nowMs !== 0 && request.submittedMs === 0) request.submittedMs = core.nowMs;
}

/** Writes the iocb of a request that has a slot, at this index of the pointer array. One that is unheard will not wake the loop. */
export function pack(core: Core, request: Request, index: number, unheard: boolean): void {
  const { slot, op, target, trying, rwFlags } = request;
  let buffer = request.pool;
  let nbytes = request.length;
  if (request.window !== -1) {
    buffer = request.window;
  } else if (op === IOCB_CMD_PREADV || op === IOCB_CMD_PWRITEV) {
    buffer = slot * IOVECS_PER_SLOT;
    nbytes = packVector(core, request, buffer);
  } else if (op === IOCB_CMD_POLL) {
    nbytes = 0;
    core.polls++;
  }
  if (buffer === -1) buffer = 0;
  let { flags } = request;
  if (unheard) {
    request.unheard = true;
    core.unheard++;
  } else {
    flags |= IOCB_FLAG_RESFD;
  }
  const bits = trying ? rwFlags | RWF_NOWAIT : rwFlags;
  core.packer.pack(index, slot, op, target.fd, buffer, nbytes, request.position, bits, request.reqprio, flags);
}

function packVector(core: Core, request: Request, first: number): number {
  const vector = request.vector!;
  for (let i = 0; i < vector.length; i++) {
    core.packer.vector(first + i, vector[i]!.byteOffset, vector[i]!.byteLength);
  }
  return vector.length;
}
