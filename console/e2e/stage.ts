// What every test of the chat page stands on: a gateway, an agent, a provider of logins and a line to cut, of its own.

import { type BrowserContext, type Page, expect, test as base } from '@playwright/test';
import { Agent } from './agent';
import { Gateway } from './gateway';
import { Line } from './line';
import { Provider } from './provider';

export interface Stage {
  gateway: Gateway;
  agent: Agent;
  line: Line;
  provider: Provider;
  /** The origin of the page. */
  origin: string;
}

interface Options {
  /** What stands in the gateway's file besides, in dotted keys. */
  toml: string;
  /** Who answers: the agent of agent.ts, or the gateway's own. */
  answers: 'scripted' | 'demo';
}

export const test = base.extend<Options & { stage: Stage }>({
  toml: ['', { option: true }],
  answers: ['scripted', { option: true }],
  stage: async ({ toml, answers }, use) => {
    const [agent, line, provider] = await Promise.all([Agent.start(), Line.open(), Provider.start()]);
    // Chromium takes the login's cookie from plain http on localhost.
    const origin = `http://localhost:${line.port}`;
    const scripted = `
agents.default = "scripted"
agents.scripted.kind = "agui"
agents.scripted.url = "${agent.url}"
`;
    const settings = { publicUrl: origin, issuer: provider.issuer };
    const gateway = await Gateway.start({ ...settings, toml: `${answers === 'scripted' ? scripted : ''}${toml}` });
    line.target = gateway.listen;
    await use({ gateway, agent, line, provider, origin });
    await line.close();
    await Promise.all([gateway.stop(), agent.stop(), provider.stop()]);
  },
});

export { expect };

/**
 * How long a page that was cut off may take to be back: it waits 20 s at most before it dials again (docs/protocol.md,
 * rule 12), the longer the more dials failed before a line was restored.
 */
export const BACK_MS = 30_000;

let users = 0;

/** Logs a browser in as somebody new, by the provider and without the page; gives the user's id. */
export async function logIn(stage: Stage, context: BrowserContext): Promise<string> {
  users += 1;
  stage.provider.user = `user-${users}`;
  const response = await context.request.get(`${stage.origin}/v1/login/test`);
  expect(response.ok()).toBe(true);
  return stage.provider.user;
}

/** The page, logged in. `path` such as `/?thread=t1`. */
export async function open(stage: Stage, page: Page, path = '/'): Promise<void> {
  if ((await page.context().cookies()).length === 0) await logIn(stage, page.context());
  await page.goto(stage.origin + path);
  await expect(field(page)).toBeVisible();
}

/** The field to write in. */
export const field = (page: Page) => page.getByRole('textbox', { name: 'Message' });

/** What the network does, in words. */
export const network = (page: Page) => page.locator('[data-network]');

/** The texts of the answers, the oldest first. */
export const answers = (page: Page) => page.locator('[data-role="assistant"] .text');

/**
 * Waits until no answer is being written here: its last word comes before its end, and until that the page takes no
 * other message. To be waited for before a line is cut, too: the end does not come over a line that is cut.
 */
export const answered = (page: Page) => expect(page.locator('[data-run="running"]')).toHaveCount(0);

/** Writes a message and presses Enter, when the answer before it is over. */
export async function say(page: Page, text: string): Promise<void> {
  await answered(page);
  await field(page).fill(text);
  await field(page).press('Enter');
}
