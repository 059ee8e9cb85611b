import { defineConfig } from 'vitest/config';

/** Two pages, `/` (chat) and `/console`, whose assets lie at `/assets/<name>-<hash>.<ext>` and may be cached for ever. */
export default defineConfig({
  // Nothing inline: the pages run under a policy that would refuse it.
  build: {
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: { chat: 'chat.html', console: 'console.html' } },
  },
  // The shared worker is started as a module, as the pages are.
  worker: { format: 'es' },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  // What stands in e2e/ is Playwright's.
  test: { include: ['src/**/*.test.ts'] },
});
