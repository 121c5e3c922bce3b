import { table } from '../table.ts';
import { mustText, type StartupTable } from './startup.ts';

/** The figures as Markdown. */
export function startupSection({ figures, trials, prefix }: StartupTable): string {
  const rows = figures.map(({ name, must, unit, value, from }) => [
    name,
    `≤ ${mustText(must, unit)}`,
    `${value.toFixed(2)}${unit}${value <= must ? ' met' : ' **missed**'}`,
    from,
  ]);
  return `## Starting, idling, and going on for long

\`npm run bench -- startup\`: medians of ${trials} processes${prefix === '' ? '' : `, each run by \`${prefix}\``}. The requests read a file in memory, 32 at a time, and wait for promises.

${table(['figure', 'must', 'measured', 'of which'], rows)}`;
}
