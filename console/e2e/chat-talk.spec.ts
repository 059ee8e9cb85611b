// A conversation: answers of every kind, stop, history, two tabs.

import { look } from './screens';
import { answers, expect, field, open, say, test } from './stage';

test('an answer is streamed, and its text stands in one message', async ({ stage, page }) => {
  await open(stage, page);
  await look(page, 'chat-empty');
  await say(page, 'hold on');
  await expect(page.locator('[data-role="user"]')).toHaveText(/hold on/);
  await expect(answers(page)).toHaveText('Before the pause.');
  await expect(page.getByRole('log')).toHaveAttribute('aria-busy', 'true');
  await look(page, 'chat-streaming');
  stage.agent.release();
  await expect(answers(page)).toHaveText('Before the pause. After the pause.');
  await expect(page.getByRole('log')).toHaveAttribute('aria-busy', 'false');
  await expect(page.locator('[data-announcement]')).toHaveText('Answer: Before the pause. After the pause.');
  // The new conversation has its address now, and its place at the side.
  await expect(page).toHaveURL(/\?thread=/);
  await expect(page.getByRole('navigation').getByRole('link', { name: /hold on/ })).toHaveAttribute(
    'aria-current',
    'page',
  );
});

test('a token draws its own message again, and no other', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'first');
  await expect(answers(page)).toHaveCount(1);
  await expect(page.locator('[data-run]')).toHaveCount(0);
  await page.evaluate(() => {
    const changed = { count: 0 };
    Object.assign(window, { changed });
    const first = document.querySelector('[data-role="assistant"]');
    if (first)
      new MutationObserver((records) => (changed.count += records.length)).observe(first, {
        subtree: true,
        childList: true,
        characterData: true,
        attributes: true,
      });
  });
  await say(page, 'count 100');
  await expect(answers(page).nth(1)).toContainText('100');
  expect(await page.evaluate(() => Reflect.get(window, 'changed').count)).toBe(0);
});

test('a tool call shows name, arguments, state and result, folded', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'use the tool');
  const tool = page.locator('[data-tool="weather"]');
  await expect(tool).toHaveAttribute('data-state', 'running');
  await expect(page.getByText('Working on: look up the weather')).toBeVisible();
  await expect(tool.getByText('"Bergen"')).toBeHidden();
  await look(page, 'chat-tool-running');
  stage.agent.release();
  await expect(tool).toHaveAttribute('data-state', 'done');
  await tool.locator('summary').click();
  await expect(tool.getByText('"Bergen"')).toBeVisible();
  await expect(tool.getByText('"rain"').first()).toBeVisible();
  await expect(answers(page)).toHaveText('You asked: use the tool');
  await look(page, 'chat-tool');
});

test('thoughts are folded, and live while they come', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'reason about it');
  const thoughts = page.locator('[data-role="reasoning"] summary');
  await expect(thoughts).toContainText('Thinking');
  await expect(thoughts).toContainText('The question has two parts.');
  await thoughts.click();
  await look(page, 'chat-thinking');
  stage.agent.release();
  await expect(thoughts).toContainText('Thoughts');
  await expect(page.getByText('The question has two parts. The second one is the harder.')).toBeVisible();
});

test('lists, code and links are drawn, and markup of an answer stays text', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'markup please');
  await expect(page.locator('.markdown ol > li')).toHaveCount(2);
  await expect(page.locator('.markdown ol ul > li')).toHaveCount(2);
  await expect(page.locator('figure.code pre')).toHaveText(/count \+= piece\.length/);
  await expect(page.getByRole('link', { name: 'the manual' })).toHaveAttribute('href', 'https://example.org/manual');
  await expect(answers(page)).toContainText('<script>alert(1)</script> stays text');
  await look(page, 'chat-markup');
});

test('an answer that fails says why, and can be asked for again', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'break it');
  await expect(page.locator('[data-run="failed"]')).toContainText('The answer failed: the model went away');
  await look(page, 'chat-failed');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(answers(page)).toHaveCount(2);
  // The question was asked again, and not added again.
  await expect(page.locator('[data-role="user"]')).toHaveCount(1);
});

