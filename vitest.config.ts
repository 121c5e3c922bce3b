import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/long/**', 'test/campaigns/**'],
    pool: 'forks',
    // Timings of the kernel are asserted nowhere; these bounds only end what hangs.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
