import { readdirSync, realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { readNumber, readText } from './proc.ts';

/** A block device, as /sys tells of it (Linux, Documentation/ABI/stable/sysfs-block). What it does not tell is missing. */
export interface Device {
  /** `vda`, and the part of it that is used, `vda1`. */
  readonly name: string;
  readonly partition?: string;
  readonly logicalBlockBytes?: number;
  readonly physicalBlockBytes?: number;
  /** How many requests each of its queues takes before io_submit waits, and how many queues there are. */
  readonly queueDepth?: number;
  readonly queues?: number;
  readonly scheduler?: string;
  /** Of a loop device: the file, and whether it goes past the page cache. */
  readonly backing?: { readonly path: string; readonly direct: boolean };
  /** The devices that this one is made of (LVM, LUKS, md). */
  readonly over?: readonly Device[];
}

function names(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** The device with this number; undefined where it is none that /sys knows, such as that of a file system without a device. */
export function deviceOf(major: number, minor: number): Device | undefined {
  let path: string;
  try {
    path = realpathSync(`/sys/dev/block/${major}:${minor}`);
  } catch {
    return undefined;
  }
  if (readText(`${path}/partition`) === undefined) return describe(path);
  return { ...describe(dirname(path)), partition: basename(path) };
}

function describe(path: string): Device {
  const backing = readText(`${path}/loop/backing_file`);
  const facts = {
    logicalBlockBytes: readNumber(`${path}/queue/logical_block_size`),
    physicalBlockBytes: readNumber(`${path}/queue/physical_block_size`),
    // SCSI has a limit of its own, below that of the queue.
    queueDepth: readNumber(`${path}/device/queue_depth`) ?? readNumber(`${path}/queue/nr_requests`),
    queues: names(`${path}/mq`).length || undefined,
    scheduler: /\[(.*)\]/.exec(readText(`${path}/queue/scheduler`) ?? '')?.[1],
    backing: backing === undefined ? undefined : { path: backing, direct: readText(`${path}/loop/dio`) === '1' },
    over: overOf(path),
  };
  const known = Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined));
  return { name: basename(path), ...known };
}

function overOf(path: string): Device[] | undefined {
  const devices = names(`${path}/slaves`).flatMap((name) => {
    const [major, minor] = (readText(`${path}/slaves/${name}/dev`) ?? '').split(':').map(Number);
    return deviceOf(major!, minor!) ?? [];
  });
  return devices.length === 0 ? undefined : devices;
}
