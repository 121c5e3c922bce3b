/** The parts of docs/benchmarks.md that a script cannot know. */
export const NOTES = {
  beginning: `# Benchmarks

This page is written by \`npm run bench -- report\` from the results of \`npm run bench\`, \`npm run bench -- matrix\` and \`npm run bench -- stall\`.
Everything here can be measured again with those commands.

How it is measured: every peer runs in a process of its own, all of them alive at once, and has the machine to itself for a slice at a
time, A B A B. A ratio compares the best slices, or is the median of neighbouring slices. The blocks are the same for everybody, from
a seeded generator; every read is checked, for its length and for its first and last word. CPU is that of the whole process, all
threads. One latency in 32 is measured.

The C reference (\`bench/reference/reference.c\`) submits batches of up to 32, is woken by an eventfd in an epoll set, reads the completion
ring in memory and looks at it once more after every submit: the policy of kaio. *c-getevents* is the same with plain io_getevents.
The RAM device is a zram disk whose pages all repeat one word, so that reading one costs next to nothing. The fake kernel completes
everything at once; *yardstick* is the load over an array instead of kaio, and is part of every figure measured with the fake kernel.`,

  misses: `### What was missed, and why

- **One request at a time (depth 1) on the RAM device.** The C loop needs 2 µs for a read, nearly all of it in the kernel. A JavaScript
  turn cannot be made for nothing: a tick and a promise (0.16 µs), two calls into native code (0.06 µs), a look at the clock (0.04 µs), and the
  kernel's own part is 0.2 to 0.3 µs slower because JavaScript, V8 and libuv push it out of the instruction caches. On a disk, where a
  read takes 50 µs and more, none of this can be seen in the rate.
- **RAM device at depth.** The whole difference to C is kaio's own user-space cost, which the fake kernel shows alone.
- **fio on the disk.** fio submits one request at a time and so keeps this disk's queue fuller than batches do; it pays 5 µs of CPU for a
  request instead of 4. See \`c-eventfd\` for what batches of 32 cost, whatever language makes them.`,

  end: `## Where the rest of the time goes

A CPU profile of the promise path (\`npm run bench -- compare fake-promise --target fake --profile DIR\`) at depth 32 shows, in this order: checking
the arguments of \`read\` and taking a record; the promise, its resolution and the microtask of the awaiting function; packing the iocb in
WebAssembly; decoding events and settling; the garbage collection of promises and results.`,
} as const;
