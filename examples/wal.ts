/**
 * A write-ahead log: what it has acknowledged survives a crash. The log itself is `wal/log.ts`, to be taken as it is; this program puts
 * lines into one and shows what is in it. test/campaigns/wal.test.ts kills it and cuts its power off, some hundred times.
 *
 *     seq 1000 | node examples/out/wal.js append FOLDER
 *     node examples/out/wal.js list FOLDER
 */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Log } from './wal/log.ts';

const usage = `Usage: wal append FOLDER   makes each line of standard input a record, and prints its number once it is durable
       wal list FOLDER     prints all records
`;
/** So many lines may wait to be durable. */
const CONCURRENCY = 1024;

async function append(log: Log): Promise<void> {
  const first = log.next;
  const lines = Readable.from(createInterface({ input: process.stdin }));
  await lines.forEach(
    async (line: string) => {
      process.stdout.write(`${await log.append(Buffer.from(line))}\n`);
    },
    { concurrency: CONCURRENCY },
  );
  process.stderr.write(`${log.next - first} records made durable by ${log.syncs} datasyncs\n`);
}

async function list(log: Log): Promise<void> {
  const lines = async function* (): AsyncGenerator<string> {
    for await (const { number, data } of log.records()) yield `${number}\t${data}\n`;
  };
  await pipeline(lines, process.stdout, { end: false });
}

const commands: Record<string, (log: Log) => Promise<void>> = { append, list };

async function main([command = '', folder, ...rest]: string[]): Promise<number> {
  const run = Object.hasOwn(commands, command) ? commands[command] : undefined;
  if (run === undefined || folder === undefined || rest.length > 0) {
    process.stderr.write(usage);
    return 2;
  }
  try {
    // Listing makes nothing: a folder that is misspelt is an error.
    await using log = await Log.open(folder, { create: run !== list });
    await run(log);
    return 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return 0; // As with "list | head": it has seen enough.
    process.stderr.write(`wal: ${(error as Error).message}\n`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
