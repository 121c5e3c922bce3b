/** The package as a user gets it: packed, then installed in an empty folder. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root: string = fileURLToPath(new URL('../..', import.meta.url));

export interface Output {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** What npm tells the scripts it runs about the package they belong to, which an npm started in another folder must not believe. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const foreign =
    /^(npm_package_|npm_lifecycle_|npm_config_local_prefix$|npm_command$|INIT_CWD$|NODE_PATH$|VITEST|NODE_ENV$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

/** Runs a program to its end; does not throw when it fails. */
export function run(command: string, args: string[], cwd: string = root, env: NodeJS.ProcessEnv = {}): Output {
  const { error, status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...ownEnvironment(), ...env },
    maxBuffer: 256 * 1024 * 1024,
  });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/** As {@link run}, but a failure is an error that shows what the program said. Answers with what it printed. */
export function mustRun(command: string, args: string[], cwd: string = root, env: NodeJS.ProcessEnv = {}): string {
  const { status, stdout, stderr } = run(command, args, cwd, env);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${status}\n${stdout}\n${stderr}`);
  return stdout;
}

/** A folder that has nothing to do with the repository: no package is found from there by accident. */
export function distantFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `kaio-test-${name}-`));
}

/** What is in a folder that programs of ours have forgotten to remove. */
export function leftIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith('kaio-'));
}

/** For `node -e`: prints the path of the native module that an installed kaio loads. */
export const PRINT_LOADED = `import('kaio').then(({ support }) => {
  support();
  const maps = require('node:fs').readFileSync('/proc/self/maps', 'latin1');
  console.log(/\\S+\\.node$/m.exec(maps)[0]);
});`;

export interface Tarball {
  path: string;
  /** The paths of the files in it. */
  files: string[];
  bytes: number;
  unpackedBytes: number;
}

/** Makes the tarball in `folder` from what is built already: `npm test` has just done that. */
export function pack(folder: string): Tarball {
  const printed = mustRun('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]);
  interface Packed {
    filename: string;
    files: { path: string }[];
    size: number;
    unpackedSize: number;
  }
  const [{ filename, files, size, unpackedSize }] = JSON.parse(printed) as [Packed];
  const paths = files.map(({ path }) => path).sort();
  return { path: join(folder, filename), files: paths, bytes: size, unpackedBytes: unpackedSize };
}

export class Installed {
  readonly folder: string = distantFolder('installed');
  readonly tarball: Tarball = pack(this.folder);

  constructor() {
    writeFileSync(join(this.folder, 'package.json'), '{ "private": true, "type": "module" }');
    mustRun('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', this.tarball.path], this.folder);
    // As any user's compiled program: outside of the package.
    cpSync(join(root, 'examples/out'), join(this.folder, 'examples/out'), { recursive: true });
  }

  /** Puts a file beside the installed package. */
  write(name: string, text: string): void {
    mkdirSync(dirname(join(this.folder, name)), { recursive: true });
    writeFileSync(join(this.folder, name), text);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
