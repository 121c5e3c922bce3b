// Builds the native module for the machines that the package has one for and that are not this one, with Debian's cross compilers;
// npm run build makes that of this machine. Node's headers are the same on all.
//
//   node scripts/prebuild.js [--all]
//
// What cannot be built here is said and left out. With --all, as for a release, it is an error, and so is it that this machine's is missing.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { compile, copySources, place, prebuilds, root } from './module.js';

/** The machines, and how the GNU tools call them. */
const targets = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

const isThere = (command) => spawnSync(command, ['--version']).status === 0;

/** In a folder of its own: node-gyp always builds in ./build, where this machine's module is. */
function build(arch, triplet) {
  const folder = mkdtempSync(`${tmpdir()}/kaio-prebuild-`);
  try {
    copySources(folder);
    symlinkSync(`${root}node_modules`, `${folder}/node_modules`);
    const tools = { CC: `${triplet}-gcc`, CXX: `${triplet}-g++`, AR: `${triplet}-ar`, LINK: `${triplet}-g++` };
    compile(folder, [`--arch=${arch}`], { ...process.env, ...tools });
    place(folder, `linux-${arch}`, 'glibc', `${triplet}-strip`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const [arch, triplet] of Object.entries(targets)) {
  if (process.platform === 'linux' && process.arch === arch) continue;
  if (isThere(`${triplet}-g++`)) build(arch, triplet);
  else
    console.error(
      `linux-${arch} is left out: there is no ${triplet}-g++ (Debian has it in g++-${triplet.replace('_', '-')})`,
    );
}
const missing = Object.keys(targets).filter((arch) => !existsSync(`${prebuilds}/linux-${arch}/kaio.glibc.node`));
if (missing.length > 0 && process.argv.includes('--all')) {
  console.error(`A release needs the native modules of all machines; missing: ${missing.join(', ')}`);
  process.exitCode = 1;
}
