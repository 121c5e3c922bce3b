import type { CopyProgress } from '../../index.ts';
import { paint, type Terminal } from '../command.ts';

const REFRESH_MS = 100;
/** The rate is that of so long: shorter it would jump, longer it would lag behind. */
const RATE_MS = 3000;
const LEAST_BAR = 10;
const MOST_BAR = 50;

interface Mark {
  readonly atMs: number;
  readonly done: number;
}

/** One line that is written over and over, where a terminal shows it; nothing elsewhere. */
export class ProgressBar {
  readonly #terminal: Terminal;
  readonly #name: string;
  #phase: CopyProgress['phase'] | undefined;
  /** Where the copy was at times not longer ago than `RATE_MS`. */
  #marks: Mark[] = [];
  #shownMs = Number.NEGATIVE_INFINITY;

  constructor(terminal: Terminal, name: string) {
    this.#terminal = terminal;
    this.#name = name;
  }

  show(progress: CopyProgress, nowMs: number = performance.now()): void {
    if (this.#terminal.columns === 0) return;
    if (progress.phase !== this.#phase) {
      this.#phase = progress.phase;
      this.#marks = [{ atMs: nowMs, done: 0 }];
    }
    if (nowMs - this.#shownMs < REFRESH_MS && progress.done < progress.total) return;
    this.#shownMs = nowMs;
    this.#marks.push({ atMs: nowMs, done: progress.done });
    while (this.#marks.length > 2 && nowMs - this.#marks[0]!.atMs > RATE_MS) this.#marks.shift();
    this.#terminal.err(`\r\x1b[K${this.#line(progress)}`);
  }

  /** Takes the bar away and writes a last line in its place. */
  end(text: string): void {
    if (this.#terminal.columns === 0) return;
    this.#terminal.err(`\r\x1b[K${text === '' ? '' : `${text}\n`}`);
  }

  #line({ phase, done, total }: CopyProgress): string {
    const share = total === 0 ? 1 : done / total;
    const perSecond = this.#rate();
    const left = perSecond > 0 ? `${timeText((total - done) / perSecond)} left` : '';
    const percent = `${Math.floor(share * 100)}`.padStart(3);
    const after = ` ${percent} %  ${sizeText(done)} of ${sizeText(total)}  ${sizeText(perSecond)}/s  ${left}`;
    const before = `${phase === 'verify' ? 'verifying ' : ''}${this.#name} `;
    // One column stays free: some terminals wrap when the last is written to.
    const room = this.#terminal.columns - 1 - after.length;
    const bar = Math.min(room - before.length, MOST_BAR);
    if (bar < LEAST_BAR) return `${after.trimStart()}`.slice(0, this.#terminal.columns - 1);
    const filled = Math.round(share * bar);
    return `${before}${paint(this.#terminal, 'green', '█'.repeat(filled))}${'░'.repeat(bar - filled)}${after}`;
  }

  /** Bytes a second, of late. */
  #rate(): number {
    const first = this.#marks[0]!;
    const last = this.#marks.at(-1)!;
    return last.atMs > first.atMs ? ((last.done - first.done) / (last.atMs - first.atMs)) * 1000 : 0;
  }
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** As people read it: 512 B, 1.4 GiB. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** 0:07, 12:30, 1:02:03. */
export function timeText(seconds: number): string {
  const whole = Math.ceil(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const [hours, minutes, rest] = parts as [number, number, number];
  const two = (part: number): string => String(part).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
