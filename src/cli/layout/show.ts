import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  type Abi,
  type AbiName,
  abiOf,
  abis,
  constantOn,
  constants,
  declarations,
  diffLayouts,
  drawSvg,
  drawTable,
  drawText,
  type Field,
  layoutOf,
  type StructName,
  structs,
  vectorsJson,
} from '../../layout/index.ts';
import { paint, type Terminal, UsageError } from '../command.ts';
import { abiNamed, columns, json, structNamed } from './names.ts';

const options = {
  abi: { type: 'string' },
  json: { type: 'boolean' },
  svg: { type: 'string' },
  ascii: { type: 'boolean' },
  diff: { type: 'string' },
  constants: { type: 'boolean' },
  vectors: { type: 'boolean' },
  list: { type: 'boolean' },
} as const;

/** `--diff A B` in one word, since an option of parseArgs takes one value. */
function joinDiff(args: string[]): string[] {
  const at = args.indexOf('--diff');
  if (at === -1) return args;
  const pair = args.slice(at + 1, at + 3).filter((name) => !name.startsWith('-'));
  return [...args.slice(0, at), `--diff=${pair.join(' ')}`, ...args.slice(at + 1 + pair.length)];
}

const fieldColors = { 8: 'cyan', 4: 'green', 2: 'yellow' } as const;

function draw(struct: StructName, abi: AbiName | undefined, ascii: boolean, terminal: Terminal): void {
  const layout = layoutOf(struct, abi);
  const colored = (text: string, { size }: Field): string =>
    paint(terminal, fieldColors[size as keyof typeof fieldColors] ?? 'cyan', text);
  terminal.out(`${drawText(layout, { ascii, paint: colored })}\n${drawTable(layout)}`);
}

/** The kernel's calls with their numbers, without those that the ABI lacks. */
function callsOf(abi: Abi): Record<string, number> {
  return Object.fromEntries(
    Object.entries(abi.calls).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
}

function constantsOf(abi: Abi): Record<string, number> {
  return Object.fromEntries(constants.map(({ name }) => [name, constantOn(name, abi.name)]));
}

function describe(struct: StructName, abi: Abi): object {
  return { ...layoutOf(struct, abi.name), ...declarations[struct] };
}

function showJson(struct: StructName | undefined, abi: Abi, terminal: Terminal): void {
  if (struct !== undefined) {
    terminal.out(json(describe(struct, abi)));
    return;
  }
  const { name, byteOrder } = abi;
  const layouts = structs.map((each) => describe(each, abi));
  terminal.out(json({ abi: name, byteOrder, structs: layouts, calls: callsOf(abi), constants: constantsOf(abi) }));
}

function showConstants(abi: Abi, asJson: boolean, terminal: Terminal): void {
  const found = constants.map(({ except: _, ...constant }) => ({
    ...constant,
    value: constantOn(constant.name, abi.name),
  }));
  if (asJson) {
    terminal.out(json(found));
    return;
  }
  const rows = found.map(({ name, value, use, since, aio, answer }) => [
    name,
    `0x${value.toString(16)}`,
    use,
    since,
    aio,
    answer,
  ]);
  terminal.out(columns([['constant', 'value', 'for', 'since', 'AIO', 'otherwise'], ...rows]));
}

function showList(asJson: boolean, terminal: Terminal): void {
  if (asJson) {
    terminal.out(json(abis));
    return;
  }
  const names = [
    'io_setup',
    'io_destroy',
    'io_submit',
    'io_cancel',
    'io_getevents',
    'io_pgetevents',
    'io_pgetevents_time64',
  ] as const;
  const rows = abis.map((abi) => [
    abi.name,
    abi.byteOrder,
    String(abi.wordBytes * 8),
    ...names.map((name) => String(abi.calls[name] ?? '-')),
    abi.title,
  ]);
  terminal.out(columns([['ABI', 'order', 'bits', ...names, ''], ...rows]));
}

function showDiff(pair: string, chosen: readonly StructName[], terminal: Terminal): void {
  const names = pair.split(' ');
  if (names.length !== 2) throw new UsageError('--diff needs two ABIs');
  const [a, b] = names.map((name) => abiOf(abiNamed(name)!)) as [Abi, Abi];
  const rows = chosen.flatMap((struct) =>
    diffLayouts(struct, a.name, b.name).map(({ what, a: x, b: y }) => [`${struct}: ${what}`, String(x), String(y)]),
  );
  const compare = (what: string, x: Record<string, number>, y: Record<string, number>): void => {
    for (const name of new Set([...Object.keys(x), ...Object.keys(y)])) {
      if (x[name] !== y[name]) rows.push([`${what} ${name}`, String(x[name] ?? '-'), String(y[name] ?? '-')]);
    }
  };
  if (chosen.length === structs.length) {
    compare('call', callsOf(a), callsOf(b));
    compare('constant', constantsOf(a), constantsOf(b));
  }
  if (rows.length === 0) terminal.out(`${a.name} and ${b.name} are the same\n`);
  else terminal.out(columns([['', a.name, b.name], ...rows]));
}

function writeSvg(file: string, struct: StructName | undefined, abi: AbiName | undefined): void {
  if (struct === undefined) throw new UsageError('--svg draws one structure: name it');
  writeFileSync(file, drawSvg(layoutOf(struct, abi)));
}

/** `kaio layout [STRUCT]` with its options. */
export function show(args: string[], terminal: Terminal): number {
  const { values, positionals } = parseArgs({ args: joinDiff(args), options, allowPositionals: true });
  if (positionals.length > 1) throw new UsageError(`one structure at a time: '${positionals[1]}' is too much`);
  const exclusive = (['svg', 'diff', 'vectors', 'list', 'constants'] as const).filter(
    (name) => values[name] !== undefined,
  );
  if (exclusive.length > 1) throw new UsageError(`--${exclusive[0]} and --${exclusive[1]} exclude each other`);
  const struct = positionals[0] === undefined ? undefined : structNamed(positionals[0]);
  const abi = abiNamed(values.abi);
  const chosen = struct === undefined ? structs : [struct];
  if (values.vectors) terminal.out(vectorsJson());
  else if (values.list) showList(values.json === true, terminal);
  else if (values.constants) showConstants(abiOf(abi), values.json === true, terminal);
  else if (values.diff !== undefined) showDiff(values.diff, chosen, terminal);
  else if (values.svg !== undefined) writeSvg(values.svg, struct, abi);
  else if (values.json) showJson(struct, abiOf(abi), terminal);
  else {
    for (const [i, each] of chosen.entries()) {
      if (i > 0) terminal.out('\n');
      draw(each, abi, values.ascii === true, terminal);
    }
    for (const note of abiOf(abi).notes) terminal.out(`\nNote on ${abiOf(abi).name}: ${note}.\n`);
  }
  return 0;
}
