// The way in and out.

import { startDemo } from './gateway';
import { look } from './screens';
import { answers, expect, field, logIn, network, open, say, test } from './stage';

test('a login at a provider leads to the conversation that was asked for', async ({ stage, page }) => {
  stage.provider.user = '105945141827451681156';
  await page.goto(`${stage.origin}/?thread=t1`);
  await expect(page.getByRole('heading', { name: 'Log in to Lychgate' })).toBeFocused();
  await look(page, 'chat-login');
  await page.getByRole('link', { name: 'Log in with the test provider' }).click();
  await expect(field(page)).toBeFocused();
  expect(new URL(page.url()).search).toBe('?thread=t1');
  await expect(page.getByText('105945141827451681156')).toBeVisible();
});

test('a token in the place of a login stays in its tab, over a reload', async ({ stage, page, context }) => {
  await page.goto(stage.origin);
  await page.getByText('Use a token instead').click();
  await page.getByLabel('Token').fill('no token');
  await page.getByRole('button', { name: 'Use this token' }).click();
  await expect(page.getByText('This token does not count here')).toBeVisible();
  await look(page, 'chat-login-refused');
  await page.getByLabel('Token').fill(stage.gateway.token('demo'));
  await page.keyboard.press('Enter');
  await say(page, 'with a token');
  await expect(answers(page)).toHaveText('You asked: with a token');
  await page.reload();
  await expect(answers(page)).toHaveText('You asked: with a token');
  const other = await context.newPage();
  await other.goto(stage.origin);
  await expect(other.getByRole('heading', { name: 'Log in to Lychgate' })).toBeVisible();
});

test('logging out asks first, ends all tabs and says so in the others', async ({ stage, page, context }) => {
  await open(stage, page);
  const other = await context.newPage();
  await open(stage, other, '/?thread=t1');
  await expect(network(other)).toHaveText('Connected.');
  await page.getByRole('button', { name: 'Log out' }).click();
  await expect(page.getByRole('button', { name: 'Cancel' })).toBeFocused();
  await look(page, 'chat-logout');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Log out' }).click();
  await expect(page.getByText('You are logged out.', { exact: true })).toBeVisible();
  await expect(other.getByText('Your login has ended')).toBeVisible();
  await look(other, 'chat-logged-out-elsewhere');
  await page.getByRole('link', { name: 'Log in with the test provider' }).click();
  await expect(network(page)).toHaveText('Connected.');
  await other.getByRole('link', { name: 'Log in with the test provider' }).click();
  await say(other, 'in again');
  await expect(answers(other)).toHaveText('You asked: in again');
});

test('an operator who logs a user out ends his tabs, and he is told', async ({ stage, page, context }) => {
  const user = await logIn(stage, context);
  await open(stage, page, '/?thread=t1');
  await expect(network(page)).toHaveText('Connected.');
  await stage.gateway.ask('DELETE', `/v1/admin/users/${user}/sessions`);
  await expect(page.getByText('Your login has ended')).toBeVisible();
});

test('a server that does not answer is told, and asked again', async ({ stage, page }) => {
  await open(stage, page);
  await page.route('**/v1/me', (route) => route.abort());
  await page.reload();
  await expect(page.getByText('The server did not answer')).toBeVisible();
  await look(page, 'chat-unreachable');
  await page.unroute('**/v1/me');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(field(page)).toBeVisible();
});

test('in the demonstration a name is enough, and the answer comes', async ({ page }) => {
  const demo = await startDemo();
  try {
    await page.goto(demo.origin);
    await page.getByRole('button', { name: 'Log in' }).click();
    await expect(page.getByText('Please write a name first.')).toBeVisible();
    await look(page, 'chat-login-demo');
    await page.getByLabel('Your name').fill('demo');
    await page.keyboard.press('Enter');
    await say(page, 'hello there');
    await expect(answers(page)).toHaveText('You said "hello there", and it came through well.');
  } finally {
    await demo.stop();
  }
});

test.describe('with tokens that end', () => {
  test.use({ toml: 'auth.expiry_grace = "1s"\nauth.jwt.leeway = "0s"' });

  test('a token that has expired is told as such, and a fresh one goes on', async ({ stage, page }) => {
    await page.goto(`${stage.origin}/?thread=t1`);
    await page.getByText('Use a token instead').click();
    await page.getByLabel('Token').fill(stage.gateway.token('demo', '4s'));
    await page.keyboard.press('Enter');
    await expect(field(page)).toBeVisible();
    await expect(page.getByText('Your token has expired. Please use a fresh one.')).toBeVisible({ timeout: 20_000 });
    await page.getByText('Use a token instead').click();
    await page.getByLabel('Token').fill(stage.gateway.token('demo'));
    await page.keyboard.press('Enter');
    await say(page, 'fresh');
    await expect(answers(page)).toHaveText('You asked: fresh');
  });
});
