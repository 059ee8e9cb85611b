import { enter, enterLive, expect, test } from './console-stage';
import { look } from './screens';

test('the list of users finds, sorts, follows, and leads to one', async ({ page, desk }) => {
  await enterLive(page, desk, '#/users');
  await expect(page.getByText('Nobody is here')).toBeVisible();
  await look(page, 'console-users-empty');
  const full = await desk.tab('zoe', 't0');
  for (let n = 1; n < 12; n += 1) await full.hold(`t${n}`);
  await desk.tab('ann', 't1');
  const rows = page.locator('.grid [data-user]');
  await expect(rows).toHaveCount(2);
  await expect(rows.first()).toHaveAttribute('data-user', 'zoe');
  await expect(rows.first()).toContainText('12 of 20');
  await expect(rows.first()).toContainText('warning');
  await expect(rows.first()).toContainText('12 alive');
  await page.getByLabel('Order').selectOption('user');
  await expect(rows.first()).toHaveAttribute('data-user', 'ann');
  await look(page, 'console-users');
  await page.getByLabel('Search by id').fill('zo');
  await expect(rows).toHaveCount(1);
  expect(page.url()).toContain('search=zo');
  await page.getByLabel('Search by id').fill('nobody');
  await expect(page.getByText('Nobody is found')).toBeVisible();
  await look(page, 'console-users-not-found');
  await page.getByLabel('Search by id').fill('');
  await page.getByRole('link', { name: 'zoe' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'zoe' })).toBeFocused();
  await page.goBack();
  await expect(rows).toHaveCount(2);
});

test('a chosen user who leaves takes the choice along: Enter opens nobody else', async ({ page, desk }) => {
  const leaves = await desk.tab('zoe', 't0');
  await leaves.hold('t1');
  await desk.tab('ann', 't0');
  await enterLive(page, desk, '#/users');
  const rows = page.locator('.grid [data-user]');
  await expect(rows.first()).toHaveAttribute('data-user', 'zoe');
  await page.getByRole('grid', { name: 'Users' }).focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  await expect(page.locator('[data-user="zoe"]')).toHaveAttribute('aria-selected', 'true');
  await desk.gateway.ask('DELETE', '/v1/admin/users/zoe/sessions');
  await expect(page.locator('[data-user="zoe"]')).toHaveCount(0);
  await expect(page.locator('.grid [aria-selected="true"]')).toHaveCount(0);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1, name: 'Users' })).toBeVisible();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1, name: 'ann' })).toBeVisible();
});

test.describe('a user with two slots', () => {
  test.use({ toml: 'limits.max_sessions_per_user = 2\n' });

  test('whose third tab needs one shows up in the stream, with level, reason and evidence', async ({ page, desk }) => {
    await enterLive(page, desk, '#/reclaims');
    await expect(page.getByText('Nothing had to be decided yet')).toBeVisible();
    await look(page, 'console-reclaims-empty');
    for (const thread of ['t1', 't2', 't3']) await desk.tab('demo', thread);
    const evicted = page.locator('li[data-verdict="evicted"][data-user="demo"]');
    await expect(evicted).toHaveAttribute('data-level', 'force');
    await expect(evicted).toContainText('reason: made room, newcomer; the slot went to t3; evidence: Silent for');
    await look(page, 'console-reclaims');
    await page.getByRole('link', { name: 'Overview' }).click();
    await expect(page.getByText(/[1-9]\d* since the start .* ago/)).toBeVisible();
    await page.getByRole('link', { name: 'Reclaims' }).click();
    await page.getByLabel('Level').selectOption('moderate');
    await expect(evicted).toHaveCount(0);
    await page.getByLabel('Level').selectOption('');
    await page.getByLabel('User').fill('somebody else');
    await expect(page.getByText('Nothing fits this filter')).toBeVisible();
    await page.getByLabel('User').fill('');
    const shown = page.locator('.stream > li');
    await page.getByRole('button', { name: 'Pause' }).click();
    const before = await shown.count();
    // A free slot is of no interest, and must not be counted either.
    for (const thread of ['t1', 't2']) await desk.tab('other', thread);
    await desk.tab('demo', 't4');
    const came = page.getByText(/Stopped; \d+ decisions? came since/);
    await expect(came).toBeVisible();
    await expect(evicted).toHaveCount(1);
    // Its decisions may come in two frames: what is told is compared with what stands there when all of it has come.
    await expect(async () => {
      const answer = await desk.gateway.ask('GET', '/v1/admin/decisions?interesting=true&after=0');
      // The shape of docs/admin.md.
      const { decisions } = answer as { decisions: unknown[] };
      expect(await came.textContent()).toContain(`Stopped; ${decisions.length - before} decisions came since`);
    }).toPass({ timeout: 10_000 });
    await page.getByRole('button', { name: 'Go on' }).click();
    await expect(evicted).toHaveCount(2);
  });
});

