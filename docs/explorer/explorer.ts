// The page of the layout explorer. All it knows of layouts comes from kaio/layout.
import {
  type AbiName,
  abiOf,
  abis,
  declarations,
  diffLayouts,
  drawSvg,
  explain,
  type Field,
  hostAbi,
  layoutOf,
  parseHex,
  type StructName,
  structs,
} from '../../src/layout/index.ts';

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const struct = element<HTMLSelectElement>('struct');
const abi = element<HTMLSelectElement>('abi');
const other = element<HTMLSelectElement>('other');
const bytes = element<HTMLTextAreaElement>('bytes');

/** Text goes in as text: what was pasted is never read as markup. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): HTMLTableElement {
  const made = document.createElement('table');
  for (const [i, cells] of [head, ...rows].entries()) {
    const row = made.insertRow();
    for (const text of cells) {
      const cell = document.createElement(i === 0 ? 'th' : 'td');
      cell.textContent = text;
      row.append(cell);
    }
  }
  return made;
}

function chosen(): { struct: StructName; abi: AbiName } {
  return { struct: struct.value as StructName, abi: abi.value as AbiName };
}

function sentence({ name, type, offset, size }: Field): string {
  const { header } = declarations[chosen().struct];
  return `${type} ${name}: ${size} bytes from byte ${offset} to ${offset + size - 1}${header === undefined ? '' : `, in <${header}>`}`;
}

/** Marks a field in the map and in the tables, and says what is known of it. */
function point(name: string | undefined): void {
  for (const marked of document.querySelectorAll('.chosen')) marked.classList.remove('chosen');
  const field = layoutOf(chosen().struct, chosen().abi).fields.find((each) => each.name === name);
  if (field === undefined) return;
  for (const row of document.querySelectorAll(`[data-field="${field.name}"]`)) row.classList.add('chosen');
  element('detail').textContent = sentence(field);
}

function showMap(): void {
  const { struct: name, abi: on } = chosen();
  const layout = layoutOf(name, on);
  element('map').innerHTML = drawSvg(layout);
  const fields = table(
    ['offset', 'size', 'type', 'field'],
    layout.fields.map((field) => [String(field.offset), String(field.size), field.type, field.name]),
  );
  for (const [i, field] of layout.fields.entries()) fields.rows[i + 1]?.setAttribute('data-field', field.name);
  element('fields').replaceChildren(fields);
  const notes = abiOf(on).notes.map((text) => Object.assign(document.createElement('li'), { textContent: text }));
  element('notes').replaceChildren(...notes);
}

function showDifferences(): void {
  const { struct: name, abi: on } = chosen();
  const against = other.value as AbiName | '';
  if (against === '') {
    element('differences').replaceChildren();
    return;
  }
  const rows = diffLayouts(name, on, against).map(({ what, a, b }) => [what, String(a), String(b)]);
  const same = Object.assign(document.createElement('p'), { textContent: `The same on ${on} and ${against}.` });
  element('differences').replaceChildren(rows.length === 0 ? same : table(['', on, against], rows));
}

function decodedTable(name: StructName, on: AbiName, record: Uint8Array): HTMLTableElement {
  const explained = explain(name, record, on);
  const made = table(
    ['field', 'value', 'meaning', ''],
    explained.map(({ field, value, meaning }) => [field.name, String(value), meaning, '']),
  );
  for (const [i, { field, problems }] of explained.entries()) {
    const row = made.rows[i + 1]!;
    row.setAttribute('data-field', field.name);
    for (const { errno, when, reason } of problems) {
      const text = `${when === 'always' ? '' : 'may be '}${errno ?? 'wrong'}: ${reason}`;
      row.cells[3]!.append(Object.assign(document.createElement('div'), { className: when, textContent: text }));
    }
  }
  return made;
}

function showDecoded(): void {
  const { struct: name, abi: on } = chosen();
  const target = element('decoded');
  target.replaceChildren();
  if (bytes.value.trim() === '') return;
  const { size, byteOrder } = layoutOf(name, on);
  const parsed = parseHex(bytes.value, byteOrder === 'big');
  if (parsed === undefined) target.textContent = 'This is not hexadecimal.';
  else if (parsed.length % size !== 0) target.textContent = `${parsed.length} bytes; ${name} has ${size} on ${on}.`;
  else {
    for (let at = 0; at < parsed.length; at += size) {
      target.append(decodedTable(name, on, parsed.subarray(at, at + size)));
    }
  }
}

function show(): void {
  showMap();
  showDifferences();
  showDecoded();
  history.replaceState(null, '', `#${struct.value}/${abi.value}`);
}

for (const name of structs) struct.append(new Option(name));
for (const { name, title } of abis) {
  abi.append(new Option(`${name} (${title})`, name));
  other.append(new Option(name));
}
const [fromStruct, fromAbi] = location.hash.slice(1).split('/');
struct.value = structs.find((name) => name === fromStruct) ?? 'iocb';
abi.value = abis.find(({ name }) => name === fromAbi)?.name ?? hostAbi;
for (const control of [struct, abi, other]) control.addEventListener('change', show);
bytes.addEventListener('input', showDecoded);
document.addEventListener('mouseover', ({ target }) => {
  const field = (target as Element).closest('[data-field]');
  if (field !== null) point(field.getAttribute('data-field') ?? undefined);
});
show();
