import { describe, expect, it } from 'vitest';
import { backoff } from '../live/backoff';
import { cameSince, emptyFeed, matching, MAX_TOLD, restarted, tell, type Entry } from '../live/feed';
import { append, join, WINDOW_MS } from '../live/ring';
import { linkSentence } from '../live/words';
import { sample, told } from './samples';

describe('the samples', () => {
  it('are those of the last fifteen minutes', () => {
    let samples = append([], sample(1_000));
    for (let at = 3_000; at <= WINDOW_MS + 20_000; at += 2_000) samples = append(samples, sample(at));
    expect(samples.at(0)?.at).toBeGreaterThan((samples.at(-1)?.at ?? 0) - WINDOW_MS);
    expect(samples.length).toBe(WINDOW_MS / 2_000);
  });

  it('never run backwards', () => {
    const samples = append(append([], sample(2_000)), sample(4_000));
    expect(append(samples, sample(4_000))).toBe(samples);
    expect(append(samples, sample(1_000))).toBe(samples);
  });

  it('begin anew where the clock of the node was put back', () => {
    const samples = append(append([], sample(3_600_000)), sample(3_602_000));
    const back = append(samples, sample(4_000));
    expect(back.map(({ at }) => at)).toEqual([4_000]);
    expect(append(back, sample(6_000)).map(({ at }) => at)).toEqual([4_000, 6_000]);
    const history = [sample(3_600_000), sample(3_602_000), sample(4_000), sample(6_000)];
    expect(join([], history).map(({ at }) => at)).toEqual([4_000, 6_000]);
  });

  it('are bounded however fast a node sends', () => {
    let samples = append([], sample(1));
    for (let at = 2; at < 3_000; at += 1) samples = append(samples, sample(at));
    expect(samples.length).toBe(1_000);
    expect(samples.at(-1)?.at).toBe(2_999);
  });

  it('of a node that was restarted follow those from before', () => {
    const before = append(append([], sample(2_000)), sample(4_000));
    const joined = join(before, [sample(90_000), sample(92_000)]);
    expect(joined.map(({ at }) => at)).toEqual([2_000, 4_000, 90_000, 92_000]);
  });

  it('of the node count before what this page heard', () => {
    const before = append(append([], sample(2_000)), sample(4_000, { sessions: 7 }));
    const joined = join(before, [sample(3_000), sample(4_000, { sessions: 9 })]);
    expect(joined.map(({ at, sessions }) => [at, sessions])).toEqual([
      [2_000, 0],
      [3_000, 0],
      [4_000, 9],
    ]);
  });

  it('stay when the node has none to tell', () => {
    const before = append([], sample(2_000));
    expect(join(before, [])).toBe(before);
  });
});

const short = (entry: Entry) => {
  switch (entry.kind) {
    case 'told':
      return entry.told.sequence;
    case 'gap':
      return `gap of ${entry.missed}`;
    case 'restart':
      return 'restart';
  }
};

describe('the stream of decisions', () => {
  it('of a node that was started anew counts from the beginning again', () => {
    const feed = tell(restarted(tell(emptyFeed, [told(500)], 0)), [told(1)], 0);
    expect(feed.entries.map(short)).toEqual([1, 'restart', 500]);
  });

  it('stands newest first and tells none twice', () => {
    const feed = tell(tell(emptyFeed, [told(1), told(2)], 0), [told(2), told(3)], 0);
    expect(feed.entries.map(short)).toEqual([3, 2, 1]);
  });

  it('says where some are missing, and how many', () => {
    const feed = tell(tell(emptyFeed, [told(1)], 0), [told(9)], 7);
    expect(feed.entries.map(short)).toEqual([9, 'gap of 7', 1]);
    expect(feed.missed).toBe(7);
  });

  it('counts what came since it was held, and not what was of no interest in between', () => {
    const held = tell(emptyFeed, [told(1), told(5)], 0);
    expect(cameSince(held, held)).toBe(0);
    const later = tell(held, [told(9), told(40)], 3);
    expect(cameSince(held, later)).toBe(2);
    expect(cameSince(held, tell(restarted(later), [told(2)], 0))).toBe(3);
  });

  it('keeps the last thousand', () => {
    let feed = emptyFeed;
    for (let at = 0; at < 30; at += 1)
      feed = tell(
        feed,
        Array.from({ length: 200 }, (_, n) => told(at * 200 + n)),
        0,
      );
    expect(feed.entries.length).toBe(MAX_TOLD);
    expect(feed.newest).toBe(5_999);
  });

  it('is filtered by user, level and kind, and never hides a gap', () => {
    let feed = tell(
      emptyFeed,
      [told(1, { user: 'demo', level: 'force' }), told(2, { user: 'ann', verdict: 'dead' })],
      0,
    );
    feed = tell(feed, [told(9, { user: 'demo', level: 'moderate' })], 3);
    const left = (filter: Partial<Parameters<typeof matching>[1]>) =>
      matching(feed, { user: '', level: '', kind: '', ...filter }).map(short);
    expect(left({ user: 'de' })).toEqual([9, 'gap of 3', 1]);
    expect(left({ level: 'force' })).toEqual(['gap of 3', 1]);
    expect(left({ kind: 'dead' })).toEqual(['gap of 3', 2]);
    expect(left({})).toEqual([9, 'gap of 3', 2, 1]);
  });
});

describe('coming back', () => {
  it('waits as long as the gateway asked for', () => {
    expect(backoff(0, 7_300)).toBe(7_300);
    expect(backoff(9, 0)).toBe(0);
  });

  it('doubles its bound up to twenty seconds, and draws below it', () => {
    const bound = (attempt: number) => backoff(attempt, undefined, () => 1);
    expect([0, 1, 2, 6, 7, 1_000].map(bound)).toEqual([250, 500, 1_000, 16_000, 20_000, 20_000]);
    expect(backoff(5, undefined, () => 0)).toBe(0);
  });

  it('is told in words, with the time since when nothing is live', () => {
    const since = new Date(2026, 10, 21, 14, 3, 7).getTime();
    const link = { phase: 'stale', since, retryAt: since + 5_000, why: 'the node cannot be reached' } as const;
    expect(linkSentence(link, since)).toBe(
      'Not live since 14:03:07: the node cannot be reached. Trying again in 5.0 s.',
    );
    expect(linkSentence(link, since + 9_000)).toMatch(/Trying again now\.$/);
    expect(linkSentence({ phase: 'crowded', retryAt: since }, since)).toMatch(/^Too many consoles/);
  });
});
