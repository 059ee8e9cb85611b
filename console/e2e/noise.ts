// How much slower than itself this machine is at the moment: a fixed piece of work, again and again beside a test. Numbers
// of the clock are judged by it, so that they say something of the pages and not of what else runs.

/** What it computes each time; some milliseconds on a machine of today. */
const STEPS = 2_000_000;
const EVERY_MS = 100;
/** Before that, a machine that was busy from the beginning would look like a slow one. */
const LEAST = 10;

/**
 * Begins to look; what it returns ends it and says how many times longer than at best the work took in all but the worst of
 * so many cases: 0.5 is the usual case. At least 1.
 */
export function noise(): (share: number) => number {
  const took: number[] = [];
  const timer = setInterval(() => {
    const begin = performance.now();
    let sum = 0;
    for (let step = 0; step < STEPS; step += 1) sum = (sum * 31 + step) | 0;
    // Used, so that it is computed.
    took.push(performance.now() - begin + (sum === 1 ? 1 : 0));
  }, EVERY_MS);
  return (share) => {
    clearInterval(timer);
    took.sort((one, other) => one - other);
    const [best, usual] = [took[0], took[Math.floor((took.length - 1) * share)]];
    return best === undefined || usual === undefined || took.length < LEAST ? 1 : Math.max(1, usual / best);
  };
}
