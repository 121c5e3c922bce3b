import { readFileSync } from 'node:fs';

/**
 * Measures the longest pause of the event loop: a timer of 1 ms notes how long the loop really took to come back to it. The result
 * is an upper bound, at most about 2 ms above the true pause, and the probe itself takes next to no time. (`monitorEventLoopDelay`
 * does the same with less resolution, and would miss a pause that begins before its first tick.)
 */
export class LoopProbe {
  #longestMs = 0;
  #lastMs = performance.now();
  readonly #timer = setInterval(() => this.#tick(), 1);

  #tick(): void {
    const nowMs = performance.now();
    this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  }

  /** The longest pause since the probe was made, in milliseconds. */
  stop(): number {
    this.#tick();
    clearInterval(this.#timer);
    return this.#longestMs;
  }
}

/**
 * How often this thread has gone to sleep by itself: it waited for a device, a lock or a page (proc(5), `voluntary_ctxt_switches`).
 * `process.resourceUsage` would count the threads of the pool as well, whose business it is to sleep.
 */
export function voluntarySwitches(): number {
  // The main thread of a process has the process's number.
  const status = readFileSync(`/proc/self/task/${process.pid}/status`, 'utf8');
  return Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)?.[1]);
}
