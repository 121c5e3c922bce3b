// Builds the native module for this machine. Elsewhere than on Linux there is nothing to build: kaio/layout works without it and
// support() says why the rest does not.
import { compile, native, place } from './module.js';

if (process.platform === 'linux') {
  compile(native);
  // Only a Node for glibc has this in its report.
  const { glibcVersionRuntime } = process.report.getReport().header;
  place(native, `linux-${process.arch}`, glibcVersionRuntime === undefined ? 'musl' : 'glibc');
}
