/**
 * A list that is known page by page, of which only what is looked at is asked for and kept.
 *
 * ```text
 *  page 0        page 1        page 2          (unknown)
 *  after: none   after: c1     after: c2       total - known rows: as tall as the scrollbar says
 *  rows          dropped       rows            asked for one after the other, because a cursor comes with the page before
 * ```
 *
 * Pages of the gateway are found by a cursor, so the way to row 50,000 leads through all before it: each is asked for
 * once, its cursor stays (a few bytes), its rows go when too many others are nearer to what is looked at. A page that
 * is asked for again by its cursor shows who is there now: place and selection stay, because neither is made of row
 * numbers of others.
 */

import type { UserPage, UserRow } from '../wire';
import { counted } from '../words';

/** Rows of a page that is asked for. The gateway's bound, too. */
export const PAGE_ROWS = 200;

/** Pages whose rows are kept; 12,000 rows. */
export const KEPT_PAGES = 60;

/** Rows that a list can be scrolled over: browsers end at about 17 million pixels. Beyond it one searches. */
export const MAX_ROWS = 400_000;

interface Page {
  /** What it is asked for by; the first one has none. */
  readonly after: string | undefined;
  /** The row it begins with. */
  readonly start: number;
  readonly count: number;
  /** None: dropped, to be asked for again when it is looked at. */
  readonly rows: readonly UserRow[] | undefined;
}

export interface Pages {
  readonly pages: readonly Page[];
  /** By what the page after the last known one is asked for; `end`: there is none, `start`: nothing is known yet. */
  readonly next: { at: 'start' } | { at: 'cursor'; after: string } | { at: 'end' };
  /** Users of the node, as the last page said. */
  readonly total: number;
}

export const noPages: Pages = { pages: [], next: { at: 'start' }, total: 0 };

/** One request: page number `index`, by its cursor. */
export interface Want {
  readonly index: number;
  readonly after: string | undefined;
}

/** Rows that are known to be there. */
export function known(pages: Pages): number {
  const last = pages.pages.at(-1);
  return last === undefined ? 0 : last.start + last.count;
}

/**
 * How long the list is. Where everybody is listed, as many as the node has; a search knows its end when it gets there.
 */
export function length(pages: Pages, all: boolean): number {
  const rows = known(pages);
  switch (pages.next.at) {
    case 'end':
      return Math.min(rows, MAX_ROWS);
    case 'start':
      return 0;
    case 'cursor':
      return Math.min(all ? Math.max(rows + 1, pages.total) : rows + PAGE_ROWS, MAX_ROWS);
  }
}

/** How many a search has found: a page that was not fetched yet may hold some more, or none. */
export function foundSentence(pages: Pages): string {
  const found = `${counted(known(pages), 'user')} found`;
  return pages.next.at === 'end' ? found : `at least ${found}`;
}

/** The row at this place, where it is known now. */
export function rowAt(pages: Pages, at: number): UserRow | undefined {
  const page = pages.pages[indexOf(pages, at)];
  return page?.rows?.[at - page.start];
}

/** What has to be asked for next, so that these rows can be shown; none where all are here. */
export function wanted(pages: Pages, first: number, last: number): Want | undefined {
  for (const index of touching(pages, first, last)) {
    const page = pages.pages[index];
    if (page !== undefined && page.rows === undefined) return { index, after: page.after };
  }
  if (last < known(pages)) return undefined;
  switch (pages.next.at) {
    case 'start':
      return { index: 0, after: undefined };
    case 'cursor':
      return { index: pages.pages.length, after: pages.next.after };
    case 'end':
      return undefined;
  }
}

/** The pages that show these rows, for a refresh. */
export function touching(pages: Pages, first: number, last: number): readonly number[] {
  if (pages.pages.length === 0) return [];
  const from = Math.max(0, indexOf(pages, first));
  const until = indexOf(pages, Math.max(first, last));
  return Array.from({ length: Math.max(0, until - from + 1) }, (_, n) => from + n);
}

/**
 * What was answered. An answer to a question that is not asked any more changes nothing. Rows far from `looking` (a row
 * number) are dropped.
 */
export function arrived(pages: Pages, want: Want, page: UserPage, looking: number): Pages {
  if (!isAsked(pages, want)) return pages;
  const start = want.index === 0 ? 0 : endOf(pages.pages[want.index - 1]);
  const fresh: Page = { after: want.after, start, count: page.users.length, rows: page.users };
  const later =
    want.index < pages.pages.length - 1 ? shifted(pages.pages.slice(want.index + 1), start + fresh.count) : [];
  // The cursor of the page after this one is of this answer: who moved over the border meanwhile is on one of the two.
  const second = later[0];
  const rest =
    second === undefined || page.next === undefined ? [] : [{ ...second, after: page.next }, ...later.slice(1)];
  const all = [...pages.pages.slice(0, want.index), fresh, ...rest];
  const isLast = rest.length === 0;
  const next = isLast ? after(page.next) : pages.next;
  return { pages: thinned(all, looking), next, total: page.total };
}

function isAsked(pages: Pages, want: Want): boolean {
  const page = pages.pages[want.index];
  if (page !== undefined) return page.after === want.after;
  if (want.index !== pages.pages.length) return false;
  return pages.next.at === 'cursor' ? pages.next.after === want.after : pages.next.at === 'start';
}

function after(next: string | undefined): Pages['next'] {
  return next === undefined ? { at: 'end' } : { at: 'cursor', after: next };
}

function endOf(page: Page | undefined): number {
  return page === undefined ? 0 : page.start + page.count;
}

function shifted(pages: readonly Page[], from: number): Page[] {
  let start = from;
  return pages.map((page) => {
    const moved = page.start === start ? page : { ...page, start };
    start += page.count;
    return moved;
  });
}

/** The page that holds a row, found by halving; the last one where the row is beyond all. */
function indexOf(pages: Pages, row: number): number {
  let low = 0;
  let high = pages.pages.length - 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (row < endOf(pages.pages[middle])) high = middle;
    else low = middle + 1;
  }
  return high;
}

function thinned(pages: readonly Page[], looking: number): readonly Page[] {
  const held = pages.filter((page) => page.rows !== undefined);
  if (held.length <= KEPT_PAGES) return pages;
  const far = held
    .sort((a, b) => Math.abs(b.start - looking) - Math.abs(a.start - looking))
    .slice(0, held.length - KEPT_PAGES);
  const dropped = new Set(far);
  return pages.map((page) => (dropped.has(page) ? { ...page, rows: undefined } : page));
}
