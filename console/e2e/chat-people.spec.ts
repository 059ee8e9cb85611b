// For whoever has no mouse, no large screen, no eyes for it, or no wish for motion.

import { look } from './screens';
import { answered, answers, expect, field, open, say, test } from './stage';

test('everything is done by keyboard alone', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await expect(field(page)).toBeFocused();
  await page.keyboard.type('first line');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('second line');
  await page.keyboard.press('Enter');
  await expect(answers(page)).toContainText('first line');
  await answered(page);
  await expect(field(page)).toBeFocused();
  await page.keyboard.type('hold on');
  await page.keyboard.press('Enter');
  await expect(answers(page).nth(1)).toHaveText('Before the pause.');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('button', { name: 'Stop' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.locator('[data-run="stopped"]')).toBeVisible();
  await expect(field(page)).toBeFocused();
  // Round from the top: the way past the side, a new conversation, and back to the one before.
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.evaluate(() =>
    document.activeElement instanceof HTMLElement ? document.activeElement.blur() : undefined,
  );
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to the message field' })).toBeFocused();
  await look(page, 'chat-skip');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('button', { name: 'New conversation' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page).not.toHaveURL(/thread=/);
  await expect(field(page)).toBeFocused();
  await page.getByRole('link', { name: /first line/ }).focus();
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/thread=t1/);
  await expect(field(page)).toBeFocused();
  await expect(answers(page).first()).toContainText('first line');
});

test('the conversation is a log that is read aloud once per answer, not per token', async ({ stage, page }) => {
  await open(stage, page, '/?thread=t1');
  await expect(page.getByRole('log')).toHaveAttribute('aria-live', 'off');
  await page.evaluate(() => {
    const heard: string[] = [];
    Object.assign(window, { heard });
    const region = document.querySelector('[data-announcement]');
    if (region)
      new MutationObserver(() => heard.push(region.textContent ?? '')).observe(region, {
        subtree: true,
        childList: true,
        characterData: true,
      });
  });
  await say(page, 'count 60');
  await expect(page.locator('[data-announcement]')).toContainText('Answer: 1 2 3');
  const heard: string[] = await page.evaluate(() => Reflect.get(window, 'heard'));
  const whole = expect.stringMatching(/^Answer: 1 2 3 .* 60$/);
  expect(heard.filter((text) => text !== '')).toEqual(['An answer is being written.', whole]);
});

test('the choice of colours counts before the system and stays, in all tabs', async ({ stage, page, context }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await open(stage, page);
  const ground = (of = page) => of.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole('button', { name: /^Colours: as the system/ }).click();
  expect(await ground()).toBe(light);
  await page.getByRole('button', { name: /^Colours: light/ }).click();
  const dark = await ground();
  expect(dark).not.toBe(light);
  await page.reload();
  await expect(page.getByRole('button', { name: /^Colours: dark/ })).toBeVisible();
  expect(await ground()).toBe(dark);
  const other = await context.newPage();
  await other.emulateMedia({ colorScheme: 'light' });
  await open(stage, other);
  expect(await ground(other)).toBe(dark);
  await other.getByRole('button', { name: /^Colours: dark/ }).click();
  await expect.poll(() => ground()).toBe(light);
});

test('with less motion wanted nothing moves', async ({ stage, page }) => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await open(stage, page, '/?thread=t1');
  await say(page, 'hold on');
  await expect(answers(page)).toHaveText('Before the pause.');
  const moving = () =>
    document.getAnimations().filter((animation) => Number(animation.effect?.getComputedTiming().duration ?? 0) > 0)
      .length;
  expect(await page.evaluate(moving)).toBe(0);
});

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true });

  test('conversations are in a drawer, nothing is wider than the screen, and one can chat', async ({ stage, page }) => {
    await open(stage, page, '/?thread=t1');
    await say(page, 'markup please');
    await expect(page.locator('figure.code')).toBeVisible();
    await look(page, 'chat-phone');
    const widest = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;
    expect(await page.evaluate(widest)).toBe(0);
    await expect(page.getByRole('navigation')).toHaveCount(0);
    await page.getByRole('button', { name: 'Show conversations' }).click();
    const drawer = page.getByRole('dialog', { name: 'Conversations' });
    await expect(drawer).toBeVisible();
    await look(page, 'chat-phone-drawer');
    await page.keyboard.press('Escape');
    await expect(drawer).toBeHidden();
    await expect(page.getByRole('button', { name: 'Show conversations' })).toBeFocused();
    await page.getByRole('button', { name: 'Show conversations' }).click();
    await drawer.getByRole('button', { name: 'New conversation' }).click();
    await expect(drawer).toBeHidden();
    await say(page, 'from a phone');
    await expect(answers(page)).toHaveText('You asked: from a phone');
  });
});

test.describe('at 200 % on a small window', () => {
  // What a window of 1280 by 800 is to the page then.
  test.use({ viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 });

  test('everything is there and nothing has to be scrolled sideways', async ({ stage, page }) => {
    await open(stage, page, '/?thread=t1');
    await say(page, 'use no helper');
    await expect(answers(page)).toBeInViewport();
    await expect(field(page)).toBeInViewport();
    await expect(page.getByRole('button', { name: 'Send' })).toBeInViewport();
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(
      0,
    );
  });
});
