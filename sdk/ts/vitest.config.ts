import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'test/**/*.test.tsx'],
    // Each waits for conditions, with deadlines of its own that say what did not come.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Every file has gateways of its own; two cores do not run more of them at once.
    maxWorkers: 2,
  },
});
