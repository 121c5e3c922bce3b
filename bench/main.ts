import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compare } from './compare.ts';
import { REFERENCE_SOURCE } from './peers.ts';
import { diskFile, ramDevice, type Target } from './target.ts';
import { median } from './statistics.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: 'string', default: 'disk' },
    bytes: { type: 'string', default: '4096' },
    depth: { type: 'string', default: '32' },
    pattern: { type: 'string', default: 'random' },
    rounds: { type: 'string', default: '7' },
    slice: { type: 'string', default: '250' },
    warm: { type: 'string', default: '500' },
    prefix: { type: 'string', default: '' },
    profile: { type: 'string' },
    node: { type: 'string', default: process.execPath },
  },
});
const folder = fileURLToPath(new URL('../results', import.meta.url));
mkdirSync(folder, { recursive: true });
const reference = `${folder}/reference`;
execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', reference, REFERENCE_SOURCE, '-lpthread'], { stdio: 'inherit' });
const made: Target | string =
  values.target === 'disk'
    ? diskFile(folder, 2 ** 30)
    : values.target === 'ram'
      ? ramDevice(2 ** 29)
      : { name: 'ram', path: '/dev/null', bytes: 2 ** 36, remove: () => {} };
if (typeof made === 'string') throw new Error(made);
const target = made;
try {
  const [, ...names] = positionals;
  const load = {
    path: target.path,
    targetBytes: target.bytes,
    bytes: Number(values.bytes),
    depth: Number(values.depth),
    pattern: values.pattern as 'random' | 'sequential',
    seed: 1,
    workers: 1,
  };
  const plan = { rounds: Number(values.rounds), sliceMs: Number(values.slice), warmUpMs: Number(values.warm) };
  const around = { prefix: values.prefix.split(' ').filter(Boolean), reference, node: values.node, ...(values.profile === undefined ? {} : { profile: values.profile }) };
  const results = await compare(names, load, plan, around, () => {});
  for (const { name, perSecond, cpuUs, userUs, systemUs, latencyUs, counters } of results) {
    const first = results[0]!;
    console.log(
      name.padEnd(20),
      Math.max(...perSecond).toFixed(0).padStart(8),
      (Math.max(...perSecond) / Math.max(...first.perSecond)).toFixed(2),
      median(perSecond.map((value, i) => value / first.perSecond[i]!)).toFixed(2),
      'cpu',
      Math.min(...cpuUs).toFixed(2),
      '=',
      median(userUs).toFixed(2),
      '+',
      median(systemUs).toFixed(2),
      'lat',
      latencyUs.p50.toFixed(1),
      latencyUs.p99.toFixed(1),
      JSON.stringify(counters),
    );
  }
} finally {
  if (target.name === 'ram' && target.path !== '/dev/null') target.remove();
}
