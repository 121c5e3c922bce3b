import { defineConfig } from 'vitest/config';

/** Tests that boot machines or take minutes: npm run test:long. */
export default defineConfig({
  test: {
    include: ['test/long/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
