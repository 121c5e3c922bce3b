/** Classes of views with constructors of their own, which `subarray` would call: nobody who is given one may do that. */

/** Knows its length itself, so that `subarray` gives as many bytes of zeros. */
export function fixed(bytes: number): new () => Uint8Array<ArrayBuffer> {
  return class extends Uint8Array<ArrayBuffer> {
    constructor() {
      super(new ArrayBuffer(bytes));
    }
  };
}

/** Refuses what `subarray` calls it with. */
export class Small extends Uint8Array<ArrayBuffer> {
  constructor(length: number) {
    if (typeof length !== 'number') throw new Error('a length, please');
    super(new ArrayBuffer(length));
  }
}
