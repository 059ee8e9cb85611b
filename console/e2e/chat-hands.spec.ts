// A browser whose login changes hands without a logout: nobody sees or writes what belongs to somebody else (I8).

import { type BrowserContext, type Page } from '@playwright/test';
import { look } from './screens';
import { type Stage, answers, expect, logIn, network, open, say, test } from './stage';

const questions = (page: Page) => page.locator('[data-role="user"]');
const account = (page: Page) => page.locator('.account-name');

/** Another user's cookie takes the place of the one that is there, at once. */
async function change(stage: Stage, context: BrowserContext): Promise<string> {
  const elsewhere = await context.browser()!.newContext();
  const after = await logIn(stage, elsewhere);
  await context.addCookies(await elsewhere.cookies());
  await elsewhere.close();
  return after;
}

test('a new tab of another user shares nothing with the tabs of the one before', async ({ stage, page, context }) => {
  const before = await logIn(stage, context);
  await open(stage, page, '/?thread=t1');
  await say(page, 'a secret');
  await expect(answers(page)).toHaveCount(1);
  const after = await change(stage, context);
  const other = await context.newPage();
  await open(stage, other, '/?thread=t1');
  await expect(account(other)).toContainText(after);
  await expect(network(other)).toContainText('Connected.');
  await say(other, 'somebody else writes');
  await expect(answers(other)).toHaveText('You asked: somebody else writes');
  await expect(questions(other)).toHaveCount(1);
  await expect(questions(page)).toHaveText([/a secret/]);
  await expect(account(page)).toContainText(before);
  expect(await stage.gateway.metric('lychgate_connections')).toBe(2);
});

for (const socket of ['shared', 'own'] as const) {
  test(`a tab that reconnects as another user is that user's from then on, socket: ${socket}`, async ({
    stage,
    page,
    context,
  }) => {
    await open(stage, page, `/?thread=t1${socket === 'own' ? '&socket=own' : ''}`);
    await say(page, 'a secret');
    await expect(answers(page)).toHaveCount(1);
    // The socket that is open stays that of the user before; the next one is not.
    const after = await change(stage, context);
    stage.line.cut();
    stage.line.restore();
    await expect(network(page)).toHaveText(`The login of this browser changed. You are ${after} now.`);
    await expect(account(page)).toContainText(after);
    await expect(questions(page)).toHaveCount(0);
    await expect(page).not.toHaveURL(/thread=/);
    await look(page, `chat-changed-hands-${socket}`);
    await page.getByRole('button', { name: 'Understood' }).click();
    await expect(network(page)).toHaveText('Connected.');
    await say(page, 'somebody else writes');
    await expect(answers(page)).toHaveText('You asked: somebody else writes');
    await expect(questions(page)).toHaveCount(1);
  });
}
