import { type InspectOptions, inspect } from 'node:util';

/** Makes `util.inspect` and console.log of a class show what state its object is in. */
export function inspectAs<T extends object>(
  type: { prototype: T; name: string },
  stateOf: (object: T) => object,
): void {
  Object.defineProperty(type.prototype, inspect.custom, {
    value(this: T, _depth: number, options: InspectOptions): string {
      return `${type.name} ${inspect(stateOf(this), options)}`;
    },
  });
}
