import type { PeerResult } from './interleave.ts';
import { median, ratio } from './statistics.ts';

/** One group as lines of text, each peer held against the first. */
export function groupText(target: string, title: string, results: readonly PeerResult[]): string {
  const [first] = results;
  const lines = results.map(({ name, perSecond, cpuUs, userUs, systemUs, latencyUs }) => {
    const rate = ratio(perSecond, first!.perSecond, Math.max);
    const cpu = ratio(cpuUs, first!.cpuUs, Math.min);
    return [
      name.padEnd(20),
      Math.max(...perSecond)
        .toFixed(0)
        .padStart(9),
      `${rate.best.toFixed(2)} (${rate.median.toFixed(2)}; ${rate.least.toFixed(2)}-${rate.greatest.toFixed(2)})`.padEnd(
        24,
      ),
      `${Math.min(...cpuUs).toFixed(2)} x${cpu.best.toFixed(2)}`.padEnd(14),
      `${median(userUs).toFixed(2)}+${median(systemUs).toFixed(2)}`.padEnd(12),
      [latencyUs.p50, latencyUs.p99, latencyUs.p999].map((us) => us.toFixed(us < 10 ? 1 : 0)).join(' '),
    ].join('  ');
  });
  const head = `${'peer'.padEnd(20)}  ${'best/s'.padStart(9)}  ${'ratio (median; range)'.padEnd(24)}  CPU µs          user+system   p50 p99 p99.9 µs`;
  return [`\n${target}: ${title}`, head, ...lines].join('\n');
}
