// npm sets the mode of a package's bin when it installs it; in the repository the compiler does not.
import { chmodSync, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
if (existsSync(main)) chmodSync(main, 0o755);
