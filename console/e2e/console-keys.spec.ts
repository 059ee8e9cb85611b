import type { Page } from '@playwright/test';
import { enterLive, expect, test } from './console-stage';
import { look } from './screens';

/** What has the focus, as a screen reader names it. */
const focused = (page: Page) =>
  page.evaluate(
    () => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent?.trim() ?? '',
  );

test('a session is ended with the keyboard alone', async ({ page, desk }) => {
  const tab = await desk.tab('demo', 't1');
  await tab.hold('t2');
  await enterLive(page, desk);
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keyboard' })).toBeVisible();
  await look(page, 'console-keys');
  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await page.keyboard.press('u');
  await expect(page.getByRole('heading', { level: 1, name: 'Users' })).toBeFocused();
  await expect(page.locator('[data-user="demo"]')).toBeVisible();
  await page.keyboard.press('/');
  await expect(page.getByLabel('Search by id')).toBeFocused();
  await page.keyboard.type('demo');
  await expect(page.getByText(/found$/)).toBeVisible();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('grid', { name: 'Users' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1, name: 'demo' })).toBeFocused();
  await expect(page.getByRole('toolbar')).toBeVisible();
  await page.keyboard.press('Tab');
  await expect.poll(() => focused(page)).toMatch(/^Slot 1: /);
  await page.keyboard.press('ArrowRight');
  await expect.poll(() => focused(page)).toMatch(/^Slot 2: /);
  await page.keyboard.press('End');
  await expect.poll(() => focused(page)).toMatch(/^Slot 25, beyond the limit: reserve/);
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  await expect(page.locator('[data-session]')).toBeVisible();
  await page.keyboard.press('Tab');
  await expect.poll(() => focused(page)).toBe('End this session');
  await page.keyboard.press('Enter');
  await expect.poll(() => focused(page)).toBe('Cancel');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(page.getByText(/The session t\d of demo was ended/)).toBeVisible();
  await tab.until((frame) => frame.type === 'closed');
});

test('keys do nothing while somebody types, nor once they are switched off', async ({ page, desk }) => {
  await enterLive(page, desk, '#/users');
  await page.getByLabel('Search by id').fill('');
  await page.getByLabel('Search by id').press('?');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await page.getByRole('button', { name: 'Keys' }).click();
  await page.getByLabel('Listen to these keys').uncheck();
  await page.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('heading', { level: 1 }).click();
  await page.keyboard.press('?');
  await page.keyboard.press('g');
  await page.keyboard.press('n');
  await expect(page.getByRole('heading', { level: 1, name: 'Users' })).toBeVisible();
  await expect(page.getByRole('dialog')).toHaveCount(0);
});

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 } });

  test('every page fits the width', async ({ page, desk }) => {
    const tab = await desk.tab('demo', 't1');
    for (let n = 2; n <= 14; n += 1) await tab.hold(`t${n}`);
    await enterLive(page, desk);
    for (const place of ['users', 'users/demo', 'reclaims', 'agents', 'node', 'alerts', 'overview']) {
      await page.evaluate((hash) => (location.hash = hash), `#/${place}`);
      await expect(page.getByRole('heading', { level: 1 })).toBeFocused();
      await expect(page.locator('main .blank [aria-hidden="true"].spinner')).toHaveCount(0);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), place).toBeLessThanOrEqual(
        0,
      );
      await look(page, `console-phone-${place.replace('/', '-')}`);
    }
  });
});
