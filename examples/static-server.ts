/**
 * An HTTP server for the files of a folder, which it reads past the page cache: for files that are too many or too large to be cached.
 * What answers a request is `static-server/handler.ts`.
 *
 *     node examples/out/static-server.js FOLDER [--port PORT] [--host HOST]
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { AioContext } from 'kaio';
import { serveFiles } from './static-server/handler.ts';

const usage = 'Usage: static-server FOLDER [--port PORT] [--host HOST]\n';

interface Options {
  folder: string;
  port: number;
  host: string;
}

function readOptions(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { port: { type: 'string', default: '8080' }, host: { type: 'string', default: '127.0.0.1' } },
  });
  const [folder, ...rest] = positionals;
  if (folder === undefined || rest.length > 0) throw new Error('It takes one folder');
  if (!/^\d{1,5}$/.test(values.port)) throw new Error(`--port takes a number, not '${values.port}'`);
  return { folder, port: Number(values.port), host: values.host };
}

async function serve({ folder, port, host }: Options): Promise<void> {
  const server = createServer(await serveFiles(AioContext.default, folder));
  server.listen(port, host);
  await once(server, 'listening');
  const { port: taken } = server.address() as AddressInfo;
  console.log(`Serving ${folder} at http://${host}:${taken}/`);
}

async function main(args: string[]): Promise<number> {
  let options: Options;
  try {
    options = readOptions(args);
  } catch (error) {
    process.stderr.write(`static-server: ${(error as Error).message}\n${usage}`);
    return 2;
  }
  try {
    await serve(options);
    return 0;
  } catch (error) {
    process.stderr.write(`static-server: ${(error as Error).message}\n`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
