import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Apt, unpackNpm } from './apt.ts';
import { type Architecture, machines } from './machine.ts';
import { run } from './run.ts';

const { KAIO_GUEST_CACHE } = process.env;

/** Where kernels and disks are kept between runs: some 2 GB for all of them. KAIO_GUEST_CACHE names another folder. */
export const cache: string = KAIO_GUEST_CACHE ?? join(tmpdir(), 'kaio-guests');

/** A kernel of Debian's. */
export interface Kernel {
  architecture: Architecture;
  /** The release that has it. */
  suite: string;
  /** The package that depends on the newest of its kind, such as linux-image-cloud-amd64. */
  package: string;
}

/** What qemu boots: files in the cache. */
export interface Boot {
  version: string;
  kernel: string;
  initrd: string;
  /** A disk with the modules, to be mounted at /lib/modules. */
  modules: string;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

/** Makes a file or folder once: `make` is given a name of its own, which becomes the real one when it is complete. */
export function once(path: string, make: (path: string) => void): string {
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  const own = `${path}.${process.pid}`;
  try {
    make(own);
    if (!existsSync(path)) renameSync(own, path);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
  return path;
}

/** An ext4 disk with what is in a folder, and as much again to write to. */
export function makeDisk(path: string, folder: string, spareMebibytes: number): void {
  const used = Number.parseInt(run('du', ['-sm', '--apparent-size', folder]), 10);
  const files = Number.parseInt(run('sh', ['-c', `find '${folder}' | wc -l`]), 10);
  const size = `${Math.ceil(used * 1.1) + spareMebibytes + Math.ceil(files / 200)}M`;
  run('mke2fs', [
    '-q',
    '-t',
    'ext4',
    '-O',
    '^has_journal',
    '-E',
    'lazy_itable_init=1',
    '-m',
    '0',
    '-d',
    folder,
    path,
    size,
  ]);
}

/** The release whose programs every guest runs, whatever its kernel is. */
const SUITE = 'bookworm';

/** What every guest has: a shell, the C++ library that Node needs, and the programs that load modules and mount. */
const BASE: readonly string[] = [
  'busybox-static',
  'coreutils',
  'dash',
  'e2fsprogs',
  'kmod',
  'libatomic1',
  'libstdc++6',
  'mount',
  'util-linux',
];

/** The unpacked packages, and Node in bin/node. */
export function rootFolder(architecture: Architecture, packages: readonly string[]): string {
  const machine = machines[architecture];
  const names = [...new Set([...BASE, ...packages])].sort();
  const hash = hashOf(JSON.stringify([names, machine.nodePackage]));
  return once(join(cache, `root-${architecture}-${hash}`), (root) => {
    new Apt(join(cache, `apt-${machine.debian}-${SUITE}`), machine.debian, SUITE).unpackAll(names, root);
    for (const name of [
      'proc',
      'sys',
      'dev',
      'run',
      'tmp',
      'mnt',
      'kaio',
      'root',
      'etc',
      'lib/modules',
      'opt/busybox',
    ]) {
      mkdirSync(join(root, name), { recursive: true });
    }
    cpSync(nodeOf(architecture), join(root, 'usr/bin/node'));
    // What the packages' own scripts would have done.
    if (packages.includes('gcc')) symlinkSync('gcc', join(root, 'usr/bin/cc'));
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\n');
    writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n');
  });
}

export function rootDisk(architecture: Architecture, packages: readonly string[]): string {
  const folder = rootFolder(architecture, packages);
  return once(`${folder}.img`, (path) => makeDisk(path, folder, 64));
}

/** Node for that machine: the one that runs here where it fits, so that nothing need be fetched. */
function nodeOf(architecture: Architecture): string {
  const { node, nodePackage } = machines[architecture];
  if (process.arch === node) return process.execPath;
  return join(nodeFolder(nodePackage), 'bin/node');
}

/** A release of Node from npm, with its headers. */
export function nodeFolder(nodePackage: string): string {
  const folder = join(cache, nodePackage.replace('@', '-'));
  if (!existsSync(folder)) unpackNpm(nodePackage, folder);
  return folder;
}

/** A kernel, unpacked, with an initial ram disk that mounts the root disk. */
export function bootFiles({ architecture, suite, package: name }: Kernel): Boot {
  const { debian } = machines[architecture];
  const tree = once(join(cache, `kernel-${debian}-${suite}-${name}`), (into) => {
    const apt = new Apt(join(cache, `apt-${debian}-${suite}`), debian, suite);
    // The kernel itself has a digit in its name, and newer releases keep its modules and its image in packages of their own.
    apt.unpack(apt.needed(name, /^linux-(?:image|modules|binary|base)-\S*\d+\.\d+/), into);
  });
  const modules = existsSync(join(tree, 'usr/lib/modules')) ? 'usr/lib/modules' : 'lib/modules';
  const [version] = readdirSync(join(tree, modules));
  if (version === undefined) throw new Error(`${name} of ${suite} has no modules`);
  if (modules !== 'lib/modules' && !existsSync(join(tree, 'lib'))) symlinkSync('usr/lib', join(tree, 'lib'));
  const kernels = [join(tree, `boot/vmlinuz-${version}`), join(tree, modules, version, 'vmlinuz')];
  const kernel = kernels.find((path) => existsSync(path));
  if (kernel === undefined) throw new Error(`${name} of ${suite} has no kernel`);
  if (!existsSync(join(tree, modules, version, 'modules.dep.bin'))) run('depmod', ['-b', tree, version]);
  return {
    version,
    kernel,
    initrd: once(`${tree}-${hashOf(INIT)}.cpio`, (path) => makeInitrd(path, tree, version, architecture)),
    modules: once(`${tree}.img`, (path) => makeDisk(path, join(tree, modules), 8)),
  };
}

/** Names in /dev/kaio for the disks, by their serial numbers: the kernel finds them in any order. */
export const LINKS = `/bin/busybox mkdir -p /dev/kaio
for disk in /sys/block/vd*; do
  /bin/busybox ln -sf ../$(/bin/busybox basename $disk) /dev/kaio/$(/bin/busybox cat $disk/serial)
done`;

/** The first program of the guest: loads what it needs to read disks, mounts the root disk, and hands over to it. */
const INIT = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t sysfs sysfs /sys
i=0
while [ -e /modules/$i.ko ]; do /bin/busybox insmod /modules/$i.ko || echo "module $i"; i=$((i + 1)); done
for attempt in 1 2 3 4 5 6 7 8 9; do
  ${LINKS}
  [ -e /dev/kaio/root ] && [ -e /dev/kaio/modules ] && [ -e /dev/kaio/kaio ] && break
  /bin/busybox sleep 1
done
/bin/busybox mount -t ext4 /dev/kaio/root /root || /bin/busybox poweroff -f
/bin/busybox mount -t ext4 -o ro /dev/kaio/modules /root/lib/modules
/bin/busybox mount -t ext4 /dev/kaio/kaio /root/kaio
/bin/busybox umount /sys
/bin/busybox mount -o move /dev /root/dev
exec /bin/busybox switch_root /root /bin/dash /kaio/init.sh
`;

function makeInitrd(path: string, tree: string, version: string, architecture: Architecture): void {
  const { modules } = machines[architecture];
  const folder = mkdtempSync(`${path}-`);
  try {
    for (const part of ['bin', 'dev', 'sys', 'root', 'modules']) mkdirSync(join(folder, part));
    copyFileSync(join(rootFolder(architecture, []), 'bin/busybox'), join(folder, 'bin/busybox'));
    const wanted = modules.map((name) => run('modprobe', ['-d', tree, '-S', version, '--show-depends', name]));
    const files = [...new Set(wanted.join('\n').match(/\/\S+\.ko(?:\.xz|\.zst)?/g))];
    for (const [i, file] of files.entries()) unpackModule(file, join(folder, 'modules', `${i}.ko`));
    writeFileSync(join(folder, 'init'), INIT, { mode: 0o755 });
    run('sh', ['-c', `find . | cpio --quiet -o -H newc > '${path}'`], folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** insmod of busybox reads modules as they are. */
function unpackModule(file: string, target: string): void {
  if (file.endsWith('.xz')) run('sh', ['-c', `xz -dc '${file}' > '${target}'`]);
  else if (file.endsWith('.zst')) run('sh', ['-c', `zstd -qdc '${file}' > '${target}'`]);
  else copyFileSync(file, target);
}
