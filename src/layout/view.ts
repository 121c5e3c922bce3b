// What a view is, asked of the built-in getters: a subclass may have others, and a constructor that `subarray` would call.

const { call } = Function.prototype;

/** The getter of a built-in prototype as a function of its object, which throws a TypeError for any other. */
export function getter<T>(prototype: object, name: PropertyKey): (object: unknown) => T {
  return call.bind(Object.getOwnPropertyDescriptor(prototype, name)!.get!) as (object: unknown) => T;
}

function gettersOf(prototype: object) {
  return {
    buffer: getter<ArrayBufferLike>(prototype, 'buffer'),
    byteOffset: getter<number>(prototype, 'byteOffset'),
    byteLength: getter<number>(prototype, 'byteLength'),
  };
}

const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype) as object;
/** The name of a typed array's type; undefined for what is none. */
const typeOf = getter<string | undefined>(typedArrayPrototype, Symbol.toStringTag);
const ofTypedArrays = gettersOf(typedArrayPrototype);
const ofDataViews = gettersOf(DataView.prototype);
const lengthOf = getter<number>(ArrayBuffer.prototype, 'byteLength');

/** Whether an ArrayBuffer can shrink and grow. */
export const isResizable: (buffer: ArrayBufferLike) => boolean = getter<boolean>(ArrayBuffer.prototype, 'resizable');

/** The memory that a view is of. */
export function bufferOf(view: ArrayBufferView): ArrayBufferLike {
  return (typeOf(view) === undefined ? ofDataViews : ofTypedArrays).buffer(view);
}

/**
 * The bytes of a view, as a Uint8Array that nobody else knows. Where its memory was transferred away, a Uint8Array has none; of any other
 * view this throws a TypeError.
 */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  const type = typeOf(view);
  const { buffer, byteOffset, byteLength } = type === undefined ? ofDataViews : ofTypedArrays;
  const length = byteLength(view);
  if (length === 0 && type === 'Uint8Array') return new Uint8Array(0);
  return new Uint8Array(buffer(view), byteOffset(view), length);
}

/** Whether this is an ArrayBuffer, of any realm. */
export function isArrayBuffer(value: unknown): value is ArrayBuffer {
  try {
    lengthOf(value);
    return true;
  } catch {
    return false;
  }
}
