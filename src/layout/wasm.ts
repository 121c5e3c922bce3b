/** Bytes of a base64 text, without anything of Node's: this also runs in a browser. */
export function wasmBytes(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
