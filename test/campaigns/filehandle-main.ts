// Carries out every case of test/support/filehandle.ts on the FileHandle of the Node that runs this and on an AioFile, and prints, as JSON,
// what FileHandle has and what differs. Node 24 runs it as it stands.
import { promises as fs, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AioContext, AioFile } from '../../src/index.ts';
import { cases, effectOf, methodsOfFileHandle } from '../support/filehandle.ts';

const folder = mkdtempSync(join(process.argv[2]!, 'parity-'));
const path = join(folder, 'file');
const context = new AioContext({ memory: 4 << 20 });
const unlike: object[] = [];
let tried = 0;
for (const direct of process.argv[3] === 'direct' ? [true, false] : [false]) {
  for (const one of cases) {
    const expected = await effectOf(one, path, (flags) => fs.open(path, flags));
    const actual = await effectOf(one, path, (flags) => context.open(path, flags, { direct }));
    const same = JSON.stringify(expected) === JSON.stringify(actual);
    tried++;
    if (same === (one.differs === undefined)) continue;
    unlike.push({ direct, method: one.method, overload: one.overload, about: one.about, expected, actual });
  }
}
const methods = await methodsOfFileHandle(path);
const missing = methods.filter((name) => name !== '[Symbol.asyncDispose]' && !(name in AioFile.prototype));
await context.close();
rmSync(folder, { recursive: true });
console.log(JSON.stringify({ version: process.versions.node, tried, methods, missing, unlike }));
