import { audited, enter, enterLive, expect, held, test } from './console-stage';
import { look } from './screens';

test('the slots of a full user stand in a row, each with its evidence, and the reserve behind them', async ({
  page,
  desk,
}) => {
  const tab = await desk.tab('demo', 't1');
  for (let n = 2; n <= 20; n += 1) await tab.hold(`t${n}`);
  await enter(page, desk, '#/users/demo');
  const slots = page.getByRole('toolbar', { name: 'Slots of demo' });
  await expect(slots.getByRole('button')).toHaveCount(25);
  await expect(slots.locator('[data-kind="alive"]')).toHaveCount(20);
  await expect(slots.locator('[data-kind="reserve"]')).toHaveCount(5);
  await expect(page.getByText('20 of 20', { exact: true })).toBeVisible();
  await expect(page.getByText('100 %, full')).toBeVisible();
  await slots.getByRole('button', { name: /: t7, alive, health/ }).click();
  const evidence = page.locator('[data-session="t7"]');
  await expect(evidence).toContainText('Alive');
  await expect(evidence).toContainText(/\d+ of 100/);
  await expect(evidence).toContainText('No heartbeat is unanswered.');
  await expect(evidence).toContainText('1 connection');
  await expect(page.getByRole('heading', { name: 'What happened, in order' })).toBeVisible();
  await expect(page.getByText('The session was opened: a slot was free.').first()).toBeVisible();
  await look(page, 'console-user-full');
});

test('a lingering session is marked, and says how long it is kept', async ({ page, desk }) => {
  const tab = await desk.tab('demo', 't1');
  tab.close();
  await enter(page, desk, '#/users/demo');
  await page.getByRole('button', { name: /t1, lingering/ }).click();
  await expect(page.locator('[data-session="t1"]')).toContainText(/Kept warm for another/);
  await expect(page.locator('[data-session="t1"]')).toContainText('No connection');
});

test('nobody of that name is told so, with what is remembered of him', async ({ page, desk }) => {
  await enter(page, desk, '#/users/nobody%20at%20all');
  await expect(page.getByText('This user holds nothing on this node')).toBeVisible();
  await expect(page.getByText('Nothing is remembered')).toBeVisible();
  await expect(page.getByRole('heading', { name: 'nobody at all' })).toBeVisible();
  await look(page, 'console-user-unknown');
});

test('ending a session asks first, ends that one, and stands in the audit log as shown', async ({
  page,
  desk,
}) => {
  const tab = await desk.tab('demo', 't1');
  await tab.hold('t2');
  await enter(page, desk, '#/users/demo');
  await page.getByRole('button', { name: /: t2, alive/ }).click();
  const end = page.getByRole('button', { name: 'End this session' });
  await end.click();
  const dialog = page.getByRole('dialog', { name: 'End this session' });
  await expect(dialog).toContainText('The session t2 of user demo.');
  await expect(dialog.getByRole('button', { name: 'Cancel' })).toBeFocused();
  await look(page, 'console-dialog-evict');
  await page.keyboard.press('Enter');
  await expect(dialog).toHaveCount(0);
  await expect(end).toBeFocused();
  expect((await held(desk, 'demo')).threads).toEqual(['t1', 't2']);
  await end.click();
  await page.getByRole('button', { name: 'End the session' }).click();
  await expect(page.getByText('The session t2 of demo was ended.')).toBeVisible();
  expect(await tab.until((frame) => frame.type === 'closed' && frame['thread'] === 't2')).toMatchObject({
    reason: 'closed_by_admin',
  });
  expect((await held(desk, 'demo')).threads).toEqual(['t1']);
  const [entry] = await audited(desk, 'demo');
  expect(entry).toMatchObject({ action: 'evict', outcome: 'done', operator: 'key:e2e' });
  await expect(page.locator('.note')).toContainText(entry?.request ?? 'no entry');
  await expect(page.getByRole('region', { name: 'Audit log, newest first' })).toContainText(
    entry?.request ?? 'no entry',
  );
  await look(page, 'console-user-done');
});

