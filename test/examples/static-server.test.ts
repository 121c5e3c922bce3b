// The server of examples/static-server: the right bytes for every kind of request, and nothing that is not in its folder.
import { once } from 'node:events';
import { mkdirSync, renameSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type RequestOptions, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { AioContext } from 'kaio';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { serveFiles } from '../../examples/static-server/handler.ts';
import { partOf } from '../../examples/static-server/ranges.ts';
import { run } from '../package/installed.ts';
import { eventually } from '../support/proc.ts';
import { Random } from '../support/random.ts';
import { scratchFolder } from '../support/scratch.ts';

const SIZE = 3_000_001;
const folder = scratchFolder();
const bytes = Buffer.alloc(SIZE);
new Random(1).fill(bytes);

const context = new AioContext({ depth: 16, memory: 4 * 1024 * 1024 });
let server: Server;
let port = 0;

beforeAll(async () => {
  mkdirSync(`${folder}/root/sub`, { recursive: true });
  writeFileSync(`${folder}/secret`, 'secret');
  writeFileSync(`${folder}/root/big`, bytes);
  writeFileSync(`${folder}/root/empty`, '');
  writeFileSync(`${folder}/root/a b.html`, '<p>');
  writeFileSync(`${folder}/root/sub/index.html`, 'index');
  symlinkSync('../secret', `${folder}/root/out`);
  symlinkSync('sub/index.html', `${folder}/root/in`);
  run('mkfifo', [`${folder}/root/pipe`]);
  // Two turns for everybody: whoever does not end his is noticed.
  server = createServer(await serveFiles(context, `${folder}/root`, { concurrency: 2 }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await context.close();
});

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** Sends a request as it is given: no client tidies up its path. */
async function ask(path: string, options: RequestOptions = {}): Promise<Answer> {
  const sent = request({ port, host: '127.0.0.1', path, ...options }).end();
  const [answer] = await once(sent, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) };
}

const askRange = (range: string, more = {}) => ask('/big', { headers: { range, ...more } });

describe('a whole file', () => {
  test('comes with its length, type and validators, and HEAD gives the same without the bytes', async () => {
    const { status, headers, body } = await ask('/big');
    expect(status).toBe(200);
    expect(body.equals(bytes)).toBe(true);
    expect(headers).toMatchObject({ 'content-length': `${SIZE}`, 'accept-ranges': 'bytes', etag: /^".+"$/ });
    const head = await ask('/big', { method: 'HEAD' });
    expect(head.body.length).toBe(0);
    expect({ ...head.headers, date: '' }).toEqual({ ...headers, date: '' });
  });

  test.each([
    ['/a%20b.html', '<p>', 'text/html; charset=utf-8'],
    ['/a%20b.html?query#part', '<p>', 'text/html; charset=utf-8'],
    ['/sub/', 'index', 'text/html; charset=utf-8'],
    ['/in', 'index', 'application/octet-stream'],
    ['/empty', '', 'application/octet-stream'],
    ['/sub/../../../empty', '', 'application/octet-stream'],
    ['http://some.host/empty', '', 'application/octet-stream'],
  ])('%s', async (path, content, type) => {
    const { status, headers, body } = await ask(path);
    expect({ status, type: headers['content-type'], content: `${body}` }).toEqual({ status: 200, type, content });
  });
});

describe('what is not there', () => {
  test.each([
    '/nothing',
    '/sub',
    '/pipe',
    '/out',
    '/../secret',
    '/%2e%2e/secret',
    '/..%2fsecret',
    '/sub/..%2f..%2fsecret',
    '/empty/x',
    `/${'x'.repeat(300)}`,
  ])('%s is 404', async (path) => {
    expect(await ask(path)).toMatchObject({ status: 404, body: Buffer.from('Not found\n') });
  });

  test.each(['/%', '/%ff', '/%00'])('%s is 400', async (path) => {
    expect((await ask(path)).status).toBe(400);
  });

  test('other methods are 405', async () => {
    expect(await ask('/empty', { method: 'POST' })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
  });
});

describe('a range', () => {
  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=1-4096', 1, 4097],
    ['bytes=511-513', 511, 514],
    ['bytes=4096-8191', 4096, 8192],
    ['bytes=262143-1000000', 262143, 1_000_001],
    ['bytes=2999999-', 2_999_999, SIZE],
    ['bytes=3000000-9999999', 3_000_000, SIZE],
    ['bytes=-1', SIZE - 1, SIZE],
    ['bytes=-9999999', 0, SIZE],
  ])('%s', async (range, start, end) => {
    const { status, headers, body } = await askRange(range);
    expect({ status, range: headers['content-range'] }).toEqual({
      status: 206,
      range: `bytes ${start}-${end - 1}/${SIZE}`,
    });
    expect(body.equals(bytes.subarray(start, end))).toBe(true);
  });

  test.each(['bytes=3000001-', 'bytes=99999999999999999999-', 'bytes=-0'])('%s is 416', async (range) => {
    const { status, headers } = await askRange(range);
    expect({ status, range: headers['content-range'] }).toEqual({ status: 416, range: `bytes */${SIZE}` });
  });

  test.each(['bytes=0-1,5-6', 'bytes=5-4', 'bytes=-', 'bytes=a-b', 'lines=1-2', 'bytes=1 2-3'])(
    '%s is answered with all of it',
    (range) => expect(partOf(range, SIZE)).toBeUndefined(),
  );

  test('of an empty file is 416', () => {
    expect([partOf('bytes=0-', 0), partOf('bytes=-5', 0)]).toEqual(['unsatisfiable', 'unsatisfiable']);
  });

  test('counts only if the file is still as the client knows it', async () => {
    const { etag, 'last-modified': modified } = (await ask('/big', { method: 'HEAD' })).headers;
    for (const [state, status] of [
      [etag, 206],
      [modified, 206],
      ['"other"', 200],
      [new Date(0).toUTCString(), 200],
    ] as const)
      expect((await askRange('bytes=0-9', { 'if-range': state })).status).toBe(status);
  });
});

test('what the client has already is 304, until the file changes', async () => {
  const path = `${folder}/root/changing`;
  writeFileSync(path, 'one');
  const { etag, 'last-modified': modified } = (await ask('/changing')).headers;
  for (const headers of [
    { 'if-none-match': etag },
    { 'if-none-match': `"x", W/${etag}` },
    { 'if-none-match': '*' },
    { 'if-modified-since': modified },
  ]) {
    expect(await ask('/changing', { headers })).toMatchObject({
      status: 304,
      headers: { etag },
      body: Buffer.alloc(0),
    });
  }
  expect((await ask('/changing', { headers: { 'if-none-match': '"x"', 'if-modified-since': modified } })).status).toBe(
    200,
  );
  utimesSync(path, 1_000_000_000, 2_000_000_000.5);
  expect((await ask('/changing', { headers: { 'if-none-match': etag } })).status).toBe(200);
  expect((await ask('/changing', { headers: { 'if-modified-since': modified } })).status).toBe(200);
});

/** A client that takes nothing of a file beyond what the kernel's buffers do. */
async function stalled(): Promise<ReturnType<typeof connect>> {
  const socket = connect(port, '127.0.0.1').pause();
  socket.write('GET /big HTTP/1.1\r\nHost: x\r\n\r\nGET /big HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'connect');
  return socket;
}

test('many clients share little memory, and each gets its bytes', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => askRange(`bytes=${i * 1000}-`)));
  answers.forEach(({ body }, i) => {
    expect(body.equals(bytes.subarray(i * 1000))).toBe(true);
  });
});

