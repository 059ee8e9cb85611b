/** When to try again: rule 12 of docs/protocol.md. */

const FIRST_MS = 250;
const LONGEST_MS = 20_000;

/** How long a connection has to hold after its `hello` until the next failure counts as the first (R12). */
export const HELD_MS = 5_000;

/**
 * Milliseconds until attempt `attempt` (0 is the first): what the gateway asked for where it did, else random up to a
 * bound that doubles, so that consoles of a restarted node do not come all at once (R21).
 */
export function backoff(attempt: number, retryIn: number | undefined, random: () => number = Math.random): number {
  if (retryIn !== undefined) return Math.max(0, retryIn);
  return Math.round(random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16)));
}
