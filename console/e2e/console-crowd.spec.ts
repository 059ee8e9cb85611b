// A hundred thousand users in a real gateway that the program bench feeds: the console stays quick while it is live.

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { expect, test } from '@playwright/test';
import { noise } from './noise';
import { tasks } from './tasks';

const USERS = 100_000;

/** What a task of the page may take at most, so that a press is answered as if at once. */
const LONG_MS = 100;

const START_MS = 240_000;

/** The way to the last row leads through five hundred pages, which a development build takes a minute for, and minutes on a busy machine. */
const WALK_MS = 480_000;

/** Some of the crowd only linger, and go. */
const MANY = /^(100|9\d),\d{3} users$/;

interface Crowd {
  console: string;
  key: string;
}

// The recorder of traces copies the page at every step, in the page, and would be measured with it.
test.use({ trace: 'off' });

let program: ChildProcess | undefined;

test.afterEach(async () => {
  const child = program;
  if (child === undefined || child.exitCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await gone;
});

test('no task of the page is long while it is live with 100,000 users', async ({ browser, page }) => {
  test.setTimeout(START_MS + WALK_MS + 120_000);
  const crowd = await gather();
  await page.goto(`${crowd.console}#/users`);
  await page.getByLabel('Operator key').fill(crowd.key);
  await page.keyboard.press('Enter');
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'live');
  const rows = page.locator('.grid [data-user]');
  await expect(rows.first()).toBeVisible();
  await expect(page.getByText(MANY)).toBeVisible();
  expect(await page.locator('.grid-body > [role="row"]').count()).toBeLessThan(60);
  // From the first rows on: what a page is loaded in is another number.
  const long = await tasks(browser, page);
  const measured = noise();
  const grid = page.getByRole('grid', { name: 'Users' });
  await grid.focus();
  for (let n = 0; n < 40; n += 1) await page.keyboard.press('PageDown');
  await expect(rows.first()).toBeVisible();
  await grid.evaluate((element) => element.scrollTo(0, element.scrollHeight));
  const lastRow = grid.locator('.grid-body > [role="row"]').last();
  await expect(lastRow).toHaveAttribute('data-user', /./, { timeout: WALK_MS });
  expect(Number(await lastRow.getAttribute('aria-rowindex'))).toBeGreaterThan(0.9 * USERS);
  await page.getByLabel('Search by id').fill('42');
  await expect(page.getByText(/^at least \d,?\d* users found$/)).toBeVisible();
  await page.getByLabel('Search by id').fill('');
  await expect(page.getByText(MANY)).toBeVisible();
  for (const [name, there] of [
    ['Overview', 'Admissions by path'],
    ['Reclaims', 'Pause'],
    ['Node', 'Drain this node'],
    ['Users', 'Search by id'],
  ] as const) {
    await page.getByRole('link', { name, exact: true }).click();
    await expect(page.getByText(there).first()).toBeVisible();
  }
  await page.getByRole('link', { name: 'Overview', exact: true }).click();
  // Three samples come while the charts of the overview are in view.
  const chart = page.locator('[data-chart="cpu"] p.unseen');
  for (let n = 0; n < 3; n += 1) {
    const before = await chart.textContent();
    await expect(chart).not.toHaveText(before ?? '', { timeout: 20_000 });
  }
  const found = await long();
  const factor = measured(0.5);
  const told = found.slice(0, 5).map(({ cpu, wall }) => `${cpu.toFixed(0)} (${wall.toFixed(0)} on the clock)`);
  console.log(
    `longest tasks with 100,000 users, ms of the processor: ${told.join(', ') || 'none above 50'}; ` +
      `the machine was ${factor.toFixed(1)} times slower than itself in half of the looks`,
  );
  expect(found.filter(({ cpu }) => cpu > LONG_MS * factor)).toEqual([]);
});

/** Starts the crowd that LYCHGATE_CROWD names; fails loudly where there is none, rather than to pass for nothing. */
async function gather(): Promise<Crowd> {
  const bin = process.env['LYCHGATE_CROWD'];
  if (bin === undefined) throw new Error('LYCHGATE_CROWD must name the program bench (cargo xtask e2e sets it)');
  const child = spawn(bin, ['crowd', '--users', String(USERS), '--minutes', '16'], {
    // It ends when its input does: with this runner, however that ends.
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  program = child;
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no crowd came in ${START_MS} ms:\n${said.join('\n')}`)), START_MS);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the crowd ended with ${code}:\n${said.join('\n')}`)));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        if (said.length < 50) said.push(line);
        const [, admin, key] = /admin: (http:\S+) key: (\S+)/.exec(line) ?? [];
        if (admin === undefined || key === undefined) return;
        clearTimeout(late);
        resolve({ console: `${admin}/console`, key });
      });
    }
  });
}
