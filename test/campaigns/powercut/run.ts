import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Loss, makeImage, memoryFolder, PowerCutDisk, soon } from '../../support/powercut.ts';
import { undoing } from '../../support/undo.ts';
import { type Claims, check, checkLog, claim, type Faults, noClaims, type Reader } from './check.ts';
import type { Lane, Plan } from './plan.ts';

const program = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** What came of one loss of power. */
export interface Outcome extends Faults {
  plan: Plan;
  loss: Loss;
  /** Units that were acknowledged after the power cut was armed. */
  acknowledged: number;
  /** Requests that failed although the power was there. */
  failed: string[];
  /** Why the file system could not be mounted again, or read. */
  unreadable: string | undefined;
}

/** Runs plans one after another, with the images that they share. */
export class PowerCuts {
  readonly #folder = mkdtempSync(`${memoryFolder}/kaio-powercut-`);

  constructor() {
    // Also where the tests are ended half-way.
    process.once('exit', () => this.close());
  }

  async run(plan: Plan): Promise<Outcome> {
    const image = await this.#image(plan);
    const folder = mkdtempSync(`${this.#folder}/run-`);
    return await undoing(async (later) => {
      const { seed, sectorBytes, manner } = plan;
      const disk = await PowerCutDisk.start(folder, { image, sectorBytes, seed, manner }, later);
      const type = plan.storage === 'raw' ? undefined : plan.storage;
      const claims = await write(plan, disk, await disk.attach(type));
      const loss = await disk.lost;
      await disk.detach();
      await disk.powerOn();
      const failed = claims.errors.filter(({ atNs }) => atNs < loss.atNs).map(({ what }) => what);
      const seen = { plan, loss, acknowledged: claims.acknowledged, failed };
      try {
        return { ...seen, ...(await faultsOf(plan, claims, await disk.attach(type))), unreadable: undefined };
      } catch (error) {
        return { ...seen, lost: [], foreign: [], unreadable: String(error) };
      } finally {
        await disk.detach();
      }
    });
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #image({ storage, sectorBytes }: Plan): Promise<string> {
    const path = `${this.#folder}/${storage}-${sectorBytes}`;
    if (!existsSync(path)) await makeImage(path, storage, sectorBytes);
    return path;
  }
}

/** Starts one of the programs of this folder; `onLine` hears what it says. Its end is awaited where its output is: `ended`. */
function start(plan: Plan, args: readonly string[], onLine: (line: string) => void) {
  const env = { ...process.env, ...(plan.reap === 'ring' ? {} : { KAIO_REAP: plan.reap }) };
  const child = spawn(process.execPath, args, { env, stdio: 'pipe' });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  createInterface({ input: child.stdout }).on('line', onLine);
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stderr }));
  return { child, ended };
}

/** Has the plan's program write until the power is lost, and kills it. Resolves with all that it has said. */
async function write(plan: Plan, disk: PowerCutDisk, target: string): Promise<Claims> {
  const claims = noClaims(plan);
  const command = plan.log ? [program('log.js'), 'append'] : [program('writer.js')];
  const { child, ended } = start(plan, [...command, JSON.stringify(plan), target], (line) => {
    claim(claims, line);
    if (line === 'ready') void disk.arm(plan.cutAfter).then(() => child.stdin.write('\n'));
    else if (line === 'done') void disk.cut();
  });
  try {
    const early = ended.then(({ stderr }) => Promise.reject(new Error(`the writer ended by itself: ${stderr}`)));
    await soon('the loss of power', Promise.race([disk.lost, early]));
  } finally {
    child.kill('SIGKILL');
    await soon('the end of the writer', ended);
  }
  return claims;
}

async function faultsOf(plan: Plan, claims: Claims, place: string): Promise<Faults> {
  if (!plan.log) return check(plan, claims, plan.storage === 'raw' ? deviceReader(place) : folderReader(place));
  const lines: string[] = [];
  const { ended } = start(plan, [program('log.js'), 'list', JSON.stringify(plan), place], (line) => lines.push(line));
  const { code, stderr } = await soon('the listing of the log', ended);
  if (code !== 0) throw new Error(`the log cannot be read: ${stderr}`);
  return checkLog(claims, lines);
}

/** Reads as any program does, through the page cache of a file system that was mounted a moment ago. */
function folderReader(folder: string): Reader {
  return ({ name }, suffix) => {
    const path = `${folder}/${name}${suffix}`;
    return existsSync(path) ? readFileSync(path) : undefined;
  };
}

function deviceReader(device: string): Reader {
  return ({ base, fileBytes, mostBytes }: Lane) => {
    const bytes = Buffer.alloc(fileBytes + mostBytes);
    const fd = openSync(device, 'r');
    try {
      const read = readSync(fd, bytes, 0, bytes.length, base);
      if (read !== bytes.length) throw new Error(`${device} ends within a lane`);
    } finally {
      closeSync(fd);
    }
    return bytes;
  };
}
