// A bank in SQLite on kaio: each transaction moves money between accounts and numbers itself. It says `ack N` when COMMIT has answered,
// until it is killed, or has made as many as it should.
//
//   node workload.js '{"folder": ..., "journal": "DELETE", "seed": 1, "transactions": 100}'
import { readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as SQLite from 'wa-sqlite';
import makeSqlite from 'wa-sqlite/dist/wa-sqlite-async.mjs';
import { AioContext } from '../../../dist/index.js';
import { below, oneIn, seed as seedRandom } from '../fuzz/values.js';
import { KaioVfs } from './vfs.js';

const { folder, journal, seed, transactions } = JSON.parse(process.argv[2]);
const ACCOUNTS = 200;
const START = 1000;

seedRandom(seed);
const wasmBinary = readFileSync(createRequire(import.meta.url).resolve('wa-sqlite/dist/wa-sqlite-async.wasm'));
const sqlite3 = SQLite.Factory(await makeSqlite({ wasmBinary }));
const context = new AioContext({ depth: 32, memory: 8 << 20 });
sqlite3.vfs_register(new KaioVfs(context, folder), false);
const db = await sqlite3.open_v2('bank.db', SQLite.SQLITE_OPEN_CREATE | SQLite.SQLITE_OPEN_READWRITE, 'kaio');

/** Runs statements; the rows of all of them. */
async function run(sql) {
  const rows = [];
  await sqlite3.exec(db, sql, (row) => rows.push(row));
  return rows;
}

const one = async (sql) => (await run(sql))[0]?.[0];

await run(
  `PRAGMA page_size = 4096; PRAGMA journal_mode = ${journal}; PRAGMA synchronous = FULL; PRAGMA cache_size = 20;`,
);
await run(`CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, money INTEGER, note BLOB);
  CREATE TABLE IF NOT EXISTS done (number INTEGER PRIMARY KEY, what TEXT);
  CREATE INDEX IF NOT EXISTS by_money ON account (money, id);`);
// What a kill has left was rolled back by now.
const [check, count, last] = [
  await one('PRAGMA integrity_check'),
  await one('SELECT count(*) FROM account'),
  (await one('SELECT max(number) FROM done')) ?? 0,
];
if (count === 0) {
  const values = Array.from({ length: ACCOUNTS }, (_, id) => `(${id}, ${START}, zeroblob(${below(3000)}))`);
  await run(`BEGIN; INSERT INTO account VALUES ${values}; COMMIT`);
}
const sum = await one('SELECT sum(money) FROM account');
writeSync(1, `open ${JSON.stringify({ check, sum, expected: ACCOUNTS * START, last })}\n`);

let number = last;
for (let made = 0; made < transactions; made++) {
  number++;
  let sql = 'BEGIN IMMEDIATE;';
  for (let moves = 1 + below(20); moves > 0; moves--) {
    const [from, to, amount] = [below(ACCOUNTS), below(ACCOUNTS), below(50)];
    sql += `UPDATE account SET money = money - ${amount} WHERE id = ${from};
      UPDATE account SET money = money + ${amount}, note = randomblob(${below(6000)}) WHERE id = ${to};`;
  }
  sql += `INSERT INTO done VALUES (${number}, hex(randomblob(${below(500)})));`;
  if (oneIn(10)) {
    await run(`${sql} ROLLBACK;`);
    number--;
    continue;
  }
  await run(`${sql} COMMIT;`);
  writeSync(1, `ack ${number}\n`);
  if (oneIn(40)) await run('VACUUM');
}
await sqlite3.close(db);
await context.close();
writeSync(1, `closed ${number}\n`);
