import type { Page } from '@playwright/test';
import { enter, enterLive, expect, point, test } from './console-stage';
import { look } from './screens';

/** The figure of a tile. */
const tile = (page: Page, name: string) =>
  page.locator('.tile', { has: page.getByText(name, { exact: true }) }).locator('.figure');

test('the overview moves when users come and go, in tiles, charts and words', async ({ page, desk }) => {
  await enterLive(page, desk);
  await expect(tile(page, 'Sessions')).toHaveText('0');
  await look(page, 'console-overview-empty');
  const tabs = [];
  for (let n = 1; n <= 12; n += 1) tabs.push(await desk.tab('demo', `t${n}`));
  await desk.tab('other', 't1');
  await expect(tile(page, 'Sessions')).toHaveText('13');
  await expect(tile(page, 'Connections')).toHaveText('13');
  const load = page.locator('[data-chart="load"]');
  await expect(load.locator('canvas')).toBeVisible();
  await expect(load.getByText(/sessions 13 now, between 0 and 13/)).toBeAttached();
  await expect(page.getByText('By band: 1 ok, 0 watch, 1 warning, 0 high, 0 full')).toBeVisible();
  await expect(page.getByRole('row', { name: 'to 60 %' })).toContainText('1');
  await load.getByText('As a table').click();
  await expect(load.getByRole('cell', { name: '13' }).first()).toBeVisible();
  await look(page, 'console-overview');
  for (const tab of tabs) tab.close();
  await expect(tile(page, 'Connections')).toHaveText('1');
});

test('charts that are stopped stay as they are, and go on with what came meanwhile', async ({ page, desk }) => {
  await enterLive(page, desk);
  await expect(tile(page, 'Sessions')).toHaveText('0');
  await page.keyboard.press('p');
  await expect(page.getByText('Stopped. What happens meanwhile is kept')).toBeVisible();
  await desk.tab('demo', 't1');
  // The line at the top and the node are live all the same: what is waited for is a second look at the node.
  await page.getByRole('link', { name: 'Users' }).click();
  await expect(page.locator('[data-user="demo"]')).toBeVisible();
  await page.getByRole('link', { name: 'Overview' }).click();
  await expect(tile(page, 'Sessions')).toHaveText('0');
  await page.getByRole('button', { name: 'Go on' }).click();
  await expect(tile(page, 'Sessions')).toHaveText('1');
});

test('every chart shows what was at the time that the pointer is at', async ({ page, desk }) => {
  await enterLive(page, desk);
  await expect(page.locator('[data-chart="cpu"] canvas')).toBeVisible();
  await expect(page.locator('[data-chart="load"]').getByText(/between/)).toBeAttached();
  await page.locator('[data-chart="load"] .u-over').hover();
  await expect(page.locator('[data-chart="load"] .legend')).toContainText(/at \d\d:\d\d:\d\d/);
  await expect(page.locator('[data-chart="cpu"] .legend')).toContainText(/at \d\d:\d\d:\d\d/);
});

test('a live line that is lost says since when, keeps what was known, and comes back by itself', async ({
  page,
  desk,
}) => {
  await enterLive(page, desk);
  await desk.tab('demo', 't1');
  await expect(tile(page, 'Sessions')).toHaveText('1');
  desk.line.cut();
  const link = page.locator('[data-link]');
  await expect(link).toHaveAttribute('data-link', 'stale');
  await expect(link).toContainText(/Not live since \d\d:\d\d:\d\d: the node cannot be reached/);
  await expect(page.locator('main')).toHaveAttribute('data-stale', 'true');
  await expect(tile(page, 'Sessions')).toHaveText('1');
  await look(page, 'console-overview-stale');
  desk.line.restore();
  await expect(link).toHaveAttribute('data-link', 'live', { timeout: 30_000 });
  await expect(page.locator('main')).toHaveAttribute('data-stale', 'false');
});

test('a line that falls silent without a word is noticed, too', async ({ page, desk }) => {
  await enterLive(page, desk);
  desk.line.silence();
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'stale', { timeout: 20_000 });
  desk.line.restore();
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'live', { timeout: 30_000 });
});

