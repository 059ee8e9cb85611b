/**
 * The last thousand decisions, newest first, and the places where some are missing.
 *
 * A frame may repeat what a page has brought and may come late; `sequence` says what is what, within one life of the
 * node. What the node says it could not deliver stands in the list as a gap, so that nothing is left out in silence
 * (R19).
 */

import type { Told } from '../wire';

export const MAX_TOLD = 1_000;

export type Entry =
  | { kind: 'told'; life: number; told: Told }
  /** Before the entry with the sequence `before`, so many were not delivered. */
  | { kind: 'gap'; life: number; before: number; missed: number }
  /** The node was started anew: what is above is of its new life. */
  | { kind: 'restart'; life: number };

export interface Feed {
  /** Newest first. */
  readonly entries: readonly Entry[];
  /** Counted up with every start of the node that this page has seen. */
  readonly life: number;
  /** The highest sequence of this life that was seen. */
  readonly newest: number;
  /** All that was ever missed. */
  readonly missed: number;
}

export const emptyFeed: Feed = { entries: [], life: 0, newest: -1, missed: 0 };

/**
 * A frame or a page: decisions in order, and how many before them are missing. Where the first of them was told already,
 * whoever told it has said what is missing before it.
 */
export function tell(feed: Feed, decisions: readonly Told[], missed: number): Feed {
  const { life } = feed;
  const fresh = decisions.filter((told) => told.sequence > feed.newest);
  const entries: Entry[] = fresh.map((told): Entry => ({ kind: 'told', life, told })).reverse();
  const before = fresh[0]?.sequence ?? feed.newest + 1;
  const isRepeated = decisions[0] !== undefined && decisions[0] !== fresh[0];
  const lost = isRepeated ? 0 : missed;
  if (lost > 0) entries.push({ kind: 'gap', life, before, missed: lost });
  if (entries.length === 0) return feed;
  return {
    life,
    entries: [...entries, ...feed.entries].slice(0, MAX_TOLD),
    newest: fresh.at(-1)?.sequence ?? feed.newest,
    missed: feed.missed + lost,
  };
}

/** The node was started anew, and counts from the beginning. */
export function restarted(feed: Feed): Feed {
  const life = feed.life + 1;
  const entries: readonly Entry[] = [{ kind: 'restart', life }, ...feed.entries];
  return { ...feed, life, newest: -1, entries: entries.slice(0, MAX_TOLD) };
}

/** Decisions that came after a feed was held; those that gave way to newer ones since are not among them. */
export function cameSince(held: Feed, feed: Feed): number {
  return feed.entries.filter(
    (entry) =>
      entry.kind === 'told' &&
      (entry.life > held.life || (entry.life === held.life && entry.told.sequence > held.newest)),
  ).length;
}

/** What tells an entry from every other. */
export function keyOf(entry: Entry): string {
  switch (entry.kind) {
    case 'told':
      return `${entry.life}.${entry.told.sequence}`;
    case 'gap':
      return `gap ${entry.life}.${entry.before}`;
    case 'restart':
      return `restart ${entry.life}`;
  }
}

export interface FeedFilter {
  /** Part of a user's id; empty for everybody. */
  user: string;
  /** A level of reclaim; empty for all and none. */
  level: string;
  /** A verdict; empty for all. */
  kind: string;
}

/** What a filter lets through. Gaps stay: nobody knows what they held. */
export function matching(feed: Feed, filter: FeedFilter): readonly Entry[] {
  if (filter.user === '' && filter.level === '' && filter.kind === '') return feed.entries;
  return feed.entries.filter((entry) => {
    if (entry.kind !== 'told') return true;
    const { user, level, verdict } = entry.told;
    return (
      (filter.user === '' || (user ?? '').includes(filter.user)) &&
      (filter.level === '' || level === filter.level) &&
      (filter.kind === '' || verdict === filter.kind)
    );
  });
}
