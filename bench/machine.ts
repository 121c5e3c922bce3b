import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { fioVersion } from './fio.ts';

/** Where the figures come from: without it they say nothing. */
export interface Machine {
  date: string;
  kernel: string;
  distribution: string;
  cpu: string;
  cores: number;
  memoryMiB: number;
  node: string;
  libuv: string;
  v8: string;
  fio: string | undefined;
  /** Of the disk target. */
  fileSystem: string;
  device: string;
}

function output(file: string, ...args: string[]): string {
  return execFileSync(file, args, { encoding: 'utf8' }).trim();
}

export function describeMachine(folder: string, node: string): Machine {
  const versions = JSON.parse(output(node, '-p', 'JSON.stringify(process.versions)')) as Record<string, string>;
  const [source = '', type = ''] = output('df', '--output=source,fstype', folder).split('\n')[1]!.split(/\s+/);
  return {
    date: new Date().toISOString(),
    kernel: release(),
    distribution: /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown',
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    node: versions.node!,
    libuv: versions.uv!,
    v8: versions.v8!,
    fio: fioVersion(),
    fileSystem: type,
    device: source,
  };
}
