// Tries system calls, in a process of its own: a policy may end whoever makes one (SIGSYS). Each line that it prints is the name of a
// call, and what the call answered where there was an answer.
import { writeSync } from 'node:fs';
import { binding } from '../../raw/binding.ts';

const native = binding();
let context = 0n;

const families: Readonly<Record<string, Readonly<Record<string, () => number>>>> = {
  aio: {
    io_setup() {
      const answer = native.io_setup(1);
      if (typeof answer === 'number') return answer;
      context = answer;
      return 0;
    },
    io_submit: () => native.io_submit(context, 0, 0n),
    io_getevents: () => native.io_getevents(context, 0, 0, 0n, 0n),
    io_cancel: () => native.io_cancel(context, 0n, 0n),
    io_destroy: () => native.io_destroy(context),
  },
  io_uring: { io_uring_setup: () => native.io_uring_setup() },
};

for (const [name, call] of Object.entries(families[process.argv[2]!]!)) {
  writeSync(1, name);
  writeSync(1, ` ${call()}\n`);
}
