/**
 * The last fifteen minutes of samples, oldest first, whatever the socket did meanwhile.
 *
 * ```text
 *  hello.history ─► join: what is older than its first stays      sample ─► append: the oldest goes
 * ```
 */

import type { Sample } from '../wire';

/** What is shown at most. */
export const WINDOW_MS = 15 * 60_000;

/** A bound that holds even where a node sends faster than every second. */
const MAX_SAMPLES = 1_000;

/** A sample so much older than the last one is not late: the clock of the node was put back. */
const PUT_BACK_MS = 10_000;

/**
 * One more sample. A late or repeated one changes nothing, so that a line never runs backwards; where the clock of the
 * node was put back the series begins anew, because its times before and after are not of one line.
 */
export function append(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  const last = samples.at(-1);
  if (last !== undefined && sample.at <= last.at - PUT_BACK_MS) return [sample];
  if (last !== undefined && sample.at <= last.at) return samples;
  return bounded([...samples, sample]);
}

/**
 * The history of a `hello` after what is known already: the node's word counts where both know a time. What a node knew
 * before it was restarted stays, and the time in between is a gap.
 */
export function join(samples: readonly Sample[], history: readonly Sample[]): readonly Sample[] {
  const told = history.reduce(append, []);
  const first = told[0];
  if (first === undefined) return samples;
  return bounded([...samples.filter((sample) => sample.at < first.at), ...told]);
}

function bounded(samples: readonly Sample[]): readonly Sample[] {
  const newest = samples.at(-1)?.at ?? 0;
  const from = samples.findIndex((sample) => sample.at > newest - WINDOW_MS);
  return samples.slice(Math.max(from, samples.length - MAX_SAMPLES, 0));
}
