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

  misses: `The figures of Node 20 are of a machine without other work. Those of the others are of an earlier version of kaio, and were measured while two
processes of the soak test had the other half of the machine.

### What was missed, and why

- **Rate on the RAM device.** On this processor a read costs C 1.33 µs with the eventfd and 1.15 without it (c-getevents), as kaio does; what kaio
  does in JavaScript is 0.35 by promise and 0.3 by callback, of which half and more is the load's and V8's own (promises, the collector). On an
  earlier AMD processor of the same tests JavaScript was quicker beside the kernel, and the same figures were 0.90 to 0.98.
- **User-space cost by callback.** Of 0.25 µs the load itself takes 0.06 (the yardstick), and the AsyncResource that keeps AsyncLocalStorage for the
  callback 0.05: both are the bound already. Without the AsyncResource the same run cost 0.05 less. Node.js has no way to ask whether
  anybody uses an AsyncLocalStorage that is cheaper than making one: what it keeps lies on the current resource, under a symbol of its own,
  and can change within a turn. The rest is the request's record, its claim of its memory, packing and decoding.
- **Rate on the disk against fs.promises.** 1.88 times in this run (median of pairs 2.07), and 0.93 of fio's rate. This disk has phases: half an
  hour before, C and kaio had 46,000 requests/s at depth 32, *fs.promises* 44,000 and fio 82,000, and two hours before 77,000, 81,000, 39,000 and
  90,000. Why is not known. Of 32 requests in flight nearly all come with one wake-up on this disk; kaio settles them in pieces of 8 and
  submits what each piece asks for before the next. Without that it had 0.91 of fio's rate where it has 0.95.
- **Rate of many requests at once beside naive submits** (*What submitting does to the event loop*). Reads from tmpfs are CPU alone: of 1.3 µs
  for each request kaio adds 0.3 in JavaScript. Threads made them slower (0.5 to 0.6), slices of 64 and 128 instead of 32 and fewer signals
  gained less than the runs differ. One thread that takes 48 requests at a time beside the event loop came to 0.92 to 1.0 on a machine without
  other work and to 0.85 on a busy one, for a third to a half more CPU in both; records that need fewer of the processor's cache lines gained
  nothing. Reads and overwrites on the disk were between 0.8 and 0.95 in the runs of two evenings. Naive submits keep the device's queue full,
  and wait in io_submit for it; kaio never has more than 128 in flight. A depth of 160 or 192 and earlier refills gained nothing; with 256
  reads came to 1.0, and io_submit slept 33 times. Overwrites had 0.5 to 0.7 before, whenever the disk reported every single one: now one in
  eight wakes the loop while many wait.
- **Many files, many requests queued.** A record has some forty fields; a thousand files or ten thousand requests probably no longer fit the
  processor's nearest caches. Ten thousand promises that live at once are also moved by the garbage collector before they end.`,

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
