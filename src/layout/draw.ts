import { invalidType, invalidValue } from './errors.ts';
import type { Field, Layout } from './layouts.ts';
import { declarations } from './layouts.ts';

/** Bytes in one row of a map. */
const ROW = 8;
/** Columns for one byte: two of them hold the longest name of a 2-byte field. */
const COLUMNS = 8;

/** Options of {@link drawText}. */
export interface DrawOptions {
  /** Only characters of ASCII. Default false. */
  readonly ascii?: boolean;
  /** Applied to the text in a field's cell, for colours; it must not change what is seen of its length. */
  readonly paint?: (text: string, field: Field) => string;
}

/** A part of a row: a field's bytes in it, or padding. */
export interface Cell {
  readonly field: Field | undefined;
  /** The first byte within the row, and how many. */
  readonly start: number;
  readonly bytes: number;
  readonly row: number;
}

/** Larger ones are no structures of this kernel interface, and a picture of them would fill the memory. */
const MOST_BYTES = 65536;

/** What is drawn may come from a file: it must be a layout in the form of `layoutOf`, with fields that lie one behind another. */
function checkLayout(layout: Layout): void {
  if (typeof layout !== 'object' || layout === null) throw invalidType('layout', 'a layout of layoutOf', layout);
  const { name, abi, size, align, byteOrder, fields } = layout;
  const said = {
    abi: typeof abi === 'string',
    align: typeof align === 'number',
    byteOrder: typeof byteOrder === 'string',
  };
  for (const [what, right] of Object.entries(said)) {
    if (!right) throw invalidType(`layout.${what}`, 'as in a layout of layoutOf', layout);
  }
  if (typeof name !== 'string' || !Object.hasOwn(declarations, name)) {
    throw invalidValue('layout.name', `one of ${Object.keys(declarations).join(', ')}`, name);
  }
  if (!Number.isInteger(size) || size < 1 || size > MOST_BYTES) {
    throw invalidValue('layout.size', `a number of bytes from 1 to ${MOST_BYTES}`, size);
  }
  if (!Array.isArray(fields)) throw invalidType('layout.fields', 'an array of fields', fields);
  let end = 0;
  for (const field of fields as readonly Field[]) {
    const texts = typeof field?.name === 'string' && typeof field.type === 'string';
    const fits =
      Number.isInteger(field?.offset) && Number.isInteger(field.size) && field.offset >= end && field.size > 0;
    end = fits ? field.offset + field.size : Number.POSITIVE_INFINITY;
    if (!texts || end > size) {
      throw invalidValue(
        'layout.fields',
        'fields with name, type, offset and size, in order and within the size',
        field,
      );
    }
  }
}

/** A structure cut into rows of 8 bytes. */
export function cellsOf(layout: Layout): Cell[] {
  const cells: Cell[] = [];
  const add = (field: Field | undefined, from: number, to: number): void => {
    for (let at = from; at < to; ) {
      const row = Math.floor(at / ROW);
      const end = Math.min(to, (row + 1) * ROW);
      cells.push({ field, start: at - row * ROW, bytes: end - at, row });
      at = end;
    }
  };
  let end = 0;
  for (const field of layout.fields) {
    add(undefined, end, field.offset);
    end = field.offset + field.size;
    add(field, field.offset, end);
  }
  add(undefined, end, layout.size);
  return cells;
}

/** One line that says what is drawn. */
export function headline(layout: Layout): string {
  const { c } = declarations[layout.name];
  return `${c} on ${layout.abi}: ${layout.size} bytes, aligned to ${layout.align}, ${layout.byteOrder}-endian`;
}

const unicode = { h: '─', v: '│', tee: '┬', up: '┴', cross: '┼', corners: ['┌', '┐', '└', '┘', '├', '┤'] } as const;
const plain = { h: '-', v: '|', tee: '+', up: '+', cross: '+', corners: ['+', '+', '+', '+', '+', '+'] } as const;

/** Where the cells of a row begin and end, in columns. */
function edges(cells: readonly Cell[]): Set<number> {
  return new Set(cells.map(({ start }) => start * COLUMNS));
}

/** The line between two rows, which joins the edges of both. */
function rule(above: Set<number>, below: Set<number>, width: number, ascii: boolean): string {
  const { h, tee, up, cross, corners } = ascii ? plain : unicode;
  let line = '';
  for (let column = 0; column <= width; column++) {
    const isAbove = above.has(column);
    const isBelow = below.has(column);
    if (column === 0) line += above.size === 0 ? corners[0] : below.size === 0 ? corners[2] : corners[4];
    else if (column === width) line += above.size === 0 ? corners[1] : below.size === 0 ? corners[3] : corners[5];
    else if (isAbove && isBelow) line += cross;
    else if (isBelow) line += tee;
    else line += isAbove ? up : h;
  }
  return line;
}

function content({ field, bytes, row }: Cell, paint: DrawOptions['paint']): string {
  const width = bytes * COLUMNS - 1;
  const first = field === undefined || Math.floor(field.offset / ROW) === row;
  const text = ` ${field === undefined ? '(padding)' : first ? field.name : ''}`.slice(0, width).padEnd(width);
  return field === undefined || paint === undefined ? text : paint(text, field);
}

