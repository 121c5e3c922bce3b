// What docs/reliability.md says of the long runs, from what they keep in test/campaigns/results.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What a campaign keeps, or a part of it; names are paths in there, such as `all/cuts`. */
class Figures {
  readonly #content: Readonly<Record<string, unknown>>;

  constructor(content: object) {
    this.#content = { ...content };
  }

  of(name: string): unknown {
    return name.split('/').reduce<unknown>((part, key) => (part as Record<string, unknown>)[key], this.#content);
  }

  number(name: string): number {
    const value = this.of(name);
    if (typeof value !== 'number') throw new TypeError(`${name} is no number`);
    return value;
  }

  text(name: string): string {
    return this.number(name).toLocaleString('en');
  }

  count(name: string): number {
    return (this.of(name) as readonly unknown[]).length;
  }

  /** All entries that have entries, but for where the campaign was. */
  parts(name?: string): Figures[] {
    const whole = name === undefined ? this.#content : (this.of(name) as object);
    const parts = Object.entries(whole).filter(([key, part]) => key !== 'machine' && typeof part === 'object');
    return parts.map(([, part]) => new Figures(part as object));
  }
}

const text = (count: number) => count.toLocaleString('en');

function sum(parts: readonly Figures[], ...names: string[]): number {
  return parts.flatMap((part) => names.map((name) => part.number(name))).reduce((total, number) => total + number, 0);
}

function powerCuts(figures: Figures): string {
  const controls = figures.parts('controls');
  const written = `${figures.text('all/cuts')} cuts: ${figures.text('all/acknowledged')} writes acknowledged`;
  const lost = `${figures.text('all/losses')} cuts lost any`;
  return `${written}, ${lost}; ${sum(controls, 'losing')} of ${sum(controls, 'cuts')} controls did, as they must`;
}

function deviceFaults(figures: Figures): string {
  const [requests, failed, hangs] = ['requests', 'failed', 'hangs'].map((name) => figures.text(`all/${name}`));
  return `${figures.text('all/runs')} seeds: ${requests} requests, ${failed} failed, ${hangs} hangs`;
}

function fileSystems(figures: Figures): string {
  const kinds = figures.parts();
  const [first] = kinds as [Figures];
  const steps = `${first.count('exercised/seeds')} seeds of ${first.text('exercised/operationsEach')} steps`;
  const raced = `${first.count('raced/seeds')} of ${first.count('raced/races')} races`;
  return `on each of ${kinds.length}: ${steps}, ${raced}; no byte wrong`;
}

function fuzzing(figures: Figures): string {
  const doors = figures.parts().filter((part) => part.of('door') !== undefined);
  const targets = figures.parts().filter((part) => part.of('target') !== undefined);
  const calls = doors.map(
    (door) => `${door.text('calls')} of \`${door.of('door') === 'kaio' ? '' : 'kaio/'}${door.of('door')}\``,
  );
  return `${text(sum(doors, 'calls'))} calls (${calls.join(', ')}), ${text(sum(targets, 'runs'))} inputs: no crash, no hang`;
}

function sqlite(figures: Figures): string {
  const journals = figures.parts();
  const commits = text(sum(journals, 'commits'));
  return `${sum(journals, 'kills')} kills in ${journals.length} journal modes: ${commits} transactions committed, 0 lost`;
}

function fioLogs(figures: Figures): string {
  const logs = figures.parts();
  const mebibytes = Math.round(sum(logs, 'bytes') / 2 ** 20);
  return `${logs.length} logs: ${text(sum(logs, 'writes'))} writes, ${text(mebibytes)} MiB`;
}

function writeAheadLog(figures: Figures): string {
  const [kills, cuts] = ['kills', 'power cuts'].map(
    (name) => `${figures.text(`${name}/rounds`)} ${name}, ${figures.text(`${name}/records`)} records`,
  );
  return `${kills}; ${cuts}: 0 lost`;
}

function security(figures: Figures): string {
  const memory = `${figures.text('allocations')} allocations, ${figures.text('shortReads')} short and ${figures.text('abortedReads')} aborted reads`;
  return `${memory}, ${text(sum([figures], 'refused', 'layouts'))} hostile arguments and layouts`;
}

function fileHandle(figures: Figures): string {
  return `${figures.text('direct/requests')} requests with direct I/O, ${figures.text('page cache/requests')} without`;
}

/** Each of them is a run by itself. */
function sanitizers(figures: Figures): string {
  const kinds = Object.entries({ address: 'ASan with UBSan', thread: 'TSan' });
  const ran = kinds.filter(([kind]) => figures.of(kind) !== undefined);
  return `${ran.map(([kind, name]) => `${figures.text(`${kind}/tests`)} tests under ${name}`).join(', ')}: no report`;
}

function soak(figures: Figures): string {
  const runs = figures.parts('runs');
  const requests = ['ring', 'io_getevents'].map((way) => `verdict/latency/${way}/requests`);
  const counted = (...names: string[]) => text(sum(runs, ...names.map((name) => `verdict/counts/${name}`)));
  const ended = counted('stop', 'terminate', 'spin', 'exit', 'throw');
  const done = [`${text(sum(runs, ...requests))} requests`, `${counted('checked')} blocks compared`];
  const odd = [
    `${counted('aborted')} aborted`,
    `${ended} workers ended`,
    `${counted('failed', 'short')} failed or short`,
  ];
  const flat = runs.every((run) => run.of('verdict/flat') === true) ? 'all flat' : 'not flat';
  return `${Math.round(figures.number('seconds') / 60)} minutes: ${[...done, ...odd].join(', ')}; ${flat}`;
}

/** By the name of the campaign in the table: where its figures are, and the cell "runs" that they make. */
const cells: Readonly<Record<string, readonly [file: string, cell: (figures: Figures) => string]>> = {
  'Power cuts': ['powercut', powerCuts],
  'Device faults': ['device-faults', deviceFaults],
  'File systems': ['filesystem', fileSystems],
  Fuzzing: ['fuzz', fuzzing],
  Security: ['security', security],
  SQLite: ['sqlite', sqlite],
  fio: ['fiolog', fioLogs],
  'Write-ahead log': ['wal', writeAheadLog],
  Copies: [
    'copy',
    (figures) => `${figures.text('interrupted')} of ${figures.number('bytes') / 2 ** 30} GiB interrupted`,
  ],
  FileHandle: ['filehandle', fileHandle],
  'Versions of Node.js': [
    'nodes',
    (figures) => `${text(sum(figures.parts(), 'tests'))} tests on ${figures.parts().length} versions`,
  ],
  Sanitizers: ['sanitizers', sanitizers],
  Soak: ['soak', soak],
};

/** The campaigns that keep figures, and where. */
export const campaigns: readonly (readonly [name: string, path: string])[] = Object.entries(cells).map(
  ([name, [file]]) => [name, fileURLToPath(new URL(`results/${file}.json`, import.meta.url))],
);

/** What was done in the long run of a campaign; undefined where it keeps no figures. Each of them has a short run with every change. */
export function runsOf(campaign: string): string | undefined {
  const [, cell] = cells[campaign] ?? [];
  const [, path] = campaigns.find(([name]) => name === campaign) ?? [];
  if (cell === undefined || path === undefined) return undefined;
  return existsSync(path) ? cell(new Figures(JSON.parse(readFileSync(path, 'utf8')))) : 'with every change';
}
