// What happens between the page and the gateway, and what the page says of it. No test of these reloads to come back.

import type { Page } from '@playwright/test';
import { look } from './screens';
import { BACK_MS, type Stage, answered, answers, expect, logIn, network, open, say, test } from './stage';

/** Remembers something that a reload would forget. */
const mark = (page: Page) => page.evaluate(() => Object.assign(window, { same: true }));
const isSame = (page: Page) => page.evaluate(() => Reflect.get(window, 'same') === true);

/** An answer that waits in its middle. */
async function halfAnAnswer(stage: Stage, page: Page, path = '/?thread=t1'): Promise<void> {
  await open(stage, page, path);
  await mark(page);
  await say(page, 'hold on');
  await expect(answers(page)).toHaveText('Before the pause.');
}

/** The one of these tabs that was put to sleep, as soon as there is one. */
async function asleepOf(tabs: Page[]): Promise<Page> {
  const asleep = async () => {
    const texts = await Promise.all(tabs.map((tab) => network(tab).textContent()));
    return texts.findIndex((text) => text?.includes('was put to sleep to make room'));
  };
  await expect.poll(asleep).toBeGreaterThanOrEqual(0);
  const tab = tabs[await asleep()];
  if (!tab) throw new Error('the tab woke by itself');
  return tab;
}

const WHOLE = 'Before the pause. After the pause.';

test('a reload in mid-answer shows the whole answer, and nothing twice', async ({ stage, page }) => {
  await halfAnAnswer(stage, page);
  await page.reload();
  await expect(answers(page)).toHaveText('Before the pause.');
  stage.agent.release();
  await expect(answers(page)).toHaveText(WHOLE);
  await expect(page.locator('[data-role="user"]')).toHaveCount(1);
  await page.reload();
  await expect(answers(page)).toHaveText(WHOLE);
  expect(await stage.gateway.metric('lychgate_sessions')).toBe(1);
});

test('a connection that is cut is restored by itself, and the answer is whole', async ({ stage, page }) => {
  await halfAnAnswer(stage, page);
  stage.line.cut();
  await expect(network(page)).toContainText('The connection was interrupted.');
  await expect(page.getByText(/Next try (now|in \d+ s)|Trying now/)).toBeVisible();
  await look(page, 'chat-reconnecting');
  await page.getByRole('button', { name: 'Try now' }).click();
  await expect(network(page)).toContainText('The connection was interrupted.');
  stage.agent.release();
  stage.line.restore();
  await expect(answers(page)).toHaveText(WHOLE, { timeout: BACK_MS });
  await expect(network(page)).toHaveText('Connected.');
  expect(await isSame(page)).toBe(true);
});

test('offline and back: the page says so, takes a message meanwhile, and sends it once', async ({
  stage,
  page,
  context,
}) => {
  await halfAnAnswer(stage, page);
  await context.setOffline(true);
  stage.line.cut();
  await expect(network(page)).toContainText('This device is offline.');
  stage.agent.release();
  await look(page, 'chat-offline');
  stage.line.restore();
  await context.setOffline(false);
  await expect(answers(page)).toHaveText(WHOLE);
  await answered(page);
  await context.setOffline(true);
  stage.line.cut();
  await expect(network(page)).toContainText('This device is offline.');
  await say(page, 'sent later');
  await expect(page.getByText('Waiting to be sent')).toBeVisible();
  await look(page, 'chat-offline-pending');
  stage.line.restore();
  await context.setOffline(false);
  await expect(answers(page).nth(1)).toHaveText('You asked: sent later');
  await expect(page.locator('[data-role="user"]')).toHaveCount(2);
  expect(await isSame(page)).toBe(true);
});

test('conversations that could not be read without a network are read when it is back', async ({
  stage,
  page,
  context,
}) => {
  await halfAnAnswer(stage, page);
  const side = page.getByRole('navigation');
  const row = side.getByRole('link', { name: /hold on/ });
  await expect(row).toContainText('an answer is being written');
  // An answer that ends here would have them read again.
  await page.getByRole('button', { name: 'New conversation' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'New conversation' })).toBeVisible();
  await context.setOffline(true);
  stage.line.cut();
  stage.agent.release();
  const failure = side.getByText('The conversations could not be loaded');
  await expect(failure).toBeVisible();
  stage.line.restore();
  await context.setOffline(false);
  await expect(failure).toBeHidden();
  await expect(row).not.toContainText('an answer is being written');
});

test('after a kill and a new start in mid-answer the answer has a clear end, and can be asked for again', async ({
  stage,
  page,
}) => {
  await halfAnAnswer(stage, page);
  await stage.gateway.kill();
  await expect(network(page)).not.toHaveText('Connected.');
  await stage.gateway.start();
  stage.line.target = stage.gateway.listen;
  await expect(page.locator('[data-run="failed"]')).toBeVisible({ timeout: BACK_MS });
  await expect(answers(page)).toHaveText('Before the pause.');
  await look(page, 'chat-gateway-restarted');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(answers(page).nth(1)).toHaveText('Before the pause.');
  stage.agent.release();
  await expect(answers(page).nth(1)).toHaveText(WHOLE);
  await expect(page.locator('[data-role="user"]')).toHaveCount(1);
  expect(await isSame(page)).toBe(true);
});