test('what was decided while the console was away is there when it is back', async ({ page, desk }) => {
  const tab = await desk.tab('demo', 't1');
  await tab.hold('t2');
  await enterLive(page, desk, '#/reclaims');
  desk.line.cut();
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'stale');
  await desk.gateway.ask('DELETE', '/v1/admin/sessions/demo%3At2');
  desk.line.restore();
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'live', { timeout: 30_000 });
  await expect(page.locator('li[data-verdict="released"][data-user="demo"]')).toContainText('t2');
});

test.describe('an agent that fails', () => {
  // Nobody listens on the port of the discard service.
  test.use({
    toml: [
      'agents.default = "away"',
      'agents.away.kind = "agui"',
      'agents.away.url = "http://127.0.0.1:9/"',
      'agents.away.breaker_failures = 2',
    ].join('\n'),
  });

  test('shows its errors and its open breaker in words', async ({ page, desk }) => {
    await enterLive(page, desk, '#/agents');
    const away = page.locator('[data-agent="away"]');
    await expect(away).toContainText('Breaker closed: it is asked for every run.');
    await expect(away).toContainText('No run has failed since the node started.');
    await look(page, 'console-agents-well');
    const tab = await desk.tab('demo', 't1');
    await tab.hold('t2');
    for (const thread of ['t1', 't2']) {
      await tab.run(thread, `run-of-${thread}`);
      await tab.until((frame) => frame['thread'] === thread && /"RUN_ERROR"/.test(JSON.stringify(frame)));
    }
    await expect(away).toContainText(/Breaker open: it failed too often and is not asked for another \d/);
    await expect(away).toContainText(/Last error at .*agent_/);
    await expect(away).toContainText(/2 unavailable/);
    await expect(page.locator('[data-agent="demo"]')).toContainText('Breaker closed');
    await look(page, 'console-agents');
  });

  test.describe('and is spared for a moment', () => {
    test.use({
      toml: [
        'agents.default = "away"',
        'agents.away.kind = "agui"',
        'agents.away.url = "http://127.0.0.1:9/"',
        'agents.away.breaker_failures = 1',
        'agents.away.breaker_open = "1s"',
      ].join('\n'),
    });

    test('is not called spared any more once the next run tries it', async ({ page, desk }) => {
      await enterLive(page, desk, '#/agents');
      const tab = await desk.tab('demo', 't1');
      await tab.run('t1', 'r1');
      await tab.until((frame) => /"RUN_ERROR"/.test(JSON.stringify(frame)));
      const away = page.locator('[data-agent="away"]');
      await expect(away).toContainText('The next run tries whether it answers again.');
      await expect(away.locator('.status')).toHaveClass(/warn/);
    });
  });
});

test('the node says what it is configured to, what was changed, and where that stands', async ({ page, desk }) => {
  await enterLive(page, desk, '#/node');
  await expect(page.getByText('Ready: it can deliver.')).toBeVisible();
  await page.getByLabel('Search').fill('server.environment');
  const row = page.getByRole('row', { name: /server\.environment/ });
  await expect(row).toContainText('"test"');
  await expect(row).toContainText('changed');
  await expect(row).toContainText('"production"');
  await expect(row).toContainText(/the file .*lychgate\.toml/);
  await page.getByLabel('Search').fill('');
  await page.getByLabel('Only what differs from the default').check();
  await expect(page.getByText('max_sessions_per_user')).toHaveCount(0);
  expect(await page.content()).not.toContain('a secret for tests alone');
  await look(page, 'console-node');
});