test('a node that was killed and started again is live again, and what was known before stays', async ({
  page,
  desk,
}) => {
  await enterLive(page, desk);
  await desk.tab('demo', 't1');
  await expect(tile(page, 'Sessions')).toHaveText('1');
  await desk.gateway.kill();
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'stale');
  await desk.gateway.start();
  point(desk.line, desk.gateway);
  // The page tries by itself, too: the button may be gone before anybody presses it.
  const link = page.locator('[data-link]');
  await expect(async () => {
    if ((await link.getAttribute('data-link')) !== 'live') {
      await page.getByRole('button', { name: 'Try now' }).click({ timeout: 1_000 });
    }
    await expect(link).toHaveAttribute('data-link', 'live', { timeout: 1_000 });
  }).toPass({ timeout: 30_000 });
  await expect(page.locator('[data-chart="load"]').getByText(/sessions 0 now, between 0 and 1/)).toBeAttached();
});

test('a seventeenth console is told that there are too many, and still shows what can be asked', async ({
  page,
  desk,
}) => {
  const others = await Promise.all(Array.from({ length: 16 }, () => watch(desk.gateway.admin, desk.gateway.key)));
  await desk.tab('demo', 't1');
  await enter(page, desk, '#/users');
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'crowded');
  await expect(page.locator('[data-link]')).toContainText('Too many consoles watch this node');
  await expect(page.locator('[data-user="demo"]')).toBeVisible();
  await look(page, 'console-crowded');
  for (const other of others) other.close();
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'live', { timeout: 40_000 });
});

test('a page that nobody looks at for five minutes leaves its place, and comes back with all that was decided', async ({
  page,
  desk,
}) => {
  await page.addInitScript(() => {
    // Five minutes are a moment here, and a test has no other tab to go to.
    const later = window.setTimeout.bind(window);
    Object.assign(window, { setTimeout: (call: () => void, ms?: number) => later(call, ms === 300_000 ? 1 : ms) });
    Object.defineProperty(document, 'visibilityState', { get: () => Object(window).looks ?? 'visible' });
    Object.assign(window, {
      look: (looks: string) => {
        Object.assign(window, { looks });
        document.dispatchEvent(new Event('visibilitychange'));
      },
    });
  });
  const sockets: { code: number | undefined }[] = [];
  await page.routeWebSocket(/\/v1\/admin\/live$/, (socket) => {
    const seen: { code: number | undefined } = { code: undefined };
    sockets.push(seen);
    const node = socket.connectToServer();
    socket.onClose((code) => {
      seen.code = code;
      void node.close({ code: 1000 });
    });
  });
  const tab = await desk.tab('demo', 't1');
  await tab.hold('t2');
  await enterLive(page, desk, '#/reclaims');
  await page.evaluate(() => Object(window).look('hidden'));
  const link = page.locator('[data-link]');
  await expect(link).toHaveAttribute('data-link', 'resting');
  await expect(link).toContainText(/Not live since \d\d:\d\d:\d\d: nobody looked at this page/);
  expect(sockets).toEqual([{ code: 1000 }]);
  await desk.gateway.ask('DELETE', '/v1/admin/sessions/demo%3At2');
  await page.evaluate(() => Object(window).look('visible'));
  await expect(link).toHaveAttribute('data-link', 'live');
  await expect(page.locator('li[data-verdict="released"][data-user="demo"]')).toContainText('t2');
});

/** Another console, without a page. */
async function watch(admin: string, key: string): Promise<{ close: () => void }> {
  const { WebSocket } = await import('ws');
  const socket = new WebSocket(`${admin.replace('http', 'ws')}/v1/admin/live`, [
    'lychgate.live.v1',
    `lychgate.bearer.${key}`,
  ]);
  await new Promise((resolve, reject) => socket.once('message', resolve).once('error', reject));
  socket.on('message', (bytes) => String(bytes) === '{"type":"ping"}' && socket.send('{"type":"ack"}'));
  return { close: () => socket.terminate() };
}
