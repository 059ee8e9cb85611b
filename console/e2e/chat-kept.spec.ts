// What somebody wrote is there once, whatever comes between: no network, another conversation, a reload, a refusal.

import type { Page } from '@playwright/test';
import { look } from './screens';
import { BACK_MS, type Stage, answered, answers, expect, field, logIn, network, open, say, test } from './stage';
import { Tab } from './tab';

const questions = (page: Page) => page.locator('[data-role="user"]');
const pending = (page: Page) => page.locator('[data-pending]');
const refused = (page: Page) => page.locator('[data-pending="refused"]');

/** A conversation with an answer, whose connection is cut now. */
async function cutOff(stage: Stage, page: Page): Promise<void> {
  await open(stage, page, '/?thread=t1');
  await say(page, 'first');
  await expect(answers(page)).toHaveCount(1);
  await answered(page);
  stage.line.cut();
  await expect(network(page)).toContainText('The connection was interrupted.');
}

test('a message that waits is sent when one comes back to its conversation', async ({ stage, page }) => {
  await cutOff(stage, page);
  await say(page, 'from a tunnel');
  await expect(page.getByText('Waiting to be sent')).toBeVisible();
  await page.getByRole('button', { name: 'New conversation' }).click();
  await expect(pending(page)).toHaveCount(0);
  stage.line.restore();
  await page.getByRole('link', { name: /first/ }).click();
  await expect(answers(page).nth(1)).toHaveText('You asked: from a tunnel', { timeout: BACK_MS });
  await expect(questions(page)).toHaveText([/first/, /from a tunnel/]);
  await expect(pending(page)).toHaveCount(0);
});

test('a message that waits outlives a reload, and is there once', async ({ stage, page }) => {
  await cutOff(stage, page);
  await say(page, 'from a tunnel');
  await expect(page.getByText('Waiting to be sent')).toBeVisible();
  stage.line.restore();
  await page.reload();
  await expect(answers(page).nth(1)).toHaveText('You asked: from a tunnel');
  await expect(questions(page)).toHaveText([/first/, /from a tunnel/]);
  await page.reload();
  await expect(answers(page)).toHaveCount(2);
  await expect(pending(page)).toHaveCount(0);
});

test('so does the first message of a new conversation, which has its address at once', async ({ stage, page }) => {
  await cutOff(stage, page);
  await page.getByRole('button', { name: 'New conversation' }).click();
  await say(page, 'a new beginning');
  await expect(page).toHaveURL(/\?thread=[0-9a-f-]{36}/);
  await expect(page.getByText('Waiting to be sent')).toBeVisible();
  stage.line.restore();
  await page.reload();
  await expect(answers(page)).toHaveText('You asked: a new beginning');
  await expect(questions(page)).toHaveCount(1);
});

test('a message that a closed conversation refused opens it again when it is tried again', async ({
  stage,
  page,
  context,
}) => {
  const user = await logIn(stage, context);
  await open(stage, page, '/?thread=t1');
  await say(page, 'first');
  await expect(answers(page)).toHaveCount(1);
  await answered(page);
  stage.line.silence();
  await say(page, 'written meanwhile');
  await stage.gateway.ask('DELETE', `/v1/admin/sessions/${encodeURIComponent(`${user}:t1`)}`);
  stage.line.restore();
  await expect(refused(page)).toContainText('Not accepted');
  await refused(page).getByRole('button', { name: 'Try again' }).click();
  await expect(answers(page).nth(1)).toHaveText('You asked: written meanwhile');
  await expect(questions(page)).toHaveCount(2);
  await say(page, 'next');
  await expect(answers(page).nth(2)).toHaveText('You asked: next');
});

test('a refused message stays until it is taken or removed, also after the next one', async ({
  stage,
  page,
  context,
}) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'first');
  await expect(answers(page)).toHaveCount(1);
  await answered(page);
  const other = await context.newPage();
  await open(stage, other, '/?thread=t1');
  stage.line.cut();
  for (const tab of [page, other]) await expect(network(tab)).toContainText('interrupted');
  await say(page, 'hold one');
  await say(other, 'hold two');
  stage.line.restore();
  // One of them comes first, and the conversation is busy with it.
  const refusals = async () => (await refused(page).count()) + (await refused(other).count());
  await expect.poll(refusals, { timeout: BACK_MS }).toBe(1);
  const late = (await refused(page).count()) === 1 ? page : other;
  await look(late, 'chat-refused');
  stage.agent.release();
  await expect(answers(late).nth(1)).toContainText('After the pause.');
  await say(late, 'something else');
  await expect(answers(late).nth(2)).toHaveText('You asked: something else');
  await expect(refused(late)).toHaveCount(1);
  await refused(late).getByRole('button', { name: 'Try again' }).click();
  await expect(answers(late).nth(3)).toHaveText('Before the pause.');
  await expect(pending(late)).toHaveCount(0);
});

