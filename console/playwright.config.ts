import { defineConfig } from '@playwright/test';

/**
 * The pages in Debian's Chromium, against gateways that each test file starts for itself (e2e/gateway.ts). What a failed
 * test leaves lies below target/playwright, screenshots of states in target/screens.
 */
export default defineConfig({
  testDir: 'e2e',
  outputDir: '../target/playwright/results',
  workers: 2,
  // A machine that stands still for seconds fails a test that is right. Whoever needed a second try is named as flaky.
  retries: process.env['CI'] === undefined ? 0 : 1,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  forbidOnly: true,
  reporter: [['list'], ['html', { outputFolder: '../target/playwright/report', open: 'never' }]],
  use: {
    viewport: { width: 1280, height: 800 },
    // A trace of every test doubles what the tests take, and what they measure; `--trace on` makes one of a test that failed.
    screenshot: 'only-on-failure',
    // CI runs as root, for whom Chromium has no sandbox.
    launchOptions: { executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: ['--no-sandbox'] },
  },
  projects: [
    { name: 'chat', testMatch: 'chat-*.spec.ts' },
    { name: 'console', testMatch: 'console-*.spec.ts' },
  ],
});
