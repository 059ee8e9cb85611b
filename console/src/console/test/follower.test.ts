import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Answer, Asker } from '../ask';
import type { Entry } from '../live/feed';
import { Follower } from '../live/follower';
import type { DecisionPage, Told } from '../wire';
import { told } from './samples';

/** A node with decisions `first` to `newest`, that answers or does not. */
class Node {
  first = 1;
  newest = 0;
  answers: 'all' | 'none' = 'all';
  /** What it was asked, newest last. */
  readonly asked: string[] = [];
  readonly #life: string;

  constructor(life: string) {
    this.#life = life;
  }

  page(path: string): Answer<DecisionPage> {
    this.asked.push(path);
    if (this.answers === 'none') return { ok: false, failure: { kind: 'unreachable' } };
    const query = new URLSearchParams(path.split('?')[1]);
    const limit = Number(query.get('limit'));
    const after = query.get('after');
    const behind = after === null ? this.newest - limit : Number(after.split('.')[1] ?? 0);
    const from = Math.max(this.first, behind + 1);
    const decisions = run(from, Math.min(this.newest, from + limit - 1));
    const missed = after === null ? 0 : from - behind - 1;
    const next = `${this.#life}.${decisions.at(-1)?.sequence ?? behind}`;
    return { ok: true, value: { decisions, next, missed, restarted: false } };
  }
}

const run = (first: number, last: number): Told[] =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, n) => told(first + n));

const asking = (node: () => Node): Asker => ({
  // The one route that a follower asks.
  look: async <T>(path: string) => node().page(path) as Answer<T>,
  counter: async () => undefined,
  order: async () => ({ ok: false, failure: { kind: 'unreachable' } }),
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

const shown = (follower: Follower) => follower.feed.value.entries.map(short);
const settled = () => vi.advanceTimersByTimeAsync(600);

describe('the stream of decisions', () => {
  let node: Node;
  let follower: Follower;

  beforeEach(() => {
    vi.useFakeTimers();
    node = new Node('one');
    follower = new Follower(asking(() => node));
  });

  afterEach(() => {
    follower.close();
    vi.useRealTimers();
  });

  /** It was there for three decisions, and fifty came while the socket was away. */
  async function away(newest: number): Promise<void> {
    node.newest = 3;
    follower.arrived(1);
    await settled();
    node.newest = newest;
  }

  it('has no hole where the first try to catch up found nobody', async () => {
    await away(50);
    node.answers = 'none';
    follower.arrived(1);
    follower.heard(run(51, 51), 0);
    await settled();
    expect(shown(follower)).toEqual([3, 2, 1]);
    expect(follower.isBehind.value).toBe(true);
    node.newest = 51;
    node.answers = 'all';
    await vi.advanceTimersByTimeAsync(20_000);
    expect(shown(follower)).toEqual(run(1, 51).map(({ sequence }) => sequence).reverse());
    expect(follower.isBehind.value).toBe(false);
    expect(follower.feed.value.missed).toBe(0);
  });

  it('asks again for what was decided before it came, too', async () => {
    node.newest = 2;
    node.answers = 'none';
    follower.arrived(1);
    await settled();
    node.answers = 'all';
    await vi.advanceTimersByTimeAsync(20_000);
    expect(shown(follower)).toEqual([2, 1]);
  });

  it('asks with pauses that grow, not in a circle', async () => {
    node.answers = 'none';
    vi.spyOn(Math, 'random').mockReturnValue(0.99);
    follower.arrived(1);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(node.asked.length).toBeLessThan(15);
  });

  it('says how much it left out where it would never have caught up', async () => {
    await away(20_000);
    follower.arrived(1);
    await settled();
    // Ten pages after 3, and then the newest thousand, of which none may be left out in silence.
    expect(follower.feed.value.missed).toBe(20_000 - 10_003 - 1_000);
    expect(follower.feed.value.newest).toBe(20_000);
    follower.heard(run(20_001, 20_001), 0);
    await settled();
    expect(shown(follower)[0]).toBe(20_001);
  });

  it('asks for what had to give way while it waited, and calls nothing missed that it has', async () => {
    await away(3);
    node.answers = 'none';
    follower.arrived(1);
    for (let from = 4; from <= 6_003; from += 200) follower.heard(run(from, from + 199), 0);
    node.newest = 6_003;
    node.answers = 'all';
    await vi.advanceTimersByTimeAsync(20_000);
    expect(follower.feed.value.newest).toBe(6_003);
    expect(follower.feed.value.missed).toBe(0);
    expect(shown(follower)).toEqual(run(5_004, 6_003).map(({ sequence }) => sequence).reverse());
  });

  it('does not count twice what a page and a frame both miss', async () => {
    await away(20);
    node.first = 10;
    follower.arrived(1);
    follower.heard(run(10, 20), 6);
    await settled();
    expect(follower.feed.value.missed).toBe(6);
  });

  it('tells what still waits into the life that it is of', async () => {
    await away(4);
    follower.heard(run(4, 4), 0);
    node = new Node('two');
    node.newest = 1;
    follower.arrived(2);
    await settled();
    expect(shown(follower)).toEqual([1, 'restart', 4, 3, 2, 1]);
  });

  it('says what is missing before it where a life ended before it caught up', async () => {
    await away(50);
    node.answers = 'none';
    follower.arrived(1);
    follower.heard(run(51, 51), 0);
    await settled();
    node = new Node('two');
    follower.arrived(2);
    await settled();
    expect(shown(follower)).toEqual(['restart', 51, 'gap of 47', 3, 2, 1]);
  });

  it('asks nothing any more once it is closed', async () => {
    node.answers = 'none';
    follower.arrived(1);
    await settled();
    follower.close();
    const asked = node.asked.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(node.asked.length).toBe(asked);
  });
});
