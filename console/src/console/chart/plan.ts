/**
 * What a chart shows, as data: which numbers of a sample, how they are drawn, how they are said.
 *
 * ```text
 *  samples ─columns─► [time, series 1, series 2, ...] ─► uPlot     ─summary─► a sentence     ─rows─► a table
 * ```
 */

import type { Sample } from '../wire';
import { bytes, clock, count, latency } from '../words';

/** A number of one sample; null: nothing was measured, and the line has a hole there. */
export type Value = number | null;

export interface Series {
  readonly label: string;
  /** `seconds`: in which all that the sample counts happened. */
  readonly of: (sample: Sample, seconds: number) => Value;
}

export interface Plan {
  readonly id: string;
  readonly title: string;
  /** What a number is, such as "per second"; told once, in the title. */
  readonly unit: string;
  readonly kind: 'lines' | 'stacked';
  readonly series: readonly Series[];
  readonly said: (value: number) => string;
  /** The least that the axis shows, so that a quiet node does not look like a storm, in the unit of the values. */
  readonly least: number;
}

/** A silence of so many intervals is a gap and no line. */
const GAP_INTERVALS = 3;

export interface Columns {
  /** Seconds since 1970, as uPlot wants them. */
  readonly times: readonly number[];
  /** One per series, as long as `times`. */
  readonly values: readonly (readonly Value[])[];
}

/** The numbers of a plan, with a hole where nothing was known: nobody is shown a straight line through an outage. */
export function columns(plan: Plan, samples: readonly Sample[], everyMs: number): Columns {
  const times: number[] = [];
  const values: Value[][] = plan.series.map(() => []);
  let before: number | undefined;
  for (const sample of samples) {
    const since = before === undefined ? everyMs : sample.at - before;
    const isGap = since > everyMs * GAP_INTERVALS;
    if (isGap && before !== undefined) {
      times.push((before + everyMs) / 1_000);
      for (const column of values) column.push(null);
    }
    times.push(sample.at / 1_000);
    // By its own word: a node that hung counts all of it in one sample, and one before it may have been left out.
    const seconds = (sample.span_ms > 0 ? sample.span_ms : everyMs) / 1_000;
    plan.series.forEach((series, at) => values[at]?.push(series.of(sample, seconds)));
    before = sample.at;
  }
  return { times, values };
}

/** Each column on top of the ones before, for a stack. A hole stays a hole in all of them. */
export function stacked(values: readonly (readonly Value[])[]): Value[][] {
  const sums: Value[] = [];
  return values.map((column) =>
    column.map((value, at) => {
      const below = sums[at] ?? 0;
      const sum = value === null ? null : below + value;
      sums[at] = sum ?? below;
      return sum;
    }),
  );
}

/** The chart in a sentence: what each line is now, and between what it moved. */
export function summary(plan: Plan, { values }: Columns): string {
  const told = plan.series.flatMap(({ label }, at) => {
    const seen = (values[at] ?? []).filter((value) => value !== null);
    const last = seen.at(-1);
    if (last === undefined) return [];
    let low = last;
    let high = last;
    for (const value of seen) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return [`${label} ${plan.said(last)} now, between ${plan.said(low)} and ${plan.said(high)}`];
  });
  return told.length === 0 ? 'Nothing was measured yet.' : `${told.join('; ')}.`;
}

export interface Row {
  readonly time: string;
  readonly values: readonly string[];
}

/** A row a minute, newest first, for whoever reads rather than looks. */
export function rows(plan: Plan, { times, values }: Columns): readonly Row[] {
  const told: Row[] = [];
  let minute: number | undefined;
  for (let at = times.length - 1; at >= 0; at -= 1) {
    const time = times[at] ?? 0;
    const mine = Math.floor(time / 60);
    if (mine === minute) continue;
    minute = mine;
    const said = values.map((column) => {
      const value = column[at] ?? null;
      return value === null ? '–' : plan.said(value);
    });
    told.push({ time: clock(time * 1_000), values: said });
  }
  return told;
}

const rate = (n: number) => (n === 0 || n >= 10 ? count(n) : n.toFixed(1));

/** The ways into a session, the common ones at the bottom of the stack. */
const PATHS = ['free', 'attach', 'takeover', 'reclaimed', 'reserve', 'queue', 'refused', 'shadow'] as const;

const LEVELS = ['conservative', 'moderate', 'aggressive', 'force'] as const;

/** The charts of the overview, in reading order. */
export const PLANS: readonly Plan[] = [
  {
    id: 'load',
    least: 4,
    title: 'Sessions, connections, runs and waiters',
    unit: 'at once',
    kind: 'lines',
    said: count,
    series: [
      { label: 'sessions', of: (sample) => sample.sessions },
      { label: 'connections', of: (sample) => sample.connections },
      { label: 'runs', of: (sample) => sample.runs },
      { label: 'waiters', of: (sample) => sample.waiters },
    ],
  },
  {
    id: 'admissions',
    least: 1,
    title: 'Admissions by path',
    unit: 'per second',
    kind: 'stacked',
    said: rate,
    series: PATHS.map((path) => ({ label: path, of: (sample, seconds) => along(sample, path) / seconds })),
  },
  {
    id: 'reclaims',
    least: 1,
    title: 'Reclaims by level',
    unit: 'per second',
    kind: 'stacked',
    said: rate,
    series: LEVELS.map((level) => ({ label: level, of: (sample, seconds) => (sample.reclaims[level] ?? 0) / seconds })),
  },
  {
    id: 'admission',
    least: 5,
    title: 'Time of an admission',
    unit: 'until its answer',
    kind: 'lines',
    said: latency,
    series: [
      { label: 'half within (p50)', of: (sample) => sample.admission_p50_ms ?? null },
      { label: '99 of 100 within (p99)', of: (sample) => sample.admission_p99_ms ?? null },
    ],
  },
  {
    id: 'lag',
    least: 10,
    title: 'Lag of the node itself',
    unit: 'late',
    kind: 'lines',
    said: latency,
    series: [
      { label: 'runtime', of: (sample) => sample.runtime_lag_ms },
      { label: 'reaper', of: (sample) => sample.reaper_lag_ms },
    ],
  },
  {
    id: 'memory',
    least: 64 * 2 ** 20,
    title: 'Memory',
    unit: 'resident',
    kind: 'lines',
    said: bytes,
    series: [{ label: 'memory', of: (sample) => sample.resident_bytes }],
  },
  {
    id: 'cpu',
    least: 0.5,
    title: 'Processor',
    unit: 'cores in use',
    kind: 'lines',
    said: (cores) => cores.toFixed(2),
    series: [{ label: 'cores', of: (sample) => sample.cpu }],
  },
];

/**
 * The node tells by level what went into a reclaimed slot; the levels have a chart of their own, so here they are one
 * path.
 */
function along(sample: Sample, path: (typeof PATHS)[number]): number {
  const names = path === 'reclaimed' ? LEVELS : [path];
  return names.reduce((sum, name) => sum + (sample.admissions[name] ?? 0), 0);
}
