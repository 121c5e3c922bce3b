/**
 * `kaio/layout`: the kernel's structures for asynchronous I/O, byte by byte. It needs nothing but WebAssembly.
 *
 * @packageDocumentation
 */
export * from './constants.ts';