test('a gateway that is drained says so, and the page moves to the next one by itself', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'before');
  await expect(answers(page)).toHaveCount(1);
  await mark(page);
  const gone = stage.gateway.drain();
  await expect(network(page)).toContainText('The server is restarting.');
  await look(page, 'chat-draining');
  await gone;
  await stage.gateway.start();
  stage.line.target = stage.gateway.listen;
  await expect(network(page)).toHaveText('Connected.', { timeout: BACK_MS });
  await say(page, 'after');
  await expect(answers(page).nth(1)).toHaveText('You asked: after');
  expect(await isSame(page)).toBe(true);
});

test.describe('with heartbeats each second', () => {
  test.use({ toml: 'liveness.ping_interval = "1s"\nliveness.ping_answer = "500ms"' });

  test('a network that swallows everything is noticed, and nothing is lost to it', async ({ stage, page }) => {
    await halfAnAnswer(stage, page);
    stage.line.silence();
    await expect(network(page)).toContainText('The connection was interrupted.', { timeout: 30_000 });
    stage.agent.release();
    stage.line.restore();
    await expect(answers(page)).toHaveText(WHOLE, { timeout: BACK_MS });
    await expect(network(page)).toHaveText('Connected.');
    expect(await isSame(page)).toBe(true);
  });
});

test('an operator who closes a conversation is named, and it can be opened again', async ({ stage, page, context }) => {
  const user = await logIn(stage, context);
  await open(stage, page, '/?thread=t1');
  await say(page, 'before');
  await expect(answers(page)).toHaveCount(1);
  await stage.gateway.ask('DELETE', `/v1/admin/sessions/${encodeURIComponent(`${user}:t1`)}`);
  await expect(network(page)).toContainText('An operator closed');
  await look(page, 'chat-closed-by-operator');
  await page.getByRole('button', { name: 'Open again' }).click();
  await expect(network(page)).toHaveText('Connected.');
  await say(page, 'after');
  await expect(answers(page).nth(1)).toHaveText('You asked: after');
});

test.describe('with few places', () => {
  test.use({ toml: 'limits.max_sessions_per_user = 2\nlimits.reserve_sessions = 0' });

  for (const socket of ['shared', 'own'] as const) {
    test(`a tab that makes room says so and is woken by a press, socket: ${socket}`, async ({
      stage,
      page,
      context,
    }) => {
      const tabs = [page, await context.newPage(), await context.newPage()];
      for (const [at, tab] of tabs.entries()) {
        await open(stage, tab, `/?thread=t${at}${socket === 'own' ? '&socket=own' : ''}`);
        await expect(network(tab)).toContainText('Connected.');
      }
      // Which one was used least is the gateway's to know: each tab that is seen says so now and then.
      const sleeper = await asleepOf(tabs);
      await look(sleeper, `chat-asleep-${socket}`);
      // The first touch wakes it already, and takes the button away under the finger: `click` would wait for it.
      const button = await sleeper.getByRole('button', { name: 'Wake it' }).boundingBox();
      if (button) await sleeper.mouse.click(button.x + button.width / 2, button.y + button.height / 2);
      await expect(network(sleeper)).toContainText('Connected.');
      await say(sleeper, 'awake');
      await expect(answers(sleeper)).toHaveText('You asked: awake');
      expect(await asleepOf(tabs)).not.toBe(sleeper);
      expect(await stage.gateway.metric('lychgate_sessions')).toBe(2);
    });
  }

  test('near the limit the page says how many conversations are open', async ({ stage, page, context }) => {
    await open(stage, page, '/?thread=t1');
    await expect(network(page)).toHaveText('Connected. 1 of 2 conversations open.');
    const other = await context.newPage();
    await open(stage, other, '/?thread=t2');
    await expect(network(page)).toContainText(
      '2 of 2 conversations open: a new one puts the one that you used least to sleep.',
    );
    await look(page, 'chat-limit');
  });
});

test.describe('with one place and an answer in it', () => {
  test.use({ toml: 'limits.max_sessions_per_user = 1\nlimits.reserve_sessions = 0' });

  test('who waits for a place is told at which position, and gets one', async ({ stage, page, context }) => {
    await halfAnAnswer(stage, page);
    const [second, third] = [await context.newPage(), await context.newPage()];
    await open(stage, second, '/?thread=t2');
    await expect(network(second)).toHaveText('Waiting for a place at position 1.');
    await open(stage, third, '/?thread=t3');
    await expect(network(third)).toHaveText('Waiting for a place at position 2.');
    await expect(third.getByText(/At the latest in \d+ s/)).toBeVisible();
    await look(third, 'chat-queued');
    stage.agent.release();
    await expect(network(second)).not.toContainText('position', { timeout: 20_000 });
    await expect(network(third)).not.toContainText('position', { timeout: 20_000 });
  });
});
