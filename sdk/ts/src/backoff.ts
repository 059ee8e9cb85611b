// How long to wait before coming back (docs/protocol.md, rule 12).

const FIRST_MS = 250;
const MAX_MS = 20_000;

/** After `hello` has held for so long, the next loss is a new one (R12: an open socket alone is no success). */
export const STABLE_MS = 5_000;

/**
 * Milliseconds until the next attempt: `retryIn` where the gateway asked for it, else random(0, min(20 s, 250 ms * 2^n)).
 * @param n failed attempts since a connection last held
 * @param random 0 to 1
 */
export function backoff(n: number, random: number, retryIn?: number): number {
  return retryIn ?? random * Math.min(MAX_MS, FIRST_MS * 2 ** n);
}
