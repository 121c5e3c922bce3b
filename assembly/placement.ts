import { alignOf, bytesOf, ctype } from './ctype';

/** Where one field of the structure at hand went. They lie at the start of linear memory, one after the other. */
@unmanaged
class Placed {
  offset: i32;
  type: ctype;
}

/** No structure of ours has more fields. */
export const FIELDS: i32 = 16;

/** How far the structure reaches so far, and its strictest alignment. */
let end: i32 = 0;
let alignment: i32 = 1;
let fields: i32 = 0;

function placed(field: i32): Placed {
  return changetype<Placed>(<usize>field * offsetof<Placed>());
}

function roundUp(value: i32, multiple: i32): i32 {
  return ((value + multiple - 1) / multiple) * multiple;
}

export function begin(): void {
  end = 0;
  alignment = 1;
  fields = 0;
}

/** Puts the next member of a structure where C puts it: behind the last one, at a multiple of its alignment. */
export function place(field: i32, type: ctype): void {
  const align = alignOf(type);
  const at = roundUp(end, align);
  placed(field).offset = at;
  placed(field).type = type;
  end = at + bytesOf(type);
  alignFor(type);
  fields++;
}

/** Lets a member without bytes of its own, C's flexible array at the end, count for the structure's alignment. */
export function alignFor(type: ctype): void {
  const align = alignOf(type);
  if (align > alignment) alignment = align;
}

export function fieldCount(): i32 {
  return fields;
}

export function offsetOfField(field: i32): i32 {
  return placed(field).offset;
}

export function typeOfField(field: i32): ctype {
  return placed(field).type;
}

export function structureAlign(): i32 {
  return alignment;
}

/** C rounds a structure up to its alignment, so that each one of an array is aligned. */
export function structureSize(): i32 {
  return roundUp(end, alignment);
}
