import type { TestRun } from '../../support/guest.ts';
import type { Answers } from './answers.ts';

/** What became of a file of tests in a guest: how many passed, and which did not, with the reason. */
export interface FileResult {
  /** The kernel's release (uname -r). */
  version: string;
  passed: number;
  failed: string[];
  skipped: string[];
}

/** What is kept of the runs in one guest. */
export interface KernelResult {
  version: string;
  files: Record<string, FileResult>;
  /** By the place that was asked about: a file system, a device, the kernel itself. */
  answers: Record<string, Answers>;
}

export type Results = Record<string, KernelResult>;

/** Adds a run to what is known of that guest; what other files of tests showed of the same kernel, or of an earlier fix of it, stays. */
export function merged(results: Results, name: string, { version, tests, answers }: TestRun): Results {
  const last = results[name];
  const known = last !== undefined && seriesOf(last.version) === seriesOf(version) ? last : { files: {}, answers: {} };
  const files: Record<string, FileResult> = {};
  for (const { file, name: test, state, note = '' } of tests) {
    const source = file.replace(/^(?:\.\/)?(.*)\.js$/, '$1.ts');
    const result = files[source] ?? { version, passed: 0, failed: [], skipped: [] };
    files[source] = result;
    if (state === 'pass') result.passed++;
    else result[state === 'fail' ? 'failed' : 'skipped'].push(`${test}: ${note.split('\n')[0]}`);
  }
  const together = { version, files: { ...known.files, ...files }, answers: { ...known.answers, ...answers } };
  return { ...results, [name]: together };
}

/** The release as its authors count: 6.12 of 6.12.107+deb13-arm64-16k. */
function seriesOf(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

/** The tests of each folder that passed, failed and were skipped in each guest, as a Markdown table. */
export function counts(results: Results): string {
  const folders = ['kernel', 'fault', 'lifecycle', 'campaigns'];
  const kernels = Object.entries(results).sort(([, a], [, b]) => compareVersions(a.version, b.version));
  const rows = kernels.map(([name, { version, files }]) => {
    const cells = folders.map((folder) => {
      const chosen = Object.entries(files).filter(([file]) => file.startsWith(`test/${folder}/`));
      if (chosen.length === 0) return 'not run';
      const sum = (count: (file: FileResult) => number) => chosen.reduce((total, [, file]) => total + count(file), 0);
      const [passed, failed, skipped] = [
        sum((f) => f.passed),
        sum((f) => f.failed.length),
        sum((f) => f.skipped.length),
      ];
      return `${passed}${failed === 0 ? '' : `, ${failed} failed`}${skipped === 0 ? '' : ` (${skipped} skipped)`}`;
    });
    const versions = [...new Set([...Object.values(files).map((file) => file.version), version])].sort(compareVersions);
    return `| ${name} | ${versions.join(', ')} | ${cells.join(' | ')} |`;
  });
  const head = ['guest', 'kernel', ...folders.map((folder) => `\`test/${folder}\``)];
  return [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...rows, ''].join('\n');
}

/** Where the kernels differ, as a Markdown table: a row a question, with the places and the kernels that answer alike together. */
export function differences(results: Results): string {
  const kernels = Object.entries(results).sort(([, a], [, b]) => compareVersions(a.version, b.version));
  const places = new Set(kernels.flatMap(([, { answers }]) => Object.keys(answers)));
  const rows = new Map<string, string[]>();
  for (const place of places) {
    const questions = new Set(kernels.flatMap(([, { answers }]) => Object.keys(answers[place] ?? {})));
    for (const question of questions) {
      const byAnswer = new Map<string, string[]>();
      for (const [name, { answers }] of kernels) {
        const answer = answers[place]?.[question];
        if (answer !== undefined) byAnswer.set(answer, [...(byAnswer.get(answer) ?? []), name]);
      }
      if (byAnswer.size < 2) continue;
      const cell = [...byAnswer].map(([answer, names]) => `${names.join('; ')}: **${answer}**`).join('<br>');
      const row = `${question} | ${cell} |`;
      rows.set(row, [...(rows.get(row) ?? []), place]);
    }
  }
  const lines = [...rows].map(([row, where]) => `| ${where.join(', ')} | ${row}`);
  return ['| where | question | answers |', '| --- | --- | --- |', ...lines, ''].join('\n');
}

function compareVersions(one: string, other: string): number {
  return one.localeCompare(other, 'en', { numeric: true });
}
