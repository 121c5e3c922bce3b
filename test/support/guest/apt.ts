import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** Releases whose kernels come from their security archive, the point releases having ended. */
const ENDED = new Set(['bullseye']);

/** Debian's packages for one machine and release, from an apt of their own: the machine's package lists stay as they are. */
export class Apt {
  readonly #folder: string;
  readonly #flags: readonly string[];

  /** Keeps its lists in `folder`. `architecture` is Debian's word: amd64, arm64, s390x. */
  constructor(folder: string, architecture: string, suite: string) {
    this.#folder = folder;
    const options = {
      'Dir::State': folder,
      'Dir::State::status': join(folder, 'status'),
      'Dir::Cache': folder,
      'Dir::Etc::SourceList': join(folder, 'sources.list'),
      'Dir::Etc::SourceParts': '/dev/null',
      'Dir::Etc::Parts': '/dev/null',
      'APT::Architecture': architecture,
      'APT::Architectures': architecture,
      'APT::Sandbox::User': 'root',
      'Acquire::Languages': 'none',
    };
    this.#flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    if (existsSync(join(folder, 'updated'))) return;
    for (const part of ['lists/partial', 'archives/partial']) mkdirSync(join(folder, part), { recursive: true });
    writeFileSync(join(folder, 'status'), '');
    const sources = [`deb [signed-by=${KEYRING}] http://deb.debian.org/debian ${suite} main`];
    if (ENDED.has(suite)) {
      sources.push(`deb [signed-by=${KEYRING}] http://deb.debian.org/debian-security ${suite}-security main`);
    }
    writeFileSync(join(folder, 'sources.list'), `${sources.join('\n')}\n`);
    // Lists that are missing are an error, not a warning: they would be taken for complete from then on.
    run('apt-get', [...this.#flags, '-o', 'APT::Update::Error-Mode=any', '-q', 'update']);
    writeFileSync(join(folder, 'updated'), '');
  }

  /** The packages that `name` needs, itself among them, whose names match. */
  needed(name: string, pattern: RegExp): string[] {
    const only = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map(
      (kind) => `--no-${kind}`,
    );
    return run('apt-cache', [...this.#flags, 'depends', '--recurse', ...only, name])
      .split('\n')
      .filter((line) => pattern.test(line));
  }

  /** Unpacks packages, without what they depend on and without running their scripts. */
  unpack(names: readonly string[], into: string): void {
    this.#unpacked(into, (debs) => run('apt-get', [...this.#flags, '-q', 'download', ...names], debs));
  }

  /** Unpacks packages and all that they depend on: nearly a root file system. */
  unpackAll(names: readonly string[], into: string): void {
    const install = ['install', '-q', '-y', '--no-install-recommends', '--download-only'];
    this.#unpacked(into, (debs) =>
      run('apt-get', [...this.#flags, '-o', `Dir::Cache::Archives=${debs}`, ...install, ...names], debs),
    );
  }

  #unpacked(into: string, download: (folder: string) => void): void {
    const debs = join(this.#folder, `debs-${process.pid}`);
    mkdirSync(join(debs, 'partial'), { recursive: true });
    try {
      download(debs);
      for (const deb of readdirSync(debs).filter((name) => name.endsWith('.deb'))) {
        run('dpkg-deb', ['-x', join(debs, deb), into]);
      }
    } finally {
      rmSync(debs, { recursive: true, force: true });
    }
  }
}

/** A package of the npm registry, unpacked into a folder that appears only when it is complete. */
export function unpackNpm(name: string, into: string): void {
  const own = `${into}.${process.pid}`;
  mkdirSync(own, { recursive: true });
  try {
    const archive = run('npm', ['pack', name, '--silent', '--loglevel=error'], own).trim();
    run('tar', ['xzf', archive, '--strip-components=1'], own);
    rmSync(join(own, archive));
    renameSync(own, into);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

/** The programs of this list that are not installed here, by their Debian packages. */
export function missing(programs: readonly (readonly [program: string, pack: string])[]): string[] {
  return programs
    .filter(([program]) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0)
    .map(([, pack]) => pack);
}
