/** Alerts: which answer about them counts, and the order in which they matter. */

import type { AlertState } from '../wire';

/** What the node said about its alerts, and when (ms since 1970, of this browser). */
export interface Heard {
  readonly alerts: readonly AlertState[];
  readonly at: number;
}

/**
 * The newer of two answers: a frame comes only when an alert begins, ends or waits, what is asked for also has the value
 * of now.
 */
export function newer(live: Heard | undefined, asked: Heard | undefined): Heard | undefined {
  if (live === undefined || asked === undefined) return live ?? asked;
  return asked.at > live.at ? asked : live;
}

const STATES: Readonly<Record<string, number>> = { firing: 0, pending: 1, ok: 2 };
const SEVERITIES: Readonly<Record<string, number>> = { critical: 0, warning: 1, info: 2 };

/** Firing first, then what is about to; the severest first, then the longest, then by name. */
export function ranked(alerts: readonly AlertState[]): readonly AlertState[] {
  return [...alerts].sort(
    (a, b) =>
      rank(STATES, a.state) - rank(STATES, b.state) ||
      rank(SEVERITIES, a.severity) - rank(SEVERITIES, b.severity) ||
      (a.since ?? '~').localeCompare(b.since ?? '~') ||
      a.name.localeCompare(b.name),
  );
}

/** A word that is not known yet comes last, and is shown all the same. */
function rank(order: Readonly<Record<string, number>>, word: string): number {
  return order[word] ?? 3;
}
