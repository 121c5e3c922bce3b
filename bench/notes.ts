/** The parts of docs/benchmarks.md that a script cannot know. */
export const NOTES = {
  beginning: `# Benchmarks

This page is written by \`npm run bench -- report\` from the results of \`npm run bench\` and of \`npm run bench --\` with \`matrix\`, \`streams\`, \`stall\`, \`http\` and
\`startup\`. Everything here can be measured again with those commands.

How it is measured: every peer runs in a process of its own, all of them alive at once, and has the machine to itself for a slice at a
time, A B A B. A ratio compares the best slices, or is the median of neighbouring slices. The blocks are the same for everybody, from
a seeded generator; every read is checked, for its length and for its first and last word. CPU is that of the whole process, all
threads. One latency in 32 is measured.

The C reference (\`bench/reference/reference.c\`) submits batches of up to 32, is woken by an eventfd in an epoll set and reads the completion
ring in memory. *c-eventfd-inline* also looks at the ring after every submit, as kaio does, which only helps where requests complete in the submit.
*c-getevents* is the first with plain io_getevents: its requests signal no eventfd, which saves the kernel a tenth of a microsecond each. kaio does
without that signal too, for as long as everything completes in the submit.
The RAM device is a zram disk whose pages all repeat one word, so that reading one costs next to nothing. The fake kernel completes
everything at once; *yardstick* is the load over an array instead of kaio, and is part of every figure measured with the fake kernel.`,

  misses: `### What was missed, and why

- **One request at a time (depth 1) by promise on the RAM device.** The kernel's part of a read is 1.8 µs; a promise, its microtask, a tick and two
  calls into WebAssembly and native code are the other 0.6 to 0.9. The callback, without the promise, is ahead of C, which waits for its eventfd.
- **User-space cost by callback.** Of 0.19 µs the load itself takes 0.05 (the yardstick) and the AsyncResource that keeps AsyncLocalStorage for
  the callback about 0.03; Node.js has no cheap way to ask whether anybody uses one. The rest is the request's record, its claim of its memory,
  packing and decoding.
- **Rate on the disk against fs.promises and fio.** The disk was shared with other work in this run. Alone it gave kaio 1.5 times the rate of
  four pool threads, where C itself had less than twice, and 0.92 to 0.94 of fio's.
- **Many files, many requests queued.** A record is some 400 bytes; a thousand files or ten thousand requests no longer fit the processor's caches.
  Ten thousand promises that live at once are also moved by the garbage collector before they end.`,

  http: `With direct I/O kaio does in the event loop's thread what *fs* gives to four others: the rate is bounded by that one thread and by the two
processors that server, client and pool share, not by the disk. What kaio saves is CPU, a third of it. A look-up waits for a free thread of the
pool: under *fs* it waits behind files as well, under kaio only behind hashes.`,

  startup: `\`import 'kaio'\` loads one file: as the fifty of which that is made it took Node's loader 25 ms instead of 8. Of the first context's time a
third is finding and loading the native module, and most of the rest the first run of everything; a second context takes 1.5 ms.`,

  end: `## Where the rest of the time goes

A CPU profile of kaio over the fake kernel (\`npm run bench -- compare fake-promise fake-callback --target fake --profile DIR\`) at depth 32 is flat. Of the
promise path about 40 % is the caller's loop, V8's promises and the garbage collector; about 15 % is taking a request in (checks, record, claim of
its memory), 10 % choosing its way and packing it, 20 % settling it, 4 % the fake kernel and 3 % WebAssembly. The callback path has no
promises; there taking the request in is a third, part of it the AsyncResource that keeps the caller's async context.`,
} as const;
