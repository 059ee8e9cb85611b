// Operators who log in at a provider, where admin.public_url says how browsers reach the console.

import { type Page, expect, test } from '@playwright/test';
import { point } from './console-stage';
import { Gateway } from './gateway';
import { Line } from './line';
import { Provider } from './provider';
import { look } from './screens';

let provider: Provider;
let line: Line;
let gateway: Gateway;
let origin: string;

test.beforeAll(async () => {
  [provider, line] = await Promise.all([Provider.start(), Line.open()]);
  // Chromium takes the login's cookie from plain http on localhost.
  origin = `http://localhost:${line.port}`;
  const toml = [
    `admin.public_url = "${origin}"`,
    'admin.group = "support"',
    'admin.write_group = "operators"',
    'login.providers.test.groups_claim = "groups"',
  ];
  gateway = await Gateway.start({ publicUrl: 'http://localhost:1', issuer: provider.issuer, toml: toml.join('\n') });
  point(line, gateway);
});

test.afterAll(async () => {
  await line.close();
  await Promise.all([gateway.stop(), provider.stop()]);
});

/** Somebody of these groups logs in by the link on the page. */
async function logIn(page: Page, user: string, groups: string[]): Promise<void> {
  provider.user = user;
  provider.groups = groups;
  await page.goto(`${origin}/console`);
  await page.getByRole('link', { name: 'the test provider' }).click();
}

test('whoever logs in and is in the group comes in without a key, is live, and logs out', async ({ page }) => {
  await page.goto(`${origin}/console`);
  await expect(page.getByRole('link', { name: 'the test provider' })).toBeVisible();
  await look(page, 'console-sign-in-provider');
  await logIn(page, 'kim', ['operators']);
  await expect(page.getByText('user:kim (may change)')).toBeVisible();
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'live');
  await page.reload();
  await expect(page.getByText('user:kim (may change)')).toBeVisible();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByLabel('Operator key')).toBeVisible();
  await page.reload();
  await expect(page.getByLabel('Operator key')).toBeVisible();
});

test('a sign-out that the node did not hear of is told, and nobody looks signed out', async ({ page }) => {
  await logIn(page, 'kim', ['operators']);
  await expect(page.getByText('user:kim (may change)')).toBeVisible();
  line.cut();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByText('You are still logged in')).toBeVisible();
  await expect(page.getByText('user:kim (may change)')).toBeVisible();
  line.restore();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByLabel('Operator key')).toBeVisible();
});

test('whoever may only look by his group is told so', async ({ page }) => {
  await logIn(page, 'sam', ['support']);
  await expect(page.getByText('user:sam (may look)')).toBeVisible();
});

test('whoever is in no group stays outside and is told why', async ({ page }) => {
  await logIn(page, 'max', []);
  await expect(page.getByLabel('Operator key')).toBeVisible();
  await expect(page.getByRole('status')).not.toBeEmpty();
});