test('clients that go away in the middle leave memory and files to the others', async () => {
  const files = () => run('ls', ['-l', `/proc/${process.pid}/fd`]).stdout.split('root/big').length - 1;
  for (let round = 0; round < 5; round++) {
    const clients = await Promise.all([stalled(), stalled(), stalled()]);
    await new Promise((resolve) => setTimeout(resolve, round * 10));
    for (const client of clients) client.destroy();
  }
  expect((await ask('/big')).body.equals(bytes)).toBe(true);
  expect(await eventually(() => context.stats().inFlight === 0 && files() === 0, 10_000)).toBe(true);
});

test('a file that becomes shorter while it is sent ends the connection, not the server', async () => {
  const said = vi.spyOn(console, 'error').mockImplementation(() => {});
  const path = `${folder}/root/shrinking`;
  writeFileSync(`${path}.new`, Buffer.alloc(32 * 1024 * 1024));
  renameSync(`${path}.new`, path);
  const sent = request({ port, host: '127.0.0.1', path: '/shrinking' }).end();
  const [answer] = await once(sent, 'response');
  truncateSync(path, 5000);
  await expect(
    (async () => {
      for await (const _ of answer);
    })(),
  ).rejects.toThrow('aborted');
  expect(String(said.mock.calls[0]?.[0])).toContain('has become shorter');
  said.mockRestore();
  expect((await ask('/shrinking')).body.length).toBe(5000);
});
