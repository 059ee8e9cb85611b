// Thirty tabs of one browser over one shared socket.

import { answers, expect, logIn, network, open, say, test } from './stage';

const TABS = 30;
/** More words come in it than a tab may be behind. */
const FROZEN_MS = 9_000;

test('thirty tabs hold one socket and twenty sessions at most, and ending one leaves the others streaming', async ({
  stage,
  context,
}) => {
  test.setTimeout(180_000);
  const user = await logIn(stage, context);
  const tabs = [];
  for (let at = 1; at <= TABS; at += 1) {
    const tab = await context.newPage();
    await open(stage, tab, `/?thread=t${at}`);
    await expect(network(tab)).toContainText('Connected.');
    tabs.push(tab);
  }
  expect(await stage.gateway.metric('lychgate_connections')).toBe(1);
  expect(await stage.gateway.metric('lychgate_sessions')).toBeLessThanOrEqual(20);
  // Ten tabs made room for the last ones, and say so.
  const asleep = await Promise.all(
    tabs.map(async (tab) => (await network(tab).textContent())?.includes('put to sleep')),
  );
  expect(asleep.filter((is) => is)).toHaveLength(10);
  const last = tabs.slice(-3);
  for (const tab of last) {
    await say(tab, 'hold on');
    await expect(answers(tab)).toHaveText('Before the pause.');
  }
  const [ended, ...others] = last;
  await stage.gateway.ask('DELETE', `/v1/admin/sessions/${encodeURIComponent(`${user}:t${TABS - 2}`)}`);
  if (ended) await expect(network(ended)).toContainText('An operator closed');
  stage.agent.release();
  for (const tab of others) await expect(answers(tab)).toHaveText('Before the pause. After the pause.');
  expect(await stage.gateway.metric('lychgate_connections')).toBe(1);
});

test('a tab that froze while its answer came shows all of it afterwards', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await expect(network(page)).toContainText('Connected.');
  await say(page, 'count 1500');
  await expect(answers(page)).toContainText('1 2 3');
  await page.evaluate((ms) => {
    for (const end = performance.now() + ms; performance.now() < end; );
  }, FROZEN_MS);
  await expect(answers(page)).toHaveText(/^1 2 3 .* 1499 1500\s*$/);
  await expect(page.locator('[data-run]')).toHaveCount(0);
});
