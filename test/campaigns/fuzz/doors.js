// The three doors of the package, as things to call. A door makes its calls from what test/campaigns/fuzz/values.js gives.
import { closeSync, constants, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import * as kaio from '../../../dist/index.js';
import * as layout from '../../../dist/layout/index.js';
import * as raw from '../../../dist/raw/index.js';
import { below, closedDescriptor, likely, number, oneIn, optionBag, pick, seed, value, view } from './values.js';

/** Arguments: as many as the function has and up to two more or less. */
function some(count, make) {
  return Array.from({ length: Math.max(0, count + below(3) - 1) }, make);
}

// ---- kaio/layout -----------------------------------------------------------------------------------------------------------

const functionsOf = (module) => Object.entries(module).filter(([, made]) => typeof made === 'function');

/** Nothing here may do more than throw. */
class LayoutDoor {
  #functions = functionsOf(layout).filter(([name]) => !name.startsWith('vectors'));
  #structs = layout.structs;
  #abis = layout.abis.map(({ name }) => name);

  next() {
    const [name, call] = pick(this.#functions);
    const args = oneIn(2) ? this.#fitting(name) : some(Math.max(2, call.length), () => this.#argument());
    return { name, args, call: () => call(...args) };
  }

  /** Arguments of the right kind, with any content. */
  #fitting(name) {
    const [struct, abi] = [pick(this.#structs), pick(this.#abis)];
    const exact = (which) => this.#bytes(layout.layoutOf(which, abi).size);
    const known = {
      abiOf: () => [abi],
      constantOn: () => [pick(layout.constants).name, abi],
      parseHex: () => [this.#bytes(below(40)).toString(pick(['hex', 'latin1'])), oneIn(2)],
      layoutOf: () => [struct, abi],
      diffLayouts: () => [struct, abi, pick(this.#abis)],
      explain: () => [struct, exact(struct), abi],
      decode: () => [struct, exact(struct), abi],
      decodeAll: () => [struct, Buffer.concat([exact(struct), exact(struct)]), abi],
      decodeIocb: () => [exact('iocb'), abi],
      decodeIoEvent: () => [exact('io_event'), abi],
      decodeIoEvents: () => [exact('io_event'), abi],
      encode: () => [struct, layout.decode(struct, exact(struct), abi), abi],
      encodeAll: () => [struct, [layout.decode(struct, exact(struct), abi)], abi],
      encodeIocb: () => [this.#record(), abi],
      encodeIoEvent: () => [this.#record(), abi],
      encodeBatch: () => [[this.#record()], number(), abi],
      refusals: () => [layout.decodeIocb(exact('iocb'), abi), abi],
      drawText: () => [{ ...layout.layoutOf(struct, abi), ...optionBag() }, optionBag()],
      drawTable: () => [layout.layoutOf(struct, abi)],
      drawSvg: () => [{ ...layout.layoutOf(struct, abi), size: number() }],
    };
    return known[name]?.() ?? some(2, () => this.#argument());
  }

  #argument() {
    switch (below(6)) {
      case 0:
        return pick(this.#structs);
      case 1:
        return pick(this.#abis);
      case 2:
        return this.#bytes();
      case 3:
        return this.#record();
      case 4:
        return oneIn(2) ? pick(Object.keys(layout.constants)) : [this.#record(), this.#record()];
      default:
        return value();
    }
  }

  #bytes(length = pick([4, 8, 16, 32, 64, 64, 128, below(300)])) {
    const bytes = Buffer.alloc(length);
    for (let at = 0; at < bytes.length; at++) bytes[at] = oneIn(2) ? 0 : below(256);
    return bytes;
  }

  #record() {
    const { fields } = layout.layoutOf(pick(this.#structs));
    return Object.fromEntries(fields.filter(() => oneIn(2)).map(({ name }) => [name, oneIn(2) ? value() : number()]));
  }

  async end() {}
}

// ---- kaio/raw --------------------------------------------------------------------------------------------------------------

/**
 * The calls of the kernel with addresses that are safe to give: of memory that is there for it, of none, and of the kernel's own half. The
 * memory that the kernel reads requests from is made anew for each call, and is none that it writes to.
 */
class RawDoor {
  #arena = new raw.Arena(1 << 20);
  #requests = this.#arena.allocate(1 << 16);
  #written = this.#arena.allocate(1 << 16);
  #data = this.#arena.allocate(1 << 16);
  #zeros = this.#arena.allocate(4096);
  #ctx = raw.io_setup(32);
  #gone = raw.io_setup(1);
  #file;
  #functions = functionsOf(raw).filter(([name]) => name !== 'Arena');

  constructor(dir) {
    raw.io_destroy(this.#gone);
    writeFileSync(`${dir}/raw`, Buffer.alloc(65536));
    this.#file = openSync(`${dir}/raw`, constants.O_RDWR);
  }

  next() {
    // Each of them takes 30 ms to end.
    if (oneIn(20_000)) return this.#context();
    const [name, call] = pick(this.#functions.filter(([found]) => found !== 'io_setup' && found !== 'io_destroy'));
    const args = this.#arguments(name);
    return { name, args, call: () => this.#done(name, call(...args)) };
  }

  /** What a call leaves behind. */
  #done(name, result) {
    if (name === 'eventfd') closeSync(result);
    if (this.#zeros.some((byte) => byte !== 0)) throw new Error('the kernel wrote where it was told to read');
  }

  #context() {
    const nr = oneIn(2) ? below(64) : value();
    return { name: 'io_setup', args: [nr], call: () => raw.io_destroy(raw.io_setup(nr)) };
  }

  #address(memory) {
    const at = this.#arena.addressOf(memory);
    return pick([
      at,
      at,
      at + BigInt(8 * below(memory.length / 16)),
      at + 1n,
      0n,
      8n,
      2n ** 63n,
      0xffff_8880_0000_0000n,
      2n ** 64n - 8n,
    ]);
  }

  #ctxOf() {
    return pick([
      this.#ctx,
      this.#ctx,
      this.#ctx,
      this.#gone,
      0n,
      1n,
      this.#arena.addressOf(this.#zeros),
      2n ** 64n - 1n,
    ]);
  }

  /** Pointers to requests, some of them none; all buffers are in the memory for data. */
  #submission() {
    const pointers = new BigUint64Array(this.#requests.buffer, this.#requests.byteOffset, 512);
    const base = this.#arena.addressOf(this.#requests);
    for (let at = 0; at < 16; at++) {
      const from = 4096 + at * 64;
      this.#requests.set(layout.encodeIocb(this.#iocb()), from);
      pointers[at] = oneIn(12) ? pick([0n, 8n, 2n ** 63n]) : base + BigInt(from);
    }
    return base + BigInt(8 * below(8));
  }

  #iocb() {
    const small = () => pick([0, 0, 0, 1, 2, 4, 8, 255, 65535]);
    return {
      aio_data: BigInt(below(2 ** 31)),
      aio_lio_opcode: pick([layout.IOCB_CMD_PREAD, layout.IOCB_CMD_PWRITE, layout.IOCB_CMD_FSYNC, 4, 6, 9, 65535]),
      aio_fildes: pick([this.#file, this.#file, 2 ** 32 - 1, closedDescriptor()]),
      aio_buf: pick([this.#arena.addressOf(this.#data), 0n, 2n ** 63n]),
      aio_nbytes: BigInt(pick([0, 1, 512, 4096, 65536])),
      aio_offset: pick([0n, 4096n, 65535n, 2n ** 40n, -1n]),
      aio_rw_flags: small(),
      aio_reqprio: small() % 2 ** 15,
      aio_flags: small() & ~1,
      aio_reserved2: BigInt(small()),
    };
  }

  /** Never such as wait for ever. */
  #timeout() {
    return { tv_sec: pick([0, 0, 0.5, NaN, '0', 0n, -0]), tv_nsec: pick([0, 1000, 2000, 0.5, undefined]) };
  }

  #arguments(name) {
    if (oneIn(2)) return this.#odd(name);
    switch (name) {
      case 'io_submit':
        return [this.#ctxOf(), pick([0, 1, 2, 8, -1]), this.#submission()];
      case 'io_getevents':
      case 'io_pgetevents': {
        const timeout = pick([this.#timeout(), this.#arena.addressOf(this.#zeros)]);
        return [
          this.#ctxOf(),
          pick([0, 0, 1, 2, -1, 40]),
          pick([0, 1, 32, -1, 2 ** 40]),
          this.#address(this.#written),
          timeout,
        ];
      }
      case 'io_cancel':
        return [this.#ctxOf(), this.#address(this.#zeros), this.#address(this.#written)];
      case 'eventfd':
        return [number(), number()];
      case 'readRing':
        return [pick([this.#ctxOf(), this.#address(this.#data)])];
      default:
        return [view()];
    }
  }

  /** One argument is of a wrong type, and so no address is followed. */
  #odd(name) {
    const counts = {
      io_submit: 3,
      io_getevents: 5,
      io_pgetevents: 6,
      io_cancel: 3,
      eventfd: 2,
      readRing: 1,
      addressOf: 1,
    };
    const args = Array.from({ length: counts[name] }, () => this.#ctxOf());
    if (name.endsWith('getevents'))
      args.splice(1, 4, 0, 1, this.#address(this.#written), this.#arena.addressOf(this.#zeros));
    if (name === 'io_submit') args[1] = 0;
    const at = below(args.length);
    args[at] = this.#wrong();
    // A number may be right where it is one to wait for.
    return name.endsWith('getevents') && typeof args[1] === 'number' && args[1] > 0 ? this.#odd(name) : args;
  }

  #wrong() {
    for (;;) {
      const made = value();
      if (typeof made !== 'bigint' || made < 0n || made >= 2n ** 64n) return made;
    }
  }

  async end() {
    raw.io_destroy(this.#ctx);
    closeSync(this.#file);
  }
}

// ---- kaio ------------------------------------------------------------------------------------------------------------------

/** What util.inspect calls with options of its own. */
const UNCALLED = ['constructor', inspect.custom];

/** All else that a class has. */
function methodsOf(prototype) {
  const isMethod = (name) => typeof Object.getOwnPropertyDescriptor(prototype, name).value === 'function';
  return Reflect.ownKeys(prototype).filter((name) => !UNCALLED.includes(name) && isMethod(name));
}

const FILES = ['a', 'b', 'c', 'd'];
/** What is in memory that no request was given. */
const UNTOUCHED = 0x77;

/** Contexts and files, with everything that they can do. */
class KaioDoor {
  #dir;
  #context;
  #files = [];
  #buffers = [];
  /** Memory that no request is given: whoever writes there writes into somebody else's. */
  #witnesses = [];
  /** Memory of another context, for files of this one. */
  #other;
  #foreign = [];
  #opening = new Set();
  #ofContext = methodsOf(kaio.AioContext.prototype);
  #ofFile = methodsOf(kaio.AioFile.prototype);

  /** Each seed has a folder of its own: what one has filled the disk with must not be in the way of the next. */
  constructor(dir, number) {
    this.#dir = `${dir}/seed-${number}`;
    // It may have failed here before.
    rmSync(this.#dir, { recursive: true, force: true });
    mkdirSync(this.#dir, { recursive: true });
    for (const name of FILES) writeFileSync(`${this.#dir}/${name}`, Buffer.alloc(65536, name));
  }

  async begin(at) {
    process.env.KAIO_REAP = at % 2 === 0 ? 'ring' : 'io_getevents';
    this.#context = new kaio.AioContext({ depth: 32, memory: 1 << 20 });
    this.#other = new kaio.AioContext({ depth: 1, memory: 1 << 18 });
    this.#files = await Promise.all(
      FILES.map((name) => this.#context.open(`${this.#dir}/${name}`, 'r+', { direct: oneIn(2) ? 'auto' : false })),
    );
  }

  next() {
    const what = below(100);
    if (what < 1) return this.#function('support', kaio.support, 0);
    if (what < 3) return this.#constructed();
    if (what < 6) return this.#function('open', kaio.open, 2);
    if (what < 15) return this.#method('context', this.#context, this.#ofContext);
    if (what < 25) return this.#allocated();
    const at = below(this.#files.length);
    if (this.#files[at].fd === -1 && !this.#opening.has(at)) return this.#reopened(at);
    return this.#method('file', this.#files[at], this.#ofFile);
  }

  #function(name, call, count) {
    const args =
      name === 'open'
        ? [this.#path(), pick([undefined, 'r', 'r+', 'w', 'a', 'wx', value()]), this.#openOptions()]
        : some(count, value);
    return { name, args, call: () => this.#kept(call(...args)) };
  }

  /** Contexts are dear: most are asked for with a wrong option. */
  #constructed() {
    const options = oneIn(3)
      ? value()
      : { [pick(['depth', 'memory', 'hugePages', 'latency'])]: oneIn(30) ? likely() : value() };
    return { name: 'new AioContext', args: [options], call: () => new kaio.AioContext(options).close() };
  }

  /** Never the default context, which nobody closes. */
  #openOptions() {
    return oneIn(8) ? pick([0o600, '600', {}]) : { direct: 'auto', ...optionBag(), context: this.#context };
  }

  #reopened(at) {
    this.#opening.add(at);
    const call = async () => {
      this.#files[at] = await this.#context.open(`${this.#dir}/${FILES[at]}`, 'r+', { direct: 'auto' });
      this.#opening.delete(at);
    };
    return { name: 'context.open', args: [FILES[at]], call };
  }

  #allocated() {
    if (this.#buffers.length > 16) {
      const [buffer] = this.#buffers.splice(below(this.#buffers.length), 1);
      return { name: 'dispose', args: [], call: () => buffer[Symbol.dispose]() };
    }
    if (oneIn(3)) return { name: 'a witness', args: [], call: () => this.#testify() };
    if (oneIn(3)) return { name: 'other.allocate', args: [], call: () => this.#exchange() };
    const length = oneIn(3) ? value() : 512 * below(64);
    return { name: 'context.allocate', args: [length], call: () => this.#buffers.push(this.#context.allocate(length)) };
  }

  /** Takes memory that may have been another buffer's a moment ago, and looks at what was taken before. */
  #testify() {
    if (this.#witnesses.length > 8) this.#hear(this.#witnesses.splice(below(this.#witnesses.length), 1)[0]);
    const context = oneIn(4) ? this.#other : this.#context;
    this.#witnesses.push(context.allocate(512 * (1 + below(16))).fill(UNTOUCHED));
  }

  #hear(witness) {
    const at = witness.findIndex((byte) => byte !== UNTOUCHED);
    witness[Symbol.dispose]();
    if (at !== -1) throw new Error(`byte ${at} was written to in memory that no request was given`);
  }

  #exchange() {
    if (this.#foreign.length > 4) this.#foreign.shift()[Symbol.dispose]();
    this.#foreign.push(this.#other.allocate(512 * (1 + below(16))));
  }

  /** Gives a buffer back, and has its memory taken again at once. */
  #takeAway(buffer) {
    buffer[Symbol.dispose]?.();
    this.#testify();
  }

  /** An array of memory that is more than that: with holes, methods of its own, or elements that do something when they are looked at. */
  #strange(memory) {
    return pick([
      () => Object.assign([memory], { map: () => this.#later(memory) }),
      () => Object.assign([memory], { constructor: { [Symbol.species]: function Strange() {} } }),
      () => Object.assign([], { 1: memory, 3: view() }),
      () => Object.defineProperty([memory, memory], 1, { get: () => this.#takeAway(memory) }),
      () => new Proxy([memory, view()], {}),
    ])();
  }

  /** Memory that turns into a witness's when the call has returned. */
  #later(memory) {
    const list = [memory];
    queueMicrotask(() => {
      list[0] = this.#witnesses[0] ?? memory;
    });
    return list;
  }

  /** Options that give the memory away when they are looked at, or whose signal is not what it was made as. */
  #strangeOptions(memory) {
    const { signal } = new AbortController();
    return pick([
      () => Object.defineProperty({ position: 0 }, 'signal', { get: () => this.#takeAway(memory) }),
      () => ({ position: 0, signal: Object.assign(signal, { constructor: null }) }),
      () => ({ position: 0, signal: Object.assign(signal, { addEventListener: null, removeEventListener: null }) }),
      () => {
        setImmediate(() => Object.assign(signal, { constructor: null }));
        return { position: 0, signal };
      },
    ])();
  }

  #method(of, object, names) {
    const name = pick(names);
    // What ends them is done now and then, and other calls meet them closed.
    const ends = name === 'close' || name === Symbol.asyncDispose;
    if (ends && !oneIn(of === 'file' ? 40 : 2000)) return this.next();
    const args = this.#arguments(String(name), object);
    return {
      name: `${of}${of === 'file' ? ` ${object.path?.slice(-1)} fd ${object.fd}` : ''}.${String(name)}`,
      args,
      call: () => this.#kept(object[name](...args)),
    };
  }

  #arguments(name, file) {
    if (name === 'open') return [this.#path(), pick(['r', 'r+', value()]), this.#openOptions()];
    if (name === 'attach') return [pick([file.fd, closedDescriptor(), this.#notADescriptor()]), optionBag()];
    if (name === 'poll')
      return [
        pick([this.#files[0].fd, closedDescriptor(), this.#notADescriptor()]),
        pick([1, 4, value()]),
        optionBag(),
      ];
    if (oneIn(3)) return some(3, value);
    const pool = oneIn(6) ? this.#foreign : this.#buffers;
    const memory = oneIn(3) ? view() : (pick(pool) ?? Buffer.alloc(4096));
    const last = oneIn(3) ? () => undefined : value();
    if (name === 'readv' || name === 'writev')
      return [
        pick([() => value(), () => this.#strange(memory), () => [memory, view()], () => [memory, view()]])(),
        oneIn(3) ? value() : 512 * below(64),
        oneIn(8) ? this.#strangeOptions(memory) : last,
      ];
    if (name === 'read' || name === 'write')
      return pick([
        () => [memory, optionBag(), last],
        () => [memory, likely(), likely(), likely(), last],
        () => [optionBag(), last],
        () => [memory, this.#strangeOptions(memory), last],
      ])();
    return some(2, () => (oneIn(2) ? likely() : value()));
  }

  /** Small numbers are descriptors of somebody, and this process is somebody. */
  #notADescriptor() {
    const made = value();
    return typeof made === 'number' && made >= 0 && made < 2000 ? -made : made;
  }

  #path() {
    const path = `${this.#dir}/${pick([...FILES, 'new', 'missing/x', '', 'x'.repeat(300)])}`;
    return pick([
      path,
      path,
      Buffer.from(path),
      pathToFileURL(path),
      `${path}\0`,
      pick([undefined, null, 1, {}, [], true, Symbol('path'), new URL('http://kaio/x')]),
    ]);
  }

  /** Ends what a call has made, once it is there. */
  #kept(made) {
    if (typeof made?.then !== 'function') return this.#ended(made);
    return made.then((result) => this.#ended(result));
  }

  #ended(result) {
    if (result instanceof kaio.AioFile && !this.#files.includes(result)) return result.close();
    if (typeof result?.[Symbol.dispose] === 'function') {
      result[Symbol.dispose]();
    } else if (typeof result?.destroy === 'function') {
      result.on('error', () => {});
      result.destroy();
    } else if (typeof result?.cancel === 'function') {
      return result.cancel();
    } else if (typeof result?.close === 'function' && !(result instanceof kaio.AioContext)) {
      return result.close();
    }
    return undefined;
  }

  async end() {
    for (const buffer of [...this.#buffers.splice(0), ...this.#foreign.splice(0)]) buffer[Symbol.dispose]();
    await Promise.all(this.#files.map((file) => file.close()));
    for (const witness of this.#witnesses.splice(0)) this.#hear(witness);
    for (const context of [this.#context, this.#other]) {
      await context.close();
      const { inFlight, queued, buffers, freeBytes, depth } = context.stats();
      if (inFlight + queued + buffers !== 0)
        throw new Error(
          `left: ${inFlight} in flight, ${queued} queued, ${buffers} buffers of ${depth}, ${freeBytes} free`,
        );
    }
    rmSync(this.#dir, { recursive: true });
  }
}

/** A door for one seed. */
export async function openDoor(name, dir, number) {
  seed(number);
  if (name === 'layout') return new LayoutDoor();
  if (name === 'raw') return new RawDoor(dir);
  const door = new KaioDoor(dir, number);
  await door.begin(number);
  return door;
}
