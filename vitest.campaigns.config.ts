import { defineConfig } from 'vitest/config';

/** Whole programs, guests, power cuts and fuzzers: short by default, npm run test:campaigns, and long with KAIO_LONG=1. */
export default defineConfig({
  test: {
    include: ['test/campaigns/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