test('a drain wants the name of the node typed, and then happens', async ({ page, desk }) => {
  await enterLive(page, desk, '#/node');
  const { name } = (await desk.gateway.ask('GET', '/v1/admin/node')) as { name: string };
  await page.getByRole('button', { name: 'Drain this node' }).click();
  const dialog = page.getByRole('dialog', { name: 'Drain this node' });
  const confirm = dialog.getByRole('button', { name: 'Drain and stop' });
  await expect(confirm).toHaveAttribute('aria-disabled', 'true');
  await expect(dialog.getByRole('textbox')).toBeFocused();
  await dialog.getByRole('textbox').fill(`${name}x`);
  await page.keyboard.press('Enter');
  await expect(dialog).toBeVisible();
  await look(page, 'console-dialog-drain');
  await dialog.getByRole('textbox').fill(name);
  await confirm.click();
  await expect(page.getByText(`The node ${name} is being drained.`)).toBeVisible();
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'stale', { timeout: 30_000 });
});

test.describe('alerts', () => {
  test.use({ toml: 'limits.max_sessions_per_user = 2\nalerts.interval = "1s"\n' });

  test('that fire stand first, about whom, since when, and what to do; and on every page', async ({ page, desk }) => {
    await enterLive(page, desk, '#/alerts');
    await expect(page.getByText('Nothing fires')).toBeVisible();
    await look(page, 'console-alerts-calm');
    for (const thread of ['t1', 't2']) await desk.tab('demo', thread);
    const alert = page.locator('[data-alert="LychgateUserAt100"]');
    await expect(alert).toHaveAttribute('data-state', 'firing', { timeout: 45_000 });
    await expect(alert).toContainText(/Firing since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
    await expect(alert.getByRole('link', { name: 'demo' })).toBeVisible();
    await expect(alert.getByRole('button', { name: 'Copy' })).toBeVisible();
    await expect(alert.locator('pre')).not.toBeEmpty();
    await look(page, 'console-alerts');
    await page.getByRole('link', { name: 'Overview' }).click();
    await expect(page.getByRole('region', { name: 'Alerts that fire' })).toContainText('LychgateUserAt100');
    await alertLine(page).getByRole('link').first().click();
    await expect(alert).toBeVisible();
  });
});

test.describe('alerts seen by a browser whose clock is an hour ahead', () => {
  test.use({ toml: 'limits.max_sessions_per_user = 2\nalerts.interval = "1s"\n' });

  test('fire for as long as the clock of the node says', async ({ page, desk }) => {
    await page.addInitScript(() => {
      const now = Date.now.bind(Date);
      Date.now = () => now() + 3_600_000;
    });
    await enterLive(page, desk, '#/alerts');
    for (const thread of ['t1', 't2']) await desk.tab('demo', thread);
    const alert = page.locator('[data-alert="LychgateUserAt100"]');
    await expect(alert).toHaveAttribute('data-state', 'firing', { timeout: 45_000 });
    await expect(alert).toContainText(/, for [\d.]+ (ms|s); /);
  });

  test('show the value of now, though nothing begins or ends', async ({ page, desk }) => {
    await page.route('**/v1/admin/alerts', async (route) => {
      const answer = await route.fetch();
      const { alerts } = (await answer.json()) as { alerts: { name: string; state: string; value?: number }[] };
      // What no test can make a gateway do at a word: the value moves, and nothing begins or ends.
      await route.fulfill({ json: { alerts: alerts.map((each) => ({ ...each, state: 'firing', value: 77 })) } });
    });
    await enterLive(page, desk, '#/alerts');
    await expect(page.locator('[data-alert="LychgateUserAt100"]')).toContainText('value 77', { timeout: 25_000 });
  });
});

const alertLine = (page: Parameters<typeof enter>[0]) => page.getByRole('region', { name: 'Alerts that fire' });
