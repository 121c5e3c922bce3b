import { paint, type Terminal } from '../command.ts';
import type { Alignment } from './alignment.ts';
import type { Allowed } from './calls.ts';
import type { Device } from './device.ts';
import type { Facts } from './facts.ts';
import type { Measured } from './measure.ts';
import type { How, Operation } from './operations.ts';
import { RIG_REQUESTS } from './rig.ts';

const LABEL_COLUMNS = 13;

/** The facts for people: what is, a table of what was measured, and what it means. */
export function report(facts: Facts, terminal: Terminal): string {
  const { measured, verdict } = facts;
  const lines = factLines(facts).map(([label, text]) => `${label.padEnd(LABEL_COLUMNS)}${text}\n`);
  const table = measured === undefined ? '' : `\n${tableOf(measured.operations, terminal)}`;
  const color = { yes: 'green', partly: 'yellow', no: 'red' } as const;
  const answer = paint(terminal, color[verdict.answer], capital(verdict.answer));
  const advice = verdict.advice.map((text) => wrapped(`- ${text}`));
  return `${lines.join('')}${table}\n${answer}. ${wrapped(`${verdict.summary}.`, '')}${advice.join('')}`;
}

/** Lines of up to 100 columns. */
function wrapped(text: string, indent = '  '): string {
  return `${text.replace(/(.{1,100})(?:\s+|$)/g, `$1\n${indent}`).trimEnd()}\n`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function factLines(facts: Facts): [label: string, text: string][] {
  const { kernel, node, aio, ioUring, quota, addressSpaceBytes, fileSystem, device, measured } = facts;
  const lines: [string, string | undefined][] = [
    ['kernel', `${kernel}, Node.js ${node}`],
    ['AIO', allowance(aio)],
    ['io_uring', ioUring && allowance(ioUring)],
    ['quota', quota && `${quota.left} requests left: ${quota.used} of fs.aio-max-nr ${quota.most} in use`],
    ['memory', addressSpaceBytes && `${Math.floor(addressSpaceBytes / 2 ** 20)} MiB of address space (ulimit -v)`],
    ['file system', fileSystem && `${fileSystem.type} (${fileSystem.source}) on ${fileSystem.mountPoint}`],
    ['device', device === undefined ? 'none that /sys tells of' : deviceText(device)],
    ['direct I/O', measured && directText(measured.direct)],
    [
      'depth',
      measured?.gainOfDepth &&
        `${RIG_REQUESTS} reads in flight: ${measured.gainOfDepth.toFixed(1)} times the rate of one`,
    ],
    ['writes', measured?.readOnly && `not tried: ${measured.readOnly}`],
  ].map(([label, text]) => [label, text || undefined] as [string, string | undefined]);
  return lines.filter((line): line is [string, string] => line[1] !== undefined);
}

function allowance({ allowed, call, error, reason }: Allowed): string {
  if (allowed) return 'allowed';
  return call === undefined ? `none: ${reason}` : `denied: ${call} gives ${error} (${reason})`;
}

function deviceText(device: Device): string {
  const { name, partition, logicalBlockBytes, physicalBlockBytes, queueDepth, queues, scheduler } = device;
  const parts = [
    partition === undefined ? name : `${name} (${partition})`,
    queueDepth && `queue of ${queueDepth}${queues !== undefined && queues > 1 ? ` x ${queues}` : ''}`,
    scheduler && `scheduler ${scheduler}`,
    logicalBlockBytes && `blocks of ${logicalBlockBytes} bytes, physically ${physicalBlockBytes}`,
    device.backing && `over ${device.backing.path} (direct I/O ${device.backing.direct ? 'on' : 'off'})`,
    device.over && `over ${device.over.map(deviceText).join('; ')}`,
  ];
  return parts.filter(Boolean).join(', ');
}

function directText({ supported, told, taken }: Measured['direct']): string {
  if (!supported) return 'none: O_DIRECT is refused';
  const text = (how: string, alignment: Alignment | undefined): string | undefined =>
    alignment && `${how} memory to ${alignment.memory}, offsets to ${alignment.offset} bytes`;
  return [text('aligned:', told), text('the least that was taken:', taken)].filter(Boolean).join('; ');
}

const words: Readonly<Record<How, [text: string, color: 'green' | 'yellow' | 'red']>> = {
  asynchronous: ['asynchronous', 'green'],
  'waits first': ['waits first', 'yellow'],
  immediate: ['immediate', 'yellow'],
  waits: ['waits', 'red'],
};

function tableOf(operations: readonly Operation[], terminal: Terminal): string {
  const rows = operations.map((operation) => {
    const { name, how, error, submitUs, totalUs } = operation;
    if (how === undefined) return [`${name}`, `not measured: ${error}`];
    return [name, how, `${submitUs.toFixed(1)} µs`, `${totalUs.toFixed(1)} µs`, nowaitText(operation)];
  });
  const head = ['', 'in the kernel', 'io_submit', 'completion', 'RWF_NOWAIT'];
  const [wide, how, submit, total] = [15, 14, 11, 12];
  const line = ([name = '', manner = '', inSubmit = '', done = '', nowait = '']: string[]): string => {
    const found = words[manner as How];
    const painted = found === undefined ? manner : paint(terminal, found[1], found[0]);
    const gap = ' '.repeat(Math.max(1, how - manner.length));
    return `${name.padEnd(wide)}${painted}${gap}${inSubmit.padStart(submit)}${done.padStart(total)}   ${nowait}`.trimEnd();
  };
  return [head, ...rows].map((row) => `${line(row)}\n`).join('');
}

function nowaitText({ nowait: { done, refused, unknown } }: Operation): string {
  if (unknown > 0) return 'not known';
  if (refused === 0) return 'done';
  return done === 0 ? 'refused: it would wait' : `refused ${refused} of ${done + refused} times`;
}
