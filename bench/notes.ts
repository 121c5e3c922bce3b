/** The parts of docs/benchmarks.md that a script cannot know. */
export const NOTES = {
  beginning: `# Benchmarks

This page is written by \`npm run bench -- report\` from the results of \`npm run bench\` and of \`npm run bench --\` with \`matrix\`, \`streams\`, \`stall\`, \`http\` and
\`startup\`. Everything here can be measured again with those commands.

How it is measured: every peer runs in a process of its own, all of them alive at once, and has the machine to itself for a slice at a
time, A B A B. A ratio compares the best slices, or is the median of neighbouring slices. The blocks are the same for everybody, from
a seeded generator; every read is checked, for its length and for its first and last word. CPU is that of the whole process, all
threads. One latency in 32 is measured.

The C reference (\`bench/reference/reference.c\`) submits batches of up to 32, is woken by an eventfd in an epoll set, reads the completion
ring in memory and looks at it once more after every submit: the policy of kaio. *c-getevents* is the same with plain io_getevents.
The RAM device is a zram disk whose pages all repeat one word, so that reading one costs next to nothing. The fake kernel completes
everything at once; *yardstick* is the load over an array instead of kaio, and is part of every figure measured with the fake kernel.`,

  misses: `### What was missed, and why

- **One request at a time (depth 1) on the RAM device.** The C loop needs 2 µs for a read, nearly all of it in the kernel. On top of that
  kaio has its own 0.6 (callback) to 0.8 µs (promise) of the fake kernel's figure: a tick, a promise, two calls into native code, a look at the
  clock, and a pump that is made for many requests. Another 0.3 to 0.6 µs was not broken down: a turn of the event loop after every eighth
  round, and a kernel part that measures 0.2 to 0.4 µs longer than under C. On the disk, where such a read takes 50 µs, the rate hardly differs.
- **RAM device at depth 32 and 128.** kaio costs 0.28 µs (callback) to 0.36 µs (promise) more than C. The fake kernel, which includes what the load
  itself costs (the yardstick), accounts for two thirds of it.
- **Rate on the disk, and fio.** fio submits one request at a time and so keeps this disk's queue fuller than batches of 32 do, at 5 µs of CPU
  for a request instead of less than 4. C with batches of 4 to 8 is between the two.
- **Disk against fs.promises.** It is the rate of the disk that limits here: C itself reaches less than twice the rate of four pool threads.
- **CPU of large reads.** kaio sends a MiB as four requests of 256 KiB; C with huge pages and one request shows what that costs.
- **Many requests queued.** Ten thousand promises that live at once are moved by the garbage collector before they end.`,

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
