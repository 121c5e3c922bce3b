import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeIocb, layoutOf } from '../../src/layout/index.ts';
import { noChromium, Page } from './chromium.ts';

const index = fileURLToPath(new URL('../../docs/explorer/index.html', import.meta.url));
const reason = noChromium();
let profile = '';
let page: Page;

beforeAll(async () => {
  profile = mkdtempSync(join(tmpdir(), 'kaio-explorer-'));
  if (reason === undefined) page = await Page.open(`${pathToFileURL(index)}#iocb/s390x`, profile);
});
afterAll(async () => {
  if (reason === undefined) await page.close();
  rmSync(profile, { recursive: true, force: true });
});

async function choose(id: string, value: string): Promise<void> {
  await page.evaluate(`(${id}.value = '${value}', ${id}.dispatchEvent(new Event('change')))`);
}

async function rows(selector: string): Promise<string[][]> {
  return (await page.evaluate(
    `[...document.querySelectorAll('${selector} tr')].map((row) => [...row.cells].map((cell) => cell.textContent))`,
  )) as string[][];
}

describe('the layout explorer', () => {
  it('is a page of one script that loads nothing else', () => {
    const script = readFileSync(join(index, '../explorer.js'), 'utf8');
    expect(readFileSync(index, 'utf8').match(/(?:src|href)="[^"]*"/g)).toEqual(['src="explorer.js"']);
    expect(script).not.toMatch(/\b(?:require|import)\s*\(|from\s*["']|node:/);
  });

  it('draws the iocb map of the ABI that the address names', async ({ skip }) => {
    skip(reason !== undefined, reason);
    const drawn = await page.evaluate(
      `[...document.querySelectorAll('#map .field')].map((field) => [field.dataset.field, +field.dataset.offset, field.querySelector('rect').getBoundingClientRect().width > 100])`,
    );
    expect(drawn).toEqual(layoutOf('iocb', 's390x').fields.map(({ name, offset }) => [name, offset, true]));
    if (process.env['KAIO_SCREENSHOT']) writeFileSync(process.env['KAIO_SCREENSHOT'], await page.screenshot());
  });

  it('says what the field under the mouse is', async ({ skip }) => {
    skip(reason !== undefined, reason);
    await page.hover('#map [data-field=aio_rw_flags]');
    expect(await page.evaluate('detail.textContent')).toBe(
      '__kernel_rwf_t aio_rw_flags: 4 bytes from byte 8 to 11, in <linux/aio_abi.h>',
    );
    expect(await page.evaluate(`[...document.querySelectorAll('.chosen')].map((each) => each.dataset.field)`)).toEqual([
      'aio_rw_flags',
      'aio_rw_flags',
    ]);
  });

  it('follows the choice of structure and ABI, and shows differences and notes', async ({ skip }) => {
    skip(reason !== undefined, reason);
    await choose('struct', 'timespec');
    await choose('abi', 'x32');
    await choose('other', 'i386');
    expect(await rows('#fields')).toEqual([
      ['offset', 'size', 'type', 'field'],
      ['0', '8', '__kernel_long_t', 'tv_sec'],
      ['8', '4', 'long', 'tv_nsec'],
    ]);
    expect(await rows('#differences')).toContainEqual(['size', '16', '8']);
    expect(await page.evaluate('notes.children.length')).toBe(3);
    expect(await page.evaluate('location.hash')).toBe('#timespec/x32');
    expect(await page.evaluate(`document.querySelectorAll('#map .field:not([data-field])').length`)).toBe(1);
  });

  it('decodes pasted bytes, and flags what the kernel would refuse', async ({ skip }) => {
    skip(reason !== undefined, reason);
    await choose('struct', 'iocb');
    await choose('abi', 's390x');
    await page.evaluate('bytes.focus()');
    const iocb = encodeIocb({ aio_lio_opcode: 1, aio_nbytes: 512, aio_reserved2: 1, aio_buf: 4096 }, 's390x');
    await page.insertText(Buffer.from(iocb).toString('hex'));
    const decoded = await rows('#decoded');
    expect(decoded).toContainEqual(['aio_lio_opcode', '1', 'IOCB_CMD_PWRITE', '']);
    expect(decoded).toContainEqual(['aio_reserved2', '1', '', 'EINVAL: it must be 0']);
  });

  it('says why it cannot decode, and takes markup for text', async ({ skip }) => {
    skip(reason !== undefined, reason);
    await page.evaluate('bytes.value = ""');
    await page.insertText('<img src=x onerror=alert(1)>');
    expect(await page.evaluate('decoded.textContent')).toBe('This is not hexadecimal.');
    await page.evaluate('bytes.value = ""');
    await page.insertText('00 11');
    expect(await page.evaluate('decoded.textContent')).toBe('2 bytes; iocb has 64 on s390x.');
  });
});
