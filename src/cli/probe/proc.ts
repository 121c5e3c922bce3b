import { readFileSync } from 'node:fs';

/** What a file of /proc or /sys says, or undefined where there is none: containers hide some of them. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** The same for a number. */
export function readNumber(path: string): number | undefined {
  const text = readText(path);
  return text === undefined ? undefined : Number(text);
}
