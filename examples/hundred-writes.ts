/**
 * The main job: an HTTP server answers a client in another process without a pause, while a hundred files of 1 MiB are written in one
 * turn of the event loop. Once with kaio, and twice with Node's own fs for comparison.
 *
 *     npm start -- [--dir FOLDER] [--files N] [--size BYTES] [--json]
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { support } from 'kaio';
import { Client, runClient } from './hundred-writes/client.ts';
import { runJob } from './hundred-writes/job.ts';
import { type Options, readOptions, UsageError, usage } from './hundred-writes/options.ts';
import { howSubmitted, progress, table } from './hundred-writes/report.ts';

/** Something that the person at the terminal can change; the message says what. */
class Refusal extends Error {}

/** Removes a folder in which a file may still appear: an open that a thread has begun ends after the folder was listed. */
function remove(folder: string): void {
  for (let attempts = 100; attempts > 0; attempts--) {
    try {
      rmSync(folder, { recursive: true, force: true });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY' || attempts === 1) throw error;
    }
  }
}

/** Removes a folder when the process is told to end, and then ends it as the signal would have. */
function removeOnSignals(folder: string): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      progress('');
      remove(folder);
      process.exit(128 + constants.signals[signal]);
    });
  }
}

async function listen(): Promise<Server> {
  const server = createServer((_, response) => response.end('still here\n'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Says in one line why the job could not be done here. */
function explain(error: unknown, { dir, files, size }: Options): Error {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  const what = `${files} files of ${size} bytes`;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new Refusal(
        `${dir} has no room for ${what} (${code}). Name another folder with --dir, or write less with --size`,
      );
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return new Refusal(`Cannot make files in ${dir} (${code}). Name another folder with --dir`);
    case 'ENOENT':
    case 'ENOTDIR':
      return new Refusal(`${dir} is not a folder (${code}). Name one with --dir`);
    case 'EMFILE':
      return new Refusal(
        `This process may not open ${what} at once (${code}). Raise "ulimit -n", or write fewer with --files`,
      );
    case 'ERR_AIO_DIRECT_UNSUPPORTED':
      return new Refusal(`The file system of ${dir} cannot do direct I/O. Name a folder on a disk with --dir`);
    default:
      // What kaio or the kernel refuses says what to do; anything else is a fault of this program, and its stack helps.
      return code?.startsWith('ERR_AIO_') || errno !== undefined ? new Refusal(message) : (error as Error);
  }
}

async function hundredWrites(options: Options): Promise<boolean> {
  const supported = support();
  if (!supported.supported) throw new Refusal(supported.message);
  const folder = mkdtempSync(join(options.dir, 'kaio-hundred-writes-'));
  removeOnSignals(folder);
  let server: Server | undefined;
  let client: Client | undefined;
  try {
    progress('Starting the HTTP server and its client');
    server = await listen();
    client = await Client.start(fileURLToPath(import.meta.url), (server.address() as AddressInfo).port);
    const { results, submits } = await runJob({ folder, files: options.files, size: options.size }, client);
    const ok = results.every(({ checksums }) => checksums.wrong === 0);
    progress('');
    const { files, size } = options;
    if (options.json)
      console.log(JSON.stringify({ files, size, node: process.version, results, kaio: submits, ok }, null, 2));
    else console.log(`${summary(options)}\n\n${table(results)}\n\n${howSubmitted(submits)}`);
    return ok;
  } finally {
    progress('');
    client?.stop();
    server?.close();
    server?.closeAllConnections();
    remove(folder);
  }
}

function summary({ files, size, dir }: Options): string {
  return `${files} files of ${size} bytes in ${dir}, written in one turn of the event loop while an HTTP server answers:`;
}

/** Runs the job, and answers with the exit code. */
async function main(args: string[]): Promise<number> {
  let options: Options | 'help';
  try {
    options = readOptions(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`hundred-writes: ${error.message}\n\n${usage}`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  try {
    if (await hundredWrites(options)) return 0;
    process.stderr.write('hundred-writes: a file did not hold what was written to it\n');
  } catch (error) {
    const cause = explain(error, options);
    process.stderr.write(`hundred-writes: ${cause instanceof Refusal ? cause.message : cause.stack}\n`);
  }
  return 1;
}

const [role, port] = process.argv.slice(2);
if (role === '--client') await runClient(Number(port));
else process.exitCode = await main(process.argv.slice(2));
