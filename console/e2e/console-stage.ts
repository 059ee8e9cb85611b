// What every test of the console stands on: a gateway of its own, its admin listener behind a line to cut, keys of both
// roles, and users who come over real sockets.

import { execFileSync } from 'node:child_process';
import { type Page, expect, test as base } from '@playwright/test';
import { BIN, Gateway } from './gateway';
import { Line } from './line';
import { Tab } from './tab';

export interface Desk {
  gateway: Gateway;
  /** Between the browser and the admin listener. */
  line: Line;
  /** The console. */
  url: string;
  /** A key with the role `read`. */
  readKey: string;
  /** A tab of a user, closed at the end of the test. */
  tab: (user: string, thread: string) => Promise<Tab>;
}

interface Options {
  /** What stands in the gateway's file besides, in dotted keys. */
  toml: string;
}

export const test = base.extend<Options & { desk: Desk }>({
  toml: ['', { option: true }],
  desk: async ({ toml }, use) => {
    const made = execFileSync(BIN, ['admin-key', 'reader', '--role', 'read'], { encoding: 'utf8' });
    const [readKey, hash] = [/lychgate_[\w-]{20,}/.exec(made)?.[0], /sha256:[^"\s]+/.exec(made)?.[0]];
    if (readKey === undefined || hash === undefined) throw new Error('`lychgate admin-key` printed no key');
    const reader = `admin.keys.reader.hash = "${hash}"\nadmin.keys.reader.role = "read"\n`;
    const line = await Line.open();
    const gateway = await Gateway.start({ publicUrl: 'http://localhost:1', toml: `${reader}${toml}` });
    point(line, gateway);
    const tabs: Tab[] = [];
    const tab = async (user: string, thread: string) => {
      const opened = await Tab.open(gateway, user, thread);
      tabs.push(opened);
      return opened;
    };
    // An address and no name: the page's own origin counts by what it is, not by what a name points to.
    await use({ gateway, line, url: `http://127.0.0.1:${line.port}/console`, readKey, tab });
    for (const each of tabs) each.close();
    await line.close();
    await gateway.stop();
  },
});

export { expect };

/** Leads the line to where the gateway's operators come in now. */
export function point(line: Line, gateway: Gateway): void {
  line.target = Number(new URL(gateway.admin).port);
}

/** Opens a place of the console, signed in. */
export async function enter(page: Page, desk: Desk, hash = '', key = desk.gateway.key): Promise<void> {
  await page.goto(desk.url + hash);
  await page.getByLabel('Operator key').fill(key);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('navigation', { name: 'Pages' })).toBeVisible();
}

/** Signed in and live. */
export async function enterLive(page: Page, desk: Desk, hash = ''): Promise<void> {
  await enter(page, desk, hash);
  await expect(page.locator('[data-link]')).toHaveAttribute('data-link', 'live');
}

/** The newest entries of the audit log about a user. */
export async function audited(
  desk: Desk,
  user: string,
): Promise<{ action: string; outcome: string; operator: string; request: string; parameters: unknown }[]> {
  const page = await desk.gateway.ask('GET', `/v1/admin/audit?user=${encodeURIComponent(user)}`);
  // The shape of docs/admin.md.
  return (
    page as { entries: { action: string; outcome: string; operator: string; request: string; parameters: unknown }[] }
  ).entries;
}

/** What a user holds, as the operators' API tells it. */
export async function held(
  desk: Desk,
  user: string,
): Promise<{ threads: string[]; limit: number; lent: number | undefined }> {
  const listed = await desk.gateway.ask('GET', `/v1/admin/sessions?user=${encodeURIComponent(user)}`);
  // The shape of docs/admin.md.
  const { users } = listed as {
    users: { limit: number; lent?: { max_sessions: number }; sessions: { thread: string }[] }[];
  };
  const threads = (users[0]?.sessions ?? []).map(({ thread }) => thread).sort();
  return { threads, limit: users[0]?.limit ?? 0, lent: users[0]?.lent?.max_sessions };
}
