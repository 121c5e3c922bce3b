// What must stay flat, measured and judged.
import { readdirSync, readFileSync } from 'node:fs';
import { WAYS } from './latency.js';

const MIB = 1024 * 1024;

/** How many contexts a process has: each is a mapping of the kernel's own. undefined where the process is gone. */
function contextsOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/maps`, 'utf8').match(/\/\[aio\]/g)?.length ?? 0;
  } catch {
    return undefined;
  }
}

/** Other processes have contexts as well, and with them a part of fs.aio-nr. */
export function othersHaveContexts() {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.some((pid) => (contextsOf(pid) ?? 0) > 0);
}

export function aioNr() {
  return Number(readFileSync('/proc/sys/fs/aio-nr', 'utf8'));
}

/** Where each thread is: its name, and the system call in which it sleeps (proc_pid_syscall(5)). To be read where something hangs. */
export function threads() {
  return readdirSync('/proc/self/task').map((tid) => {
    try {
      const [name, call, wait] = ['comm', 'syscall', 'wchan'].map((file) =>
        readFileSync(`/proc/self/task/${tid}/${file}`, 'utf8').trim(),
      );
      return `${name} ${wait} ${call}`;
    } catch (error) {
      return `${tid} ${error.code}`;
    }
  });
}

/** What a process has of everything that can leak. Megabytes, and numbers of things. */
export function measure() {
  const status = readFileSync('/proc/self/status', 'utf8');
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const megabytes = (bytes) => Math.round((bytes / MIB) * 100) / 100;
  return {
    rss: megabytes(rss),
    heap: megabytes(heapUsed),
    external: megabytes(external),
    arrayBuffers: megabytes(arrayBuffers),
    address: Math.round(Number(/VmSize:\s+(\d+)/.exec(status)?.[1]) / 1024),
    descriptors: readdirSync('/proc/self/fd').length - 1,
    contexts: contextsOf('self'),
    threads: Number(/Threads:\s+(\d+)/.exec(status)?.[1]),
    aioNr: aioNr(),
  };
}

/**
 * How far each kind of memory may have risen from the end of the warm-up to the end, in MiB, along the median slope of all pairs of quiet
 * samples (Theil and Sen): single peaks do not move it. Each context and each memory of WebAssembly is 10 GiB of addresses, so that a
 * single one that is kept shows there. In the first minutes the resident set grows all the same, until each arena of malloc has met its
 * largest load: a short run is not judged as strictly.
 */
export function mayRise(spanSeconds) {
  return { rss: spanSeconds < 600 ? 96 : 24, heap: 4, external: 2, arrayBuffers: 2, address: 5000 };
}

function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * share)];
}

/** The median slope of `name` over time, per second. */
function slope(samples, name) {
  const pairs = samples.flatMap((early, i) =>
    samples.slice(i + 1).map((late) => (late[name] - early[name]) / (late.seconds - early.seconds)),
  );
  return quantile(pairs, 0.5);
}

/**
 * The p99.9 of the first and of the last third of some rounds, of each the lower quartile: other users of the machine make single rounds
 * slow, what leaks, into a list that is searched or memory that is scanned, makes all the later ones slow.
 */
function ends(rounds) {
  const third = Math.ceil(rounds.length / 3);
  const lower = (some) =>
    quantile(
      some.map(({ p999Ms }) => p999Ms),
      0.25,
    );
  return { firstMs: lower(rounds.slice(0, third)), lastMs: lower(rounds.slice(-third)) };
}

/**
 * Twice as slow and 20 ms more are wrong, in runs that are long enough to tell; twice as slow beside what the same machine was to a process
 * without kaio (yardstick.js), for it may have got busier.
 */
function judgeLatency(samples, span) {
  const faults = [];
  const machine = ends(samples.map((sample) => sample.machine));
  const slower = Math.max(1, machine.lastMs / machine.firstMs);
  const latency = { machine };
  for (const way of WAYS) {
    const rounds = samples.map((sample) => sample.latency[way]).filter(({ requests }) => requests > 0);
    if (rounds.length === 0) continue;
    const { firstMs, lastMs } = ends(rounds);
    latency[way] = { firstMs, lastMs, requests: rounds.reduce((sum, { requests }) => sum + requests, 0) };
    const rose = lastMs > 2 * slower * firstMs && lastMs > firstMs + 20;
    if (span < 600 || !rose) continue;
    const beside = `the machine's own from ${machine.firstMs} to ${machine.lastMs}`;
    faults.push(`p99.9 of requests reaped by ${way} went from ${firstMs} to ${lastMs} ms, and ${beside}`);
  }
  return { faults, latency };
}

/** Judges quiet samples: what is not flat. The first quarter of them is the warm-up. */
export function judge(samples) {
  const after = samples.slice(Math.ceil(samples.length / 4));
  const span = after.length === 0 ? 0 : after.at(-1).seconds - after[0].seconds;
  const rises = {};
  const faults = after.length < 3 ? ['too few samples to judge'] : [];
  for (const [name, most] of Object.entries(mayRise(span))) {
    const risen = after.length < 2 ? 0 : slope(after, name) * span;
    rises[name] = { risenMiB: Math.round(risen * 100) / 100, perHourMiB: Math.round((risen / span) * 360_000) / 100 };
    if (risen > most) faults.push(`${name} rose by ${risen.toFixed(1)} MiB in ${span.toFixed(0)} s`);
  }
  for (const name of ['descriptors', 'threads', 'contexts']) {
    const values = new Set(samples.map((sample) => sample[name]));
    if (values.size > 1) faults.push(`${name}: ${[...values].join(', ')}`);
  }
  if (samples.some(({ contexts }) => contexts !== 0)) faults.push('contexts are left');
  const { faults: slower, latency } = judgeLatency(after, span);
  faults.push(...slower);
  return {
    faults,
    rises,
    latency,
    mayRise: mayRise(span),
    warmUpSamples: samples.length - after.length,
    judgedSamples: after.length,
  };
}
