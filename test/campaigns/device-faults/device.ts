import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Later, run } from '../../support/mounts.ts';
import { makeImage, memoryFolder, PowerCutDisk } from '../../support/powercut.ts';
import type { Random } from '../../support/random.ts';
import { UNIT_BYTES, type Weather } from './load.ts';

const SECTOR_BYTES = 512;
const UNIT_SECTORS = UNIT_BYTES / SECTOR_BYTES;

/** What a block device can answer, and a program then gets by the same name (blk_errors in the kernel's block/blk-core.c). */
export const codes = ['EIO', 'ENODATA', 'ENOSPC', 'ETIMEDOUT', 'EILSEQ'] as const;
export type Code = (typeof codes)[number];

/** A run of units, and the sector where it is on the disk. */
interface Extent {
  unit: number;
  count: number;
  sector: number;
}

/** A disk with one place to write to, a file or all of it, and whatever is wrong with that place. */
export class Device implements Weather {
  readonly disk: PowerCutDisk;
  /** What to open. */
  readonly path: string;
  readonly units: number;
  bad: readonly { first: number; count: number }[] = [];
  badFlush = false;
  changes = 0;
  readonly #extents: readonly Extent[];

  private constructor(disk: PowerCutDisk, path: string, extents: readonly Extent[]) {
    this.disk = disk;
    this.path = path;
    this.#extents = extents;
    this.units = extents.reduce((sum, { count }) => sum + count, 0);
  }

  static async make(storage: 'ext4' | 'xfs' | 'raw', units: number, seed: number, later: Later): Promise<Device> {
    const folder = mkdtempSync(`${memoryFolder}/kaio-faults-`);
    later(() => run('rm', '-r', folder));
    const image = `${folder}/image`;
    mkdirSync(`${folder}/disk`);
    await makeImage(image, storage, SECTOR_BYTES);
    const options = { image, sectorBytes: SECTOR_BYTES, seed };
    const disk = await PowerCutDisk.start(`${folder}/disk`, options, later);
    if (storage === 'raw') {
      return new Device(disk, await disk.attach(), [{ unit: 0, count: units, sector: 0 }]);
    }
    const path = `${await disk.attach(storage)}/file`;
    writeFileSync(path, Buffer.alloc(units * UNIT_BYTES, 1), { flush: true });
    return new Device(disk, path, extentsOf(path));
  }

  /** Makes sectors bad: those from `skip` on in the first of these units, so many. */
  async spoil(unit: number, sectors: number, code: Code, skip = 0): Promise<void> {
    const extent = this.#extents.find((each) => unit >= each.unit && unit < each.unit + each.count)!;
    const sector = extent.sector + (unit - extent.unit) * UNIT_SECTORS + skip;
    const most = (extent.unit + extent.count - unit) * UNIT_SECTORS - skip;
    const count = Math.min(sectors, most);
    await this.#change('bad', sector, count, constants.errno[code]);
    this.bad = [...this.bad, { first: unit, count: Math.ceil((skip + count) / UNIT_SECTORS) }];
    this.changes++;
  }

  async spoilFlush(code: Code): Promise<void> {
    await this.#change('bad-flush', constants.errno[code]);
    this.badFlush = true;
    this.changes++;
  }

  async hang(): Promise<void> {
    await this.#change('hang');
    this.changes++;
  }

  async heal(): Promise<void> {
    await this.#change('heal');
    this.bad = [];
    this.badFlush = false;
    this.changes++;
  }

  async #change(...words: (string | number)[]): Promise<void> {
    this.changes++;
    await this.disk.tell(...words);
  }
}

/** Where on the disk a file is. */
function extentsOf(path: string): Extent[] {
  const rows = run('filefrag', '-v', `-b${SECTOR_BYTES}`, path).matchAll(
    /^ *\d+: +(\d+)\.\. *\d+: +(\d+)\.\. *\d+: +(\d+)/gm,
  );
  return [...rows].map(([, logical, physical, length]) => ({
    unit: Number(logical) / UNIT_SECTORS,
    count: Number(length) / UNIT_SECTORS,
    sector: Number(physical),
  }));
}

/** Sectors anywhere, of a number that may be more than a unit has. */
async function spoilSome(device: Device, random: Random): Promise<void> {
  const skip = random.below(UNIT_SECTORS);
  await device.spoil(random.below(device.units), random.between(1, 24), random.pick(codes), skip);
}

/** Does one thing after another to a device until it is told to stop; in the end everything is well. */
export async function torment(device: Device, random: Random, flushes: boolean, signal: AbortSignal): Promise<number> {
  let hangs = 0;
  for (let i = 0; i < 8; i++) await spoilSome(device, random);
  while (!signal.aborted) {
    await sleep(random.between(1, 15));
    const what = random.below(10);
    if (what < 5) await spoilSome(device, random);
    if (what === 5 && flushes) await device.spoilFlush(random.pick(codes));
    if (what === 6) {
      hangs++;
      await device.hang();
      await sleep(random.between(5, 100));
      await device.heal();
    }
    if (what > 7 || device.bad.length > 30) await device.heal();
    if (what === 9) await sleep(30);
  }
  await device.heal();
  return hangs;
}