test('reclaim by hand says what each level takes, and takes that', async ({ page, desk }) => {
  const tab = await desk.tab('demo', 't1');
  await tab.hold('t2');
  await enter(page, desk, '#/users/demo');
  await page.getByRole('combobox', { name: 'Reclaim' }).selectOption('moderate');
  await expect(page.getByText('Also ends sessions without a connection')).toBeVisible();
  await page.getByRole('button', { name: 'Reclaim', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Reclaim (moderate)' }).click();
  await expect(page.getByText('Nothing was reclaimed')).toBeVisible();
  expect((await held(desk, 'demo')).threads).toEqual(['t1', 't2']);
  await page.getByRole('combobox', { name: 'Reclaim' }).selectOption('force');
  await page.getByRole('button', { name: 'Reclaim', exact: true }).click();
  await expect(page.getByRole('dialog')).toContainText('exactly one');
  await page.getByRole('button', { name: 'Reclaim (force)' }).click();
  await expect(page.getByText(/1 session reclaimed: t\d\. demo holds 1 of 20 now\./)).toBeVisible();
  expect((await held(desk, 'demo')).threads.length).toBe(1);
  expect((await audited(desk, 'demo')).map(({ action, parameters }) => [action, parameters])).toEqual([
    ['reclaim', { level: 'force' }],
    ['reclaim', { level: 'moderate' }],
  ]);
});

test('logging out everywhere closes every tab, and says how many', async ({ page, desk }) => {
  const tabs = [await desk.tab('demo', 't1'), await desk.tab('demo', 't2')];
  await enter(page, desk, '#/users/demo');
  await page.getByRole('button', { name: 'Log out everywhere' }).click();
  await expect(page.getByRole('dialog')).toContainText('2 sessions and 2 connections');
  await page.getByRole('dialog').getByRole('button', { name: 'Log out everywhere' }).click();
  await expect(page.getByText('demo was logged out: 2 connections closed.')).toBeVisible();
  for (const tab of tabs) expect(await tab.ended()).toBe(4513);
  expect((await audited(desk, 'demo'))[0]).toMatchObject({ action: 'log_out', outcome: 'done' });
  await expect(page.getByText('This user holds nothing on this node')).toBeVisible();
});

test('the limit is raised for an hour and taken back, and the row of slots follows', async ({ page, desk }) => {
  await desk.tab('demo', 't1');
  await enter(page, desk, '#/users/demo');
  const slots = page.getByRole('toolbar', { name: 'Slots of demo' }).getByRole('button');
  await expect(slots).toHaveCount(25);
  for (const fewer of ['3', '20']) {
    await page.getByLabel('Limit for an hour').fill(fewer);
    await expect(page.getByRole('button', { name: 'Raise', exact: true })).toHaveAttribute('aria-disabled', 'true');
    await expect(page.getByText('a whole number above the 20 of now')).toBeVisible();
  }
  await page.getByLabel('Limit for an hour').fill('1001');
  await expect(page.getByRole('button', { name: 'Raise', exact: true })).toHaveAttribute('aria-disabled', 'true');
  await page.getByLabel('Limit for an hour').fill('1000');
  await page.getByRole('button', { name: 'Raise', exact: true }).click();
  await expect(page.getByRole('dialog')).toContainText('may hold 1,000 sessions instead of 20.That holds for one hour');
  await expect(page.getByRole('dialog')).toContainText('each new session makes room');
  await page.getByRole('button', { name: 'Raise to 1,000' }).click();
  await expect(page.getByText(/demo may hold 1,000 sessions until/)).toBeVisible();
  expect((await held(desk, 'demo')).lent).toBe(1_000);
  await expect(slots).toHaveCount(1_005);
  await expect(page.getByText(/for another (1 h|59 min)/)).toBeVisible();
  await look(page, 'console-user-thousand');
  await page.getByRole('button', { name: 'Take it back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Take it back' }).click();
  await expect(page.getByText('demo may hold 20 sessions again')).toBeVisible();
  await expect(slots).toHaveCount(25);
  expect((await audited(desk, 'demo')).map(({ action }) => action)).toEqual(['restore_limit', 'lend_limit']);
});

test('an action that fails says why in the dialog, and can be tried again', async ({ page, desk }) => {
  const tab = await desk.tab('demo', 't1');
  await enter(page, desk, '#/users/demo');
  await page.getByRole('button', { name: /: t1, alive/ }).click();
  await page.getByRole('button', { name: 'End this session' }).click();
  desk.line.cut();
  await page.getByRole('button', { name: 'End the session' }).click();
  await expect(page.getByRole('alert')).toContainText('Not done. The node did not answer.');
  await look(page, 'console-dialog-failed');
  desk.line.restore();
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByText('The session t1 of demo was ended.')).toBeVisible();
  await tab.until((frame) => frame.type === 'closed');
});

test('what becomes of an action is told, also when the user is gone meanwhile', async ({ page, desk }) => {
  const tab = await desk.tab('demo', 't1');
  await enter(page, desk, '#/users/demo');
  await page.getByRole('button', { name: /: t1, alive/ }).click();
  await page.getByRole('button', { name: 'End this session' }).click();
  await desk.gateway.ask('DELETE', '/v1/admin/users/demo/sessions');
  await tab.ended();
  await expect(page.getByText('This user holds nothing on this node')).toBeVisible();
  const dialog = page.getByRole('dialog', { name: 'End this session' });
  await dialog.getByRole('button', { name: 'End the session' }).click();
  await expect(dialog.getByRole('alert')).toContainText('Not done.');
});

test('an action that fails after its page was left is told on the next one', async ({ page, desk }) => {
  await desk.tab('demo', 't1');
  await enter(page, desk, '#/users/demo');
  await page.getByRole('button', { name: /: t1, alive/ }).click();
  await page.getByRole('button', { name: 'End this session' }).click();
  desk.line.silence();
  await page.getByRole('button', { name: 'End the session' }).click();
  await expect(page.getByText('Being done.')).toBeVisible();
  await page.evaluate(() => (location.hash = '#/overview'));
  await expect(page.getByRole('heading', { level: 1, name: 'Overview' })).toBeVisible();
  desk.line.cut();
  await expect(page.getByText('End this session failed: The node did not answer.')).toBeVisible();
});

test('decisions and audit entries that are old say so', async ({ page, desk }) => {
  await desk.tab('demo', 't1');
  await enter(page, desk, '#/users/demo');
  const [story, audit] = [page.locator('[aria-labelledby="story"]'), page.locator('[aria-labelledby="audit"]')];
  await expect(story.locator('li').first()).toBeVisible();
  await expect(audit.getByText('No operator has changed anything')).toBeVisible();
  desk.line.cut();
  for (const part of [story, audit]) await expect(part).toContainText(/This is what was known at \d\d:\d\d:\d\d/);
  await expect(story.locator('li').first()).toBeVisible();
});

test('the strip of numbers is filled by its cells', async ({ page, desk }) => {
  await desk.tab('demo', 't1');
  await enter(page, desk, '#/users/demo');
  const edge = (selector: string) =>
    page.locator(selector).last().evaluate((element) => element.getBoundingClientRect().right);
  await expect(page.locator('.tile')).toHaveCount(3);
  expect(Math.abs((await edge('.tiles')) - (await edge('.tile')))).toBeLessThan(2);
});

test.describe('with heartbeats twice a second', () => {
  test.use({ toml: 'liveness.ping_interval = "1s"\nliveness.ping_answer = "500ms"\nliveness.missed_pings = 8\n' });

  test('a client that stops answering is suspect with its evidence, then dead in words', async ({ page, desk }) => {
    const tab = await desk.tab('demo', 't1');
    await enterLive(page, desk, '#/users/demo');
    tab.silence();
    const cell = page.getByRole('button', { name: /t1, suspect/ });
    await cell.click();
    const evidence = page.locator('[data-session="t1"]');
    await expect(evidence).toContainText(/[2-7] heartbeats in a row without an answer\./, { timeout: 20_000 });
    await expect(evidence).toContainText(/lost \d+ for heartbeats without an answer/);
    await look(page, 'console-user-suspect');
    await expect(page.locator('[data-verdict="dead"]').first()).toBeVisible({ timeout: 30_000 });
    await expect(page.getByText(/so the connection was declared dead \(half open\)/)).toBeVisible();
    await page.getByRole('link', { name: 'Reclaims' }).click();
    await expect(page.locator('li[data-verdict="dead"][data-user="demo"]')).toContainText(
      /8 heartbeats in a row without an answer/,
    );
  });
});
