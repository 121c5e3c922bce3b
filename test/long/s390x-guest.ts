import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeS390x, root } from '../layout/s390x.ts';

const cache = join(root, 'node_modules/.cache/kaio/s390x-guest');
const LIBRARIES = '/usr/s390x-linux-gnu/lib';

function run(command: string, args: readonly string[], cwd: string = cache, input?: Buffer | string): string {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    input,
    maxBuffer: 2 ** 30,
    encoding: 'utf8',
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Programs that the guest is made with and runs in, and Debian's packages for them. */
const needs: readonly (readonly [program: string, pack: string])[] = [
  ['qemu-system-s390x', 'qemu-system-misc'],
  ['s390x-linux-gnu-g++', 'g++-s390x-linux-gnu'],
  ['mke2fs', 'e2fsprogs'],
  ['depmod', 'kmod'],
  ['cpio', 'cpio'],
  ['dpkg-deb', 'dpkg'],
];

/** Why no guest can run here; undefined where it can. */
export function obstacle(): string | undefined {
  const missing = needs.filter(([program]) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  if (missing.length > 0) return `not installed: ${missing.map(([, pack]) => pack).join(', ')}`;
  const node = nodeS390x();
  return 'reason' in node ? node.reason : undefined;
}

/** Debian's packages for s390x, from an apt of their own: the machine's package lists stay as they are. */
function fetchPackages(): string {
  const debs = join(cache, 'debs');
  if (existsSync(debs) && readdirSync(debs).length >= 2) return debs;
  for (const part of ['lists/partial', 'archives/partial', 'debs']) mkdirSync(join(cache, part), { recursive: true });
  writeFileSync(join(cache, 'status'), '');
  const suite = /VERSION_CODENAME=(\w+)/.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'bookworm';
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  writeFileSync(join(cache, 'sources.list'), `deb [signed-by=${keyring}] http://deb.debian.org/debian ${suite} main\n`);
  const options = {
    'Dir::State': cache,
    'Dir::State::status': join(cache, 'status'),
    'Dir::Cache': cache,
    'Dir::Etc::SourceList': join(cache, 'sources.list'),
    'Dir::Etc::SourceParts': '/dev/null',
    'APT::Architecture': 's390x',
    'APT::Architectures': 's390x',
    'APT::Sandbox::User': 'root',
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  run('apt-get', [...flags, 'update']);
  const [depends = ''] =
    run('apt-cache', [...flags, 'depends', 'linux-image-s390x'])
      .match(/linux-image-\S+-s390x/g)
      ?.slice(-1) ?? [];
  run('apt-get', [...flags, 'download', depends, 'busybox-static'], debs);
  return debs;
}

/** The kernel and its modules, and busybox. */
function unpack(): { kernel: string; modules: string; version: string; busybox: string } {
  const debs = fetchPackages();
  const tree = join(cache, 'tree');
  if (!existsSync(tree)) for (const deb of readdirSync(debs)) run('dpkg-deb', ['-x', join(debs, deb), tree]);
  const [version = ''] = readdirSync(join(tree, 'lib/modules'));
  run('depmod', ['-b', tree, version]);
  return {
    kernel: join(tree, `boot/vmlinuz-${version}`),
    modules: join(tree, 'lib/modules', version),
    version,
    busybox: join(tree, 'bin/busybox'),
  };
}

/** The native module for s390x, by the cross compiler and the headers that come with that Node. */
function compileNative(node: string, target: string): void {
  const headers = join(cache, 'node-headers');
  const archive = readdirSync(join(node, '../../..')).find((name) => name.endsWith('.tgz'));
  if (!existsSync(headers)) {
    mkdirSync(headers);
    run('tar', ['xzf', join(node, '../../..', archive!), '-C', headers, 'package/include']);
  }
  const { targets } = JSON.parse(readFileSync(join(root, 'binding.gyp'), 'utf8')) as {
    targets: [{ conditions: [[string, { sources: string[]; defines: string[] }]] }];
  };
  const { sources, defines } = targets[0].conditions[0][1];
  const include = ['-I', join(headers, 'package/include/node'), '-I', join(root, 'node_modules/node-addon-api')];
  const flags = [
    '-shared',
    '-fPIC',
    '-O2',
    '-std=c++17',
    '-fno-exceptions',
    '-fno-rtti',
    '-Wl,-z,nodelete',
    '-DBUILDING_NODE_EXTENSION',
  ];
  run(
    's390x-linux-gnu-g++',
    [...flags, ...defines.map((name) => `-D${name}`), ...include, '-o', target, ...sources],
    root,
  );
}

/** An initial ram disk with busybox, node, kaio and the modules for a virtio disk with ext4; its /init runs `script`. */
function makeInitrd(folder: string, guest: ReturnType<typeof unpack>, node: string, script: string): string {
  const tree = join(folder, 'initrd');
  for (const part of ['bin', 'lib', 'proc', 'sys', 'dev', 'mnt', 'modules', 'kaio/prebuilds/linux-s390x']) {
    mkdirSync(join(tree, part), { recursive: true });
  }
  copyFileSync(guest.busybox, join(tree, 'bin/busybox'));
  copyFileSync(node, join(tree, 'bin/node'));
  for (const name of [
    'ld64.so.1',
    'libc.so.6',
    'libm.so.6',
    'libdl.so.2',
    'libpthread.so.0',
    'libstdc++.so.6',
    'libgcc_s.so.1',
    'libatomic.so.1',
  ]) {
    if (existsSync(join(LIBRARIES, name)))
      cpSync(join(LIBRARIES, name), join(tree, 'lib', name), { dereference: true });
  }
  const wanted = ['virtio_blk', 'ext4'].map((name) =>
    run('modprobe', ['-d', join(cache, 'tree'), '-S', guest.version, '--show-depends', name]),
  );
  const modules = [...new Set(wanted.join('\n').match(/\/\S+\.ko(?:\.xz)?/g))];
  for (const [i, module] of modules.entries()) copyFileSync(module, join(tree, 'modules', `${i}.ko`));
  for (const part of ['dist', 'package.json', 'node_modules/node-gyp-build']) {
    cpSync(join(root, part), join(tree, 'kaio', part), { recursive: true });
  }
  compileNative(node, join(tree, 'kaio/prebuilds/linux-s390x/kaio.node'));
  writeFileSync(join(tree, 'kaio/script.mjs'), script);
  const init = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
i=0
while [ -e /modules/$i.ko ]; do /bin/busybox insmod /modules/$i.ko; i=$((i + 1)); done
/bin/busybox mount -t ext4 /dev/vda /mnt && /bin/node /kaio/script.mjs
echo "exit $?"
/bin/busybox poweroff -f
`;
  writeFileSync(join(tree, 'init'), init, { mode: 0o755 });
  const archive = join(folder, 'initrd.cpio');
  run('sh', ['-c', `find . | cpio --quiet -o -H newc > '${archive}'`], tree);
  return archive;
}

/** Boots a big-endian machine that runs `script`, with an ext4 disk at /mnt; what it printed. */
export function runInGuest(folder: string, script: string): string {
  mkdirSync(cache, { recursive: true });
  const found = nodeS390x();
  if ('reason' in found) throw new Error(found.reason);
  const guest = unpack();
  const initrd = makeInitrd(folder, guest, found.node, script);
  const disk = join(folder, 'disk.img');
  run('mke2fs', ['-q', '-t', 'ext4', disk, '64M']);
  const machine = [
    '-M',
    's390-ccw-virtio',
    '-cpu',
    'max',
    '-m',
    '1024',
    '-nographic',
    '-no-reboot',
    '-nodefaults',
    '-serial',
    'stdio',
  ];
  const boot = ['-kernel', guest.kernel, '-initrd', initrd, '-append', 'console=ttysclp0 quiet panic=-1'];
  const drive = ['-drive', `file=${disk},if=none,id=d,format=raw,cache=none`, '-device', 'virtio-blk-ccw,drive=d'];
  const { stdout, stderr } = spawnSync('qemu-system-s390x', [...machine, ...boot, ...drive], {
    encoding: 'utf8',
    timeout: 300_000,
  });
  return stdout + stderr;
}
