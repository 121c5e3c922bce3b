import { ratio } from '../statistics.ts';
import { table } from '../table.ts';
import type { HttpGroup, HttpResult, HttpTable } from './http.ts';

const HEAD = [
  'answers',
  'who reads',
  'best requests/s',
  'relative',
  'median (range)',
  'p50 ms',
  'p99 ms',
  'CPU µs a request',
  'relative',
  'dns.lookup p50 ms',
  'p99 ms',
];

/** The HTTP servers as Markdown. */
export function httpSection({ groups, connections, files, plan, prefix }: HttpTable): string {
  return `## An HTTP server that reads its answers from disk

\`npm run bench -- http\`: ${files} files, read with direct I/O in random order for ${connections} connections, each of which asks again when it has its
answer. Rate and latency are those of the client, a process of its own that checks what it gets; the CPU is the server's. *fs* is
\`FileHandle.read\` with four pool threads, Node's default; kaio has the four as well, for all that is not a file. Where other work runs
beside it, the server looks up a name every 10 ms and hashes four passwords (pbkdf2, 10,000 rounds) every 100 ms. ${plan.rounds} slices of
${plan.sliceMs} ms in turns${prefix === '' ? '' : `, all run by \`${prefix}\``}. Client and server share the processors of one machine.

${table(HEAD, groups.flatMap(rowsOf))}`;
}

function rowsOf({ title, results }: HttpGroup): string[][] {
  const first = results[0]!;
  return results.map((result, i) => [i === 0 ? title : '', result.name, ...figures(result, first)]);
}

function figures({ perSecond, cpuUs, latencyUs, lookupMs }: HttpResult, first: HttpResult): string[] {
  const rate = ratio(perSecond, first.perSecond, Math.max);
  return [
    Math.max(...perSecond).toFixed(0),
    rate.best.toFixed(2),
    `${rate.median.toFixed(2)} (${rate.least.toFixed(2)}-${rate.greatest.toFixed(2)})`,
    (latencyUs.p50 / 1000).toFixed(1),
    (latencyUs.p99 / 1000).toFixed(1),
    Math.min(...cpuUs).toFixed(1),
    ratio(cpuUs, first.cpuUs, Math.min).best.toFixed(2),
    lookupMs?.p50.toFixed(2) ?? '',
    lookupMs?.p99.toFixed(1) ?? '',
  ];
}