test.describe('where runs may wait', () => {
  test.use({ toml: 'runs.max_queued_per_thread = 2' });

  test('a message that waits for the answer before it says so', async ({ stage, page, context }) => {
    const user = await logIn(stage, context);
    await open(stage, page, '/?thread=t1');
    await expect(network(page)).toHaveText('Connected.');
    stage.line.cut();
    await say(page, 'me next');
    await expect(page.getByText('Waiting to be sent')).toBeVisible();
    const tab = await Tab.open(stage.gateway, user, 't1');
    await tab.run('t1', 'r1', 'hold on');
    await expect.poll(() => stage.agent.held).toBe(1);
    stage.line.restore();
    await expect(pending(page)).toContainText('Waiting for the answer before it', { timeout: BACK_MS });
    stage.agent.release();
    await expect(answers(page).nth(1)).toHaveText('You asked: me next');
    tab.close();
  });
});

test('stop counts, also while there is no connection', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'hold on');
  await expect(answers(page)).toHaveText('Before the pause.');
  stage.line.cut();
  await expect(network(page)).toContainText('interrupted');
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(page.getByRole('button', { name: 'Stopping' })).toBeVisible();
  stage.line.restore();
  await expect(page.locator('[data-run="stopped"]')).toBeVisible({ timeout: BACK_MS });
  expect(stage.agent.held).toBe(0);
});

test('a failed answer is asked for again once, however often one presses, and says that it waits', async ({
  stage,
  page,
}) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'break it');
  await expect(page.locator('[data-run="failed"]')).toBeVisible();
  stage.line.cut();
  await expect(network(page)).toContainText('interrupted');
  await page.locator('[data-run]').getByRole('button', { name: 'Try again' }).dblclick();
  await expect(page.locator('[data-run]')).toContainText('Waiting to be sent');
  await expect(page.locator('[data-run]').getByRole('button')).toHaveCount(0);
  await field(page).fill('and now');
  await field(page).press('Enter');
  await expect(field(page)).toHaveValue('and now');
  stage.line.restore();
  await expect(answers(page)).toHaveCount(2, { timeout: BACK_MS });
  await expect(page.locator('[data-run="failed"]').getByRole('button', { name: 'Try again' })).toBeVisible();
  await expect(answers(page)).toHaveCount(2);
});

test('what was sent is no draft any more, neither here nor in the next conversation', async ({ stage, page }) => {
  await open(stage, page);
  await expect(network(page)).toHaveText('Connected.');
  await field(page).fill('hello there');
  // A draft is written after a pause.
  await expect.poll(() => page.evaluate(() => localStorage.getItem('lychgate.drafts'))).toContain('hello there');
  await field(page).press('Enter');
  await expect(answers(page)).toHaveCount(1);
  await page.getByRole('button', { name: 'New conversation' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'New conversation' })).toBeVisible();
  await expect(field(page)).toHaveValue('');
});

test('a logout leaves nothing of what was typed, in none of the tabs', async ({ stage, page, context }) => {
  await open(stage, page, '/?thread=t1');
  const other = await context.newPage();
  await open(stage, other, '/?thread=t2');
  await expect(network(other)).toContainText('Connected.');
  await field(other).fill('private there');
  await field(page).fill('private here');
  await expect.poll(() => page.evaluate(() => localStorage.getItem('lychgate.drafts'))).toContain('private here');
  await page.getByRole('button', { name: 'Log out' }).click();
  await field(other).fill('typed last');
  await page.getByRole('dialog').getByRole('button', { name: 'Log out' }).click();
  await expect(page.getByText('You are logged out.', { exact: true })).toBeVisible();
  await expect(other.getByText('Your login has ended')).toBeVisible();
  expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toMatch(/private|typed last/);
});

test('a long conversation is drawn from its newest messages on, and the rest as one asks for it', async ({
  stage,
  page,
  context,
}) => {
  const user = await logIn(stage, context);
  const tab = await Tab.open(stage.gateway, user, 't1');
  const messages = Array.from({ length: 600 }, (_, at) => ({ id: `m${at}`, role: 'user', content: `message ${at}` }));
  tab.say({ type: 'run', thread: 't1', run: 'r1', input: { messages } });
  await tab.until(({ event }) => typeof event === 'object' && event !== null && Reflect.get(event, 'type') === 'RUN_FINISHED');
  tab.close();
  await open(stage, page, '/?thread=t1');
  await expect(answers(page)).toHaveCount(1);
  expect(await page.locator('article').count()).toBeLessThanOrEqual(250);
  const first = page.locator('article').first();
  await first.evaluate((element) => element.setAttribute('data-stood-first', ''));
  // By keyboard: a page that moves while answers are laid out moves a button away under the mouse.
  await page.getByRole('button', { name: 'Show older messages' }).press('Enter');
  await expect.poll(() => page.locator('article').count()).toBeGreaterThan(300);
  // It moved neither out of the document nor to the top.
  await expect(page.locator('[data-stood-first]')).toHaveCount(1);
  await expect(first).not.toHaveAttribute('data-stood-first');
});