test('stop ends the answer where it is, and the next question is taken', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'hold on');
  await expect(answers(page)).toHaveText('Before the pause.');
  await field(page).fill('not yet');
  await field(page).press('Enter');
  await expect(page.locator('#message-hint')).toHaveText('An answer is being written. Stop it, or wait for its end.');
  await expect(field(page)).toHaveValue('not yet');
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(page.locator('[data-run="stopped"]')).toBeVisible();
  await look(page, 'chat-stopped');
  await field(page).press('Enter');
  await expect(answers(page).nth(1)).toHaveText('You asked: not yet');
  await expect(answers(page).first()).toHaveText('Before the pause.');
});

test('two tabs of a conversation show the same, whoever asks', async ({ stage, page, context }) => {
  await open(stage, page, '/?thread=t1');
  const other = await context.newPage();
  await open(stage, other, '/?thread=t1');
  await say(page, 'hold on');
  await expect(answers(other)).toHaveText('Before the pause.');
  stage.agent.release();
  for (const tab of [page, other]) await expect(answers(tab)).toHaveText('Before the pause. After the pause.');
  await say(other, 'and now from here');
  for (const tab of [page, other]) await expect(answers(tab).nth(1)).toHaveText('You asked: and now from here');
});

test('who reads further up is left there, and told that text came', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'long');
  await expect(answers(page)).toContainText('Paragraph 40');
  const log = page.getByRole('log');
  const top = () => log.evaluate((element) => element.scrollTop);
  await expect
    .poll(() => log.evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight))
    .toBeLessThan(2);
  await log.hover();
  await page.mouse.wheel(0, -600);
  await expect(page.getByRole('button', { name: 'To the end' })).toBeVisible();
  const before = await top();
  // From another tab, so that nothing is typed here.
  const other = await page.context().newPage();
  await open(stage, other, '/?thread=t1');
  await say(other, 'short');
  await expect(page.getByRole('button', { name: 'New text below' })).toBeVisible();
  expect(await top()).toBe(before);
  await look(page, 'chat-new-below');
  await page.getByRole('button', { name: 'New text below' }).click();
  await expect(answers(page).nth(1)).toBeInViewport();
});

test('older messages come when one scrolls up, and what one reads stays in place', async ({ stage, page }) => {
  test.slow();
  await open(stage, page, '/?thread=t1');
  // A reset carries 256 KiB of history: each answer is a sixth of it.
  for (let at = 1; at <= 10; at += 1) {
    await say(page, `bulk ${at}`);
    await expect(answers(page)).toHaveCount(at);
    await expect(page.locator('[data-run]')).toHaveCount(0);
  }
  await page.reload();
  const questions = page.locator('[data-role="user"]');
  await expect(questions.last()).toContainText('bulk 10');
  await expect(questions.getByText('bulk 1', { exact: true })).toHaveCount(0);
  const log = page.getByRole('log');
  await log.focus();
  await page.keyboard.press('Home');
  await expect(questions).toHaveCount(10);
  await expect(questions.first()).toContainText('bulk 1');
  // What stood at the top stands there still: the messages above it are out of view.
  await expect(questions.first()).not.toBeInViewport();
  expect(await log.evaluate((element) => element.scrollTop)).toBeGreaterThan(1_000);
});

test('a draft of each conversation outlives a reload', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await field(page).fill('half a thought');
  await page.reload();
  await expect(field(page)).toHaveValue('half a thought');
  await page.getByRole('button', { name: 'New conversation' }).click();
  await expect(field(page)).toHaveValue('');
  await page.goBack();
  await expect(field(page)).toHaveValue('half a thought');
});

test('switching leaves the conversation before, whose slot is free, and its answer goes on', async ({
  stage,
  page,
}) => {
  await open(stage, page, '/?thread=t1');
  await say(page, 'hold on');
  await expect(answers(page)).toHaveText('Before the pause.');
  await page.getByRole('button', { name: 'New conversation' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'New conversation' })).toBeVisible();
  await expect.poll(() => stage.gateway.metric('lychgate_sessions')).toBe(0);
  const row = page.getByRole('navigation').getByRole('link', { name: /hold on/ });
  await expect(row).toContainText('an answer is being written');
  await look(page, 'chat-answer-elsewhere');
  stage.agent.release();
  await row.click();
  await expect(answers(page)).toHaveText('Before the pause. After the pause.');
});
