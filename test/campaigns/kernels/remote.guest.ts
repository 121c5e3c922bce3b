/** Storage of other machines, which here are this one: a network block device, and NFS. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { natureOf } from '../../../src/file/storage.ts';
import { AioContext } from '../../../src/index.ts';
import { Model } from '../../support/model.ts';
import { type Later, mount, run, temporaryFolder } from '../../support/mounts.ts';
import { undoing } from '../../support/undo.ts';
import { fill, Ledger, Load, progress } from '../devices/ledger.ts';
import { appeared } from '../devices/mapper.ts';
import { type Answers, answersIn, answersOf } from './answers.ts';

const MEBIBYTE = 2 ** 20;
const { KAIO_LOAD = '100' } = process.env;
const requests = Number(KAIO_LOAD);

function report(place: string, answers: Answers): void {
  console.log(`@@answers ${JSON.stringify({ place, answers })}`);
}

async function reportNature(place: string, path: string): Promise<void> {
  await using context = new AioContext({ depth: 8, memory: 4 * MEBIBYTE });
  const file = await context.open(path, 'r+', { direct: 'auto' });
  const { kind, storage, direct, alignment } = await natureOf(file.fd);
  report(place, {
    'kaio takes it for': `${storage} ${kind}, ${direct ? 'direct' : 'buffered'}`,
    'kaio aligns to': `memory ${alignment.memory}, offset ${alignment.offset}`,
  });
  await file.close();
}

/** /dev/nbd0, whose other end is nbdkit with these plugins and filters. */
async function networkDisk(later: Later, ...plugin: string[]): Promise<string> {
  const socket = `${temporaryFolder(later)}/nbd`;
  const server = spawn('nbdkit', ['--foreground', '--exit-with-parent', '-U', socket, ...plugin], { stdio: 'ignore' });
  later(() => server.kill('SIGKILL'));
  run('modprobe', 'nbd');
  await appeared(socket);
  run('nbd-client', '-unix', socket, '/dev/nbd0', '-timeout', '60');
  later(() => run('nbd-client', '-d', '/dev/nbd0'));
  return '/dev/nbd0';
}

test('a network block device is a block device: what kaio acknowledges is on the other side', async () => {
  await undoing(async (later) => {
    const image = `${temporaryFolder(later)}/image`;
    writeFileSync(image, Buffer.alloc(16 * MEBIBYTE));
    const device = await networkDisk(later, 'file', image);
    report('nbd', await answersOf(device));
    await reportNature('nbd', device);
    await using context = new AioContext({ depth: 64, memory: 32 * MEBIBYTE });
    const file = await context.open(device, 'r+');
    await fill(file, context, 1024);
    const ledger = new Ledger(1024);
    const traffic = new Load({ context, file, ledger, seed: 1, concurrency: 32, most: 32 });
    const running = traffic.run();
    await Promise.race([progress(traffic, requests * 5), running]);
    traffic.stop();
    await running;
    expect(traffic.failures).toEqual({});
    await file.sync();
    ledger.checkAll(image);
  });
});

test('a network block device that answers with an error or late fails no other request', async () => {
  await undoing(async (later) => {
    const trigger = `${temporaryFolder(later)}/fail`;
    const filters = ['--filter=error', '--filter=delay', 'memory', '16M'];
    const settings = ['error=EIO', 'error-rate=30%', `error-file=${trigger}`, 'rdelay=20ms', 'wdelay=20ms'];
    const device = await networkDisk(later, ...filters, ...settings);
    await using context = new AioContext({ depth: 64, memory: 32 * MEBIBYTE });
    const file = await context.open(device, 'r+');
    await fill(file, context, 1024);
    const ledger = new Ledger(1024);
    const traffic = new Load({ context, file, ledger, seed: 2, concurrency: 32, most: 32 });
    writeFileSync(trigger, '');
    const running = traffic.run();
    await Promise.race([progress(traffic, requests * 3), running]);
    run('rm', trigger);
    await Promise.race([progress(traffic, requests * 3), running]);
    traffic.stop();
    await running;
    expect(Object.keys(traffic.failures)).toEqual(['EIO']);
    ledger.checkAll(device);
  });
});

/** A folder of this machine that it mounts from itself. */
function networkFolder(later: Later): string {
  const folder = temporaryFolder(later);
  const [exported, mounted] = [`${folder}/exported`, `${folder}/mounted`];
  mkdirSync(exported);
  mkdirSync(mounted);
  for (const name of ['nfsd', 'nfs', 'nfsv4']) run('modprobe', name);
  for (const dir of ['/var/lib/nfs/v4recovery', '/var/lib/nfs/rpc_pipefs', '/run/rpcbind'])
    mkdirSync(dir, { recursive: true });
  mount(later, 'nfsd', 'nfsd', '/proc/fs/nfsd');
  writeFileSync('/etc/exports', '', { flag: 'a' });
  run('exportfs', '-o', 'rw,no_root_squash,insecure,fsid=0,no_subtree_check', `127.0.0.1:${exported}`);
  later(() => run('exportfs', '-ua'));
  const daemon = spawn('rpc.mountd', ['--foreground', '--no-udp', '-N', '3'], { stdio: 'ignore' });
  later(() => daemon.kill('SIGKILL'));
  // Version 4 alone needs no port mapper. A server that has just begun lets clients of its former life come first, for 10 s at least.
  run('rpc.nfsd', '--grace-time', '10', '--no-udp', '--no-nfs-version', '3', '--nfs-version', '4.2', '4');
  later(() => run('rpc.nfsd', '0'));
  mount(later, 'nfs4', '127.0.0.1:/', mounted, 'vers=4.2,sec=sys,soft,timeo=100,retrans=2');
  return mounted;
}

test('files on NFS do direct I/O, from threads, and hold what was written to them', async () => {
  await undoing(async (later) => {
    const directory = networkFolder(later);
    report('nfs', await answersIn(directory));
    await reportNature('nfs', `${directory}/answers`);
    await using context = new AioContext({ depth: 32, memory: 16 * MEBIBYTE });
    const file = await context.open(`${directory}/direct`, 'w+');
    expect(file.direct).toBe(true);
    await file.close();
    const operations = requests * 5;
    const sizes = { files: 3, fileBlocks: 64, operationBlocks: 16, disturbances: 30 };
    await new Model({ context, directory, operations, concurrency: 16, ...sizes, seed: 1 }).run();
    // What goes on the event loop has asked first (RWF_NOWAIT) and was not refused.
    expect(context.stats().submittedOffThread).toBeGreaterThan(0);
  });
});
