// A state of a page, looked at in both themes: a picture for people, axe for what a machine can tell.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { type Page, expect } from '@playwright/test';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SCREENS = resolve(import.meta.dirname, '../../target/screens');

/** A picture in docs/ weighs so much at most. */
const MOST_BYTES = 200_000;

/** What axe says of one rule. */
interface Violation {
  id: string;
  impact: string | null;
  help: string;
  nodes: { target: unknown; failureSummary?: string }[];
}

/**
 * Pictures `target/screens/<name>-light.png` and `-dark.png`; fails on what axe calls serious or critical in either.
 */
export async function look(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    // Without motion, so that no colour is caught on its way to another.
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const picture = await page.screenshot({
      path: `${SCREENS}/${name}-${colorScheme}.png`,
      animations: 'disabled',
      caret: 'hide',
    });
    expect(picture.length, `${name} goes into docs/`).toBeLessThanOrEqual(MOST_BYTES);
    expect(await serious(page), `${name}, ${colorScheme}`).toEqual([]);
  }
}

/** Violations that keep somebody out. The policy forbids scripts from elsewhere; the debugger's `evaluate` is none. */
async function serious(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const violations = await page.evaluate<Violation[]>(
    'axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations)',
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => `${id}: ${help}: ${JSON.stringify(nodes.map(({ target }) => target))}`);
}