/** The byte map as a picture of text, 8 bytes to a row and 74 columns wide, with a line that says what it is. */
export function drawText(layout: Layout, options: DrawOptions = {}): string {
  checkLayout(layout);
  if (typeof options !== 'object' || options === null) throw invalidType('options', 'of type object', options);
  const { ascii = false, paint } = options;
  if (paint !== undefined && typeof paint !== 'function') throw invalidType('options.paint', 'of type function', paint);
  const { v } = ascii ? plain : unicode;
  const cells = cellsOf(layout);
  const rows = Math.ceil(layout.size / ROW);
  const width = Math.min(layout.size, ROW) * COLUMNS;
  const scale = Array.from({ length: Math.min(layout.size, ROW) }, (_, byte) => `${byte}`.padEnd(COLUMNS)).join('');
  const lines = [headline(layout), '', `${' '.repeat(10)}${scale}`.trimEnd()];
  let above = new Set<number>();
  for (let row = 0; row < rows; row++) {
    const here = cells.filter((cell) => cell.row === row);
    const below = edges(here);
    lines.push(`${' '.repeat(8)}${rule(above, below, width, ascii)}`);
    lines.push(`${String(row * ROW).padStart(6)}  ${v}${here.map((cell) => content(cell, paint)).join(v)}${v}`);
    above = below;
  }
  lines.push(`${' '.repeat(8)}${rule(above, new Set(), width, ascii)}`);
  return `${lines.join('\n')}\n`;
}

/** The fields as a table: offset, size, type, name. */
export function drawTable(layout: Layout): string {
  checkLayout(layout);
  const rows = layout.fields.map(({ name, offset, size, type }) => [String(offset), String(size), type, name]);
  const typeWidth = Math.max(4, ...layout.fields.map(({ type }) => type.length));
  const line = ([offset, size, type, name]: readonly string[]): string =>
    `${offset!.padStart(6)}  ${size!.padStart(4)}  ${type!.padEnd(typeWidth)}  ${name}`;
  return `${[['offset', 'size', 'type', 'field'], ...rows].map(line).join('\n')}\n`;
}

const SVG_BYTE = 80;
const SVG_ROW = 44;
const SVG_LEFT = 56;
const SVG_TOP = 56;

/** One colour for each kind of field, light enough for black text. */
function fill(field: Field | undefined): string {
  if (field === undefined) return '#eeeeee';
  if (field.size === 8) return '#dbeafe';
  return field.size === 4 ? '#dcfce7' : '#fef9c3';
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function svgCell(cell: Cell): string {
  const { field, start, bytes, row } = cell;
  const x = SVG_LEFT + start * SVG_BYTE;
  const y = SVG_TOP + row * SVG_ROW;
  const width = bytes * SVG_BYTE;
  const name = field?.name ?? 'padding';
  const title = field === undefined ? 'padding' : `${field.type} ${name}: ${field.size} bytes at ${field.offset}`;
  const data =
    field === undefined
      ? ''
      : ` data-field="${escapeXml(name)}" data-offset="${field.offset}" data-size="${field.size}"`;
  return (
    `<g class="field"${data}><title>${escapeXml(title)}</title>` +
    `<rect x="${x}" y="${y}" width="${width}" height="${SVG_ROW}" fill="${fill(field)}" stroke="#334155"/>` +
    `<text x="${x + width / 2}" y="${y + SVG_ROW / 2 + 5}" text-anchor="middle">${escapeXml(name)}</text></g>`
  );
}

/** The byte map as an SVG picture, for documents and pages. Every field is a group with `data-field`, `data-offset` and `data-size`. */
export function drawSvg(layout: Layout): string {
  checkLayout(layout);
  const across = Math.min(layout.size, ROW);
  const rows = Math.ceil(layout.size / ROW);
  const width = SVG_LEFT + Math.max(across * SVG_BYTE, 560) + 8;
  const height = SVG_TOP + rows * SVG_ROW + 8;
  const bytes = Array.from(
    { length: across },
    (_, byte) => `<text x="${SVG_LEFT + byte * SVG_BYTE + 4}" y="${SVG_TOP - 6}" class="scale">${byte}</text>`,
  );
  const offsets = Array.from(
    { length: rows },
    (_, row) =>
      `<text x="${SVG_LEFT - 8}" y="${SVG_TOP + row * SVG_ROW + SVG_ROW / 2 + 5}" text-anchor="end" class="scale">${row * ROW}</text>`,
  );
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escapeXml(headline(layout))}</title>`,
    '<style>text{font:14px ui-monospace,monospace;fill:#0f172a}.scale{fill:#64748b;font-size:12px}</style>',
    '<rect width="100%" height="100%" fill="#ffffff"/>',
    `<text x="8" y="24">${escapeXml(headline(layout))}</text>`,
    ...bytes,
    ...offsets,
    ...cellsOf(layout).map(svgCell),
    '</svg>',
  ].join('\n')}\n`;
}
