import { enter, expect, test } from './console-stage';
import { look } from './screens';

test('a key lets an operator in, stays in this tab, and stands in no address', async ({ page, desk }) => {
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(desk.url);
  await expect(page.getByLabel('Operator key')).toBeFocused();
  await look(page, 'console-sign-in');
  await enter(page, desk);
  await expect(page.getByText('key:e2e (may change)')).toBeVisible();
  await page.reload();
  await expect(page.getByText('key:e2e (may change)')).toBeVisible();
  expect(asked.filter((url) => url.includes(desk.gateway.key))).toEqual([]);
  expect(asked.filter((url) => new URL(url).host !== new URL(desk.url).host)).toEqual([]);
  expect(await page.evaluate(() => Object.keys(localStorage).concat(document.cookie))).not.toContain(
    'lychgate.operator-key',
  );
  expect(page.url()).not.toContain(desk.gateway.key);
});

test('a key that the node does not know is refused in words, and the field keeps the focus', async ({ page, desk }) => {
  await page.goto(desk.url);
  await page.getByLabel('Operator key').fill('lychgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('does not know that key');
  await expect(page.getByLabel('Operator key')).toBeFocused();
  await expect(page.getByLabel('Operator key')).toHaveAccessibleDescription(/does not know that key/);
  await look(page, 'console-sign-in-refused');
});

test('nothing typed, and what can be no key, is told without asking the node', async ({ page, desk }) => {
  await page.goto(desk.url);
  await expect(page.getByLabel('Operator key')).toBeVisible();
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('Paste the key');
  await page.getByLabel('Operator key').fill('two words');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('alert')).toContainText('That is no key');
  expect(asked).toEqual([]);
});

test('a page that opens without a key is no attempt in the audit log', async ({ page, desk }) => {
  await page.goto(desk.url);
  await expect(page.getByLabel('Operator key')).toBeVisible();
  const { entries } = (await desk.gateway.ask('GET', '/v1/admin/audit')) as { entries: unknown[] };
  expect(entries).toEqual([]);
});

test('a key that may only look sees every action and why it cannot be pressed', async ({ page, desk }) => {
  await desk.tab('demo', 't1');
  await enter(page, desk, '#/users/demo', desk.readKey);
  await expect(page.getByText('key:reader (may look)')).toBeVisible();
  for (const name of ['Reclaim', 'Raise', 'Log out everywhere']) {
    const button = page.getByRole('button', { name, exact: true });
    await expect(button).toHaveAttribute('aria-disabled', 'true');
    await button.click({ force: true });
  }
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(page.getByText('this needs the role "write"')).toBeVisible();
  await look(page, 'console-user-read-only');
});

test('signing out forgets the key', async ({ page, desk }) => {
  await enter(page, desk);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByLabel('Operator key')).toBeVisible();
  await page.reload();
  await expect(page.getByLabel('Operator key')).toBeVisible();
});

test('a key that stops counting leads back to the door and says why', async ({ page, desk }) => {
  await enter(page, desk, '#/node');
  await page.evaluate(() => sessionStorage.setItem('lychgate.operator-key', 'lychgate_gone'));
  await page.reload();
  await expect(page.getByText('The key that this tab held is not accepted any more.')).toBeVisible();
});

/** Takes the lines of the key `reader` out of the file of the gateway. */
const withoutReader = (toml: string) => toml.replace(/^admin\.keys\.reader\..*$/gm, '');

test('a key that is taken away while the page is live leads back to the door and says why', async ({ page, desk }) => {
  await enter(page, desk, '#/overview', desk.readKey);
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'live');
  desk.gateway.reload(withoutReader);
  await expect(page.getByText('The node does not accept this key or login any more.')).toBeVisible();
  await expect(page.getByLabel('Operator key')).toBeVisible();
  await page.reload();
  await expect(page.getByLabel('Operator key')).toBeVisible();
  expect(await page.evaluate(() => Object.keys(sessionStorage))).not.toContain('lychgate.operator-key');
});

test('a key that is taken away while nothing is live is told by the next answer', async ({ page, desk }) => {
  await page.routeWebSocket(/./, (socket) => void socket.close({ code: 1011 }));
  await enter(page, desk, '#/agents', desk.readKey);
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'stale');
  desk.gateway.reload(withoutReader);
  await expect(page.getByText('The node does not accept this key or login any more.')).toBeVisible();
});

test('a key that may more from now on can do it at once, without a new sign-in', async ({ page, desk }) => {
  await desk.tab('demo', 't1');
  await enter(page, desk, '#/users/demo', desk.readKey);
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'live');
  const logOut = page.getByRole('button', { name: 'Log out everywhere' });
  await expect(logOut).toHaveAttribute('aria-disabled', 'true');
  desk.gateway.reload((toml) => toml.replace('admin.keys.reader.role = "read"', 'admin.keys.reader.role = "write"'));
  await expect(page.getByText('key:reader (may change)')).toBeVisible({ timeout: 30_000 });
  await expect(logOut).not.toHaveAttribute('aria-disabled', 'true');
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'live', { timeout: 30_000 });
});

test('nothing is asked for that is not there', async ({ page, desk }) => {
  const wrong: string[] = [];
  page.on('response', (response) => {
    if (response.status() >= 400) wrong.push(`${response.status()} ${new URL(response.url()).pathname}`);
  });
  await enter(page, desk);
  expect(wrong).toEqual([]);
});

test('the page has its sign', async ({ page, desk }) => {
  await page.goto(desk.url);
  const sign = await page.locator('link[rel="icon"]').getAttribute('href');
  const answer = await page.request.get(new URL(sign ?? 'no icon', desk.url).href);
  expect([answer.status(), answer.headers()['content-type']]).toEqual([200, expect.stringMatching(/^image\/svg\+xml/)]);
});
