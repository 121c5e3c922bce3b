import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { FIGURES, type GroupSpec, MATRIX, measure } from './figures.ts';
import type { Plan } from './interleave.ts';
import { describeMachine } from './machine.ts';
import { PEER_NAMES, REFERENCE_SOURCE, type Surroundings } from './peers.ts';
import { groupText } from './print.ts';
import { makeTargets, removeTargets } from './targets.ts';

const USAGE = `npm run bench [-- SUITE] [options]

  figures (default)   the figures the project is held to
  matrix              depth and block size, for the plots
  compare PEER...     any peers on one workload: --target --bytes --depth --pattern
  streams             streams and copies of 2 GiB beside fs, cp and dd
  stall               what submitting does to the event loop
  http                an HTTP server that reads its answers from disk
  startup             what starting costs, and whether cost and memory grow with the requests
  guard               compare with bench/guard/baseline.json; --update makes it anew, --slow must fail
  report              docs/benchmarks.md and its plots from the results

  --rounds N --slice MS --warm MS   how long; --targets ram,disk,fake  where; --only TEXT  groups whose title has it
  --node FILE         the Node that runs the JavaScript peers
  --name NAME         of the results file; of a part, SUITE-part by default, so that it does not replace the whole
  --prefix COMMAND    runs every peer, such as 'chrt -r 1' on a machine with other work
  --profile DIR       CPU profiles of the JavaScript peers

Peers: ${PEER_NAMES.join(', ')}; PEER@2 for two workers
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    targets: { type: 'string', default: 'ram,disk,fake' },
    target: { type: 'string', default: 'disk' },
    bytes: { type: 'string', default: '4096' },
    depth: { type: 'string', default: '32' },
    pattern: { type: 'string', default: 'random' },
    rounds: { type: 'string', default: '7' },
    slice: { type: 'string', default: '250' },
    warm: { type: 'string', default: '500' },
    only: { type: 'string', default: '' },
    node: { type: 'string', default: process.execPath },
    name: { type: 'string' },
    prefix: { type: 'string', default: '' },
    profile: { type: 'string' },
    update: { type: 'boolean', default: false },
    slow: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const folder = fileURLToPath(new URL('../results', import.meta.url));
const [suite = 'figures', ...names] = positionals;

/** Of the results: what was asked for, or the usual one where the whole suite runs. */
function nameOf(usual: string): string {
  return values.name ?? (values.only === '' ? usual : `${usual}-part`);
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
}

function prefixWords(): string[] {
  return values.prefix.split(' ').filter((word) => word !== '');
}

function surroundings(): Surroundings {
  const reference = `${folder}/reference`;
  const flags = ['-O2', '-Wall', '-Wextra', '-Werror'];
  execFileSync('cc', [...flags, '-o', reference, REFERENCE_SOURCE, '-lpthread'], { stdio: 'inherit' });
  const { node, profile } = values;
  return { reference, node, prefix: prefixWords(), ...(profile === undefined ? {} : { profile }) };
}

function specsOf(): readonly GroupSpec[] {
  if (suite === 'compare') {
    const target = values.target as GroupSpec['target'];
    const pattern = values.pattern as GroupSpec['pattern'];
    const bytes = Number(values.bytes);
    const depth = Number(values.depth);
    return [{ title: `${bytes} bytes ${pattern}, depth ${depth}`, target, bytes, depth, pattern, peers: names }];
  }
  const targets = new Set(values.targets.split(','));
  const all = suite === 'matrix' ? MATRIX : FIGURES;
  return all.filter(({ target, title }) => targets.has(target) && title.includes(values.only));
}

function planOf(): Plan {
  return { rounds: Number(values.rounds), sliceMs: Number(values.slice), warmUpMs: Number(values.warm) };
}

async function measureSuite(): Promise<void> {
  const specs = specsOf();
  const around = surroundings();
  const plan = planOf();
  const targets = makeTargets(new Set(specs.map(({ target }) => target)), folder);
  // A Ctrl-C must not leave a device behind; the children end with their standard input.
  process.once('SIGINT', () => {
    removeTargets(targets);
    process.exit(130);
  });
  try {
    const groups = await measure(specs, targets, plan, around, progress);
    progress('');
    for (const group of groups) console.log(groupText(group.target, group.title, group.results));
    const machine = describeMachine(folder, values.node);
    const name = nameOf(`${suite}-node${machine.node.split('.')[0]}`);
    writeFileSync(
      `${folder}/${name}.json`,
      `${JSON.stringify({ machine, plan, prefix: values.prefix, groups }, undefined, 1)}\n`,
    );
  } finally {
    removeTargets(targets);
  }
}

async function runGuard(): Promise<void> {
  const { guard } = await import('./guard/guard.ts');
  const slower = await guard(folder, surroundings(), { slow: values.slow, update: values.update });
  for (const text of slower) console.log(text);
  if (slower.length > 0) process.exitCode = 1;
}

async function runStreams(): Promise<void> {
  const { streams } = await import('./streams/streams.ts');
  const { rounds, only } = values;
  streams(folder, { rounds: Number(rounds), only, prefix: prefixWords(), name: nameOf('streams') });
}

async function runStall(): Promise<void> {
  const { stall } = await import('./stall/stall.ts');
  const { rounds, only } = values;
  await stall(folder, { trials: Number(rounds), only, prefix: prefixWords(), name: nameOf('stall') });
}

async function runHttp(): Promise<void> {
  const { http } = await import('./http/http.ts');
  const { only } = values;
  await http(folder, { ...planOf(), prefix: prefixWords(), only, name: nameOf('http') }, progress);
}

async function runStartup(): Promise<void> {
  const { startup } = await import('./startup/startup.ts');
  const { rounds, node } = values;
  startup(folder, { trials: Number(rounds), node, prefix: prefixWords(), name: nameOf('startup') });
}

mkdirSync(folder, { recursive: true });
if (values.help) console.log(USAGE);
else if (suite === 'stall') await runStall();
else if (suite === 'streams') await runStreams();
else if (suite === 'http') await runHttp();
else if (suite === 'startup') await runStartup();
else if (suite === 'guard') await runGuard();
else if (suite === 'report') await (await import('./report.ts')).report(folder);
else if (['figures', 'matrix', 'compare'].includes(suite)) await measureSuite();
else {
  console.error(USAGE);
  process.exitCode = 2;
}
