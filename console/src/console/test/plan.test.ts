import { describe, expect, it } from 'vitest';
import { columns, PLANS, rows, stacked, summary, type Plan } from '../chart/plan';
import { sample } from './samples';

const named = (id: string): Plan => {
  const plan = PLANS.find((each) => each.id === id);
  if (plan === undefined) throw new Error(`no chart ${id}`);
  return plan;
};

describe('a chart', () => {
  it('has a hole where nothing was known, and no line across it', () => {
    const { times, values } = columns(
      named('load'),
      [sample(2_000, { sessions: 1 }), sample(4_000, { sessions: 2 }), sample(60_000, { sessions: 3 })],
      2_000,
    );
    expect(times).toEqual([2, 4, 6, 60]);
    expect(values[0]).toEqual([1, 2, null, 3]);
  });

  it('counts per second of the time that a sample is of', () => {
    const admitted = { span_ms: 4_000, admissions: { free: 8, force: 2, moderate: 2 } };
    const { values } = columns(named('admissions'), [sample(2_000), sample(6_000, admitted)], 2_000);
    expect(values[0]).toEqual([0, 2]);
    expect(values[3]).toEqual([0, 1]);
  });

  it('shows no storm after a node hung', () => {
    const late = sample(24_000, { span_ms: 22_000, admissions: { free: 220 } });
    const { values } = columns(named('admissions'), [sample(2_000), late], 2_000);
    expect(values[0]).toEqual([0, null, 10]);
  });

  it('keeps its height where the sample before was left out', () => {
    const admitted = { admissions: { free: 20 } };
    const { values } = columns(named('admissions'), [sample(2_000, admitted), sample(6_000, admitted)], 2_000);
    expect(values[0]).toEqual([10, 10]);
  });

  it('stacks what is known, and keeps holes', () => {
    expect(
      stacked([
        [1, null, 3],
        [1, null, 1],
      ]),
    ).toEqual([
      [1, null, 3],
      [2, null, 4],
    ]);
  });

  it('shows what was not measured as a hole and says so', () => {
    const plan = named('admission');
    const data = columns(plan, [sample(2_000), sample(4_000, { admission_p50_ms: 1, admission_p99_ms: 9 })], 2_000);
    expect(data.values).toEqual([
      [null, 1],
      [null, 9],
    ]);
    expect(rows(plan, data)[0]?.values).toEqual(['1.0 ms', '9.0 ms']);
    expect(summary(plan, columns(plan, [sample(2_000)], 2_000))).toBe('Nothing was measured yet.');
  });

  it('is a sentence for whoever cannot see it', () => {
    const data = columns(named('load'), [sample(2_000, { sessions: 4 }), sample(4_000, { sessions: 2 })], 2_000);
    expect(summary(named('load'), data)).toMatch(/^sessions 2 now, between 2 and 4; connections 0 now/);
  });

  it('is a table with a row a minute, newest first', () => {
    const data = columns(
      named('cpu'),
      Array.from({ length: 90 }, (_, n) => sample(n * 2_000, { cpu: n })),
      2_000,
    );
    expect(rows(named('cpu'), data).map(({ values }) => values[0])).toEqual(['89.00', '59.00', '29.00']);
  });
});
