import { describe, expect, it } from 'vitest';
import {
  arrived,
  foundSentence,
  KEPT_PAGES,
  known,
  length,
  MAX_ROWS,
  noPages,
  PAGE_ROWS,
  rowAt,
  touching,
  wanted,
  type Pages,
} from '../state/pages';
import { inView, placeOf, scrolledTo } from '../state/window';
import { page } from './samples';

/** The first `n` full pages of a node with `total` users. */
function fetched(n: number, total: number): Pages {
  let pages = noPages;
  for (let at = 0; at < n; at += 1) {
    const want = wanted(pages, at * PAGE_ROWS, at * PAGE_ROWS);
    if (want === undefined) throw new Error(`page ${at} is not wanted`);
    pages = arrived(pages, want, page(at * PAGE_ROWS, PAGE_ROWS, total, `after-${at}`), at * PAGE_ROWS);
  }
  return pages;
}

describe('the list of users', () => {
  it('asks for the first page first, and for nothing while the rows in view are known', () => {
    expect(wanted(noPages, 0, 30)).toEqual({ index: 0, after: undefined });
    expect(wanted(fetched(1, 100_000), 0, 30)).toBeUndefined();
  });

  it('goes page by page to where somebody scrolled', () => {
    const pages = fetched(1, 100_000);
    expect(wanted(pages, 50_000, 50_030)).toEqual({ index: 1, after: 'after-0' });
  });

  it('is as long as the node has users, before they are known', () => {
    expect(length(fetched(1, 100_000), true)).toBe(100_000);
    expect(known(fetched(1, 100_000))).toBe(PAGE_ROWS);
  });

  it('of a search ends where the last page ends', () => {
    const pages = arrived(noPages, { index: 0, after: undefined }, page(0, 3, 100_000), 0);
    expect(length(pages, false)).toBe(3);
    expect(wanted(pages, 0, 30)).toBeUndefined();
  });

  it('of a search says how many it knows, and never how many it guesses', () => {
    const first = arrived(noPages, { index: 0, after: undefined }, page(0, PAGE_ROWS, 100_000, 'a'), 0);
    expect(foundSentence(first)).toBe('at least 200 users found');
    const all = arrived(first, { index: 1, after: 'a' }, page(PAGE_ROWS, 50, 100_000), 0);
    expect(foundSentence(all)).toBe('250 users found');
    expect(foundSentence(arrived(noPages, { index: 0, after: undefined }, page(0, 1, 9), 0))).toBe('1 user found');
  });

  it('never is longer than a browser can scroll', () => {
    expect(length(fetched(1, 10_000_000), true)).toBe(MAX_ROWS);
  });

  it('takes short and empty pages as they come', () => {
    let pages = arrived(noPages, { index: 0, after: undefined }, page(0, 150, 500, 'a'), 0);
    pages = arrived(pages, { index: 1, after: 'a' }, page(150, 0, 500, 'b'), 0);
    pages = arrived(pages, { index: 2, after: 'b' }, page(150, 100, 500), 0);
    expect(rowAt(pages, 149)?.user).toBe('user-149');
    expect(rowAt(pages, 150)?.user).toBe('user-150');
    expect(rowAt(pages, 250)).toBeUndefined();
  });

  it('drops rows that nobody looks at, keeps their place, and asks for them again', () => {
    const pages = fetched(KEPT_PAGES + 20, 100_000);
    expect(pages.pages.filter(({ rows }) => rows !== undefined).length).toBe(KEPT_PAGES);
    expect(rowAt(pages, 0)).toBeUndefined();
    expect(wanted(pages, 0, 30)).toEqual({ index: 0, after: undefined });
    expect(rowAt(pages, (KEPT_PAGES + 19) * PAGE_ROWS)?.user).toBe(`user-${(KEPT_PAGES + 19) * PAGE_ROWS}`);
  });

  it('is refreshed in place: other rows keep theirs', () => {
    const pages = fetched(3, 600);
    expect(touching(pages, 210, 390)).toEqual([1]);
    const again = arrived(pages, { index: 1, after: 'after-0' }, page(1_000, PAGE_ROWS, 600, 'after-1'), 210);
    expect(rowAt(again, 200)?.user).toBe('user-1000');
    expect(rowAt(again, 199)?.user).toBe('user-199');
    expect(rowAt(again, 400)?.user).toBe('user-400');
  });

  it('closes up when a page became shorter', () => {
    const again = arrived(fetched(3, 600), { index: 1, after: 'after-0' }, page(200, 50, 450, 'after-1'), 210);
    expect(rowAt(again, 250)?.user).toBe('user-400');
    expect(known(again)).toBe(450);
  });

  it('ends where a page that was asked for again says so', () => {
    const again = arrived(fetched(3, 600), { index: 1, after: 'after-0' }, page(200, 10, 210), 210);
    expect(again.next).toEqual({ at: 'end' });
    expect(length(again, true)).toBe(210);
  });

  it('ignores an answer to a question that is not asked any more', () => {
    const pages = fetched(3, 600);
    expect(arrived(pages, { index: 1, after: 'another' }, page(0, 5, 5), 0)).toBe(pages);
    expect(arrived(pages, { index: 7, after: 'later' }, page(0, 5, 5), 0)).toBe(pages);
  });
});

describe('the rows in the page', () => {
  it('are those in view and a few more, of however many', () => {
    expect(inView(0, 360, 36, 100_000)).toEqual({ first: 0, last: 18 });
    expect(inView(36 * 50_000, 360, 36, 100_000)).toEqual({ first: 49_992, last: 50_018 });
    expect(inView(36 * 100_000, 360, 36, 100_000).last).toBe(99_999);
  });

  it('are none of an empty list', () => {
    const { first, last } = inView(0, 360, 36, 0);
    expect(last - first).toBe(-1);
  });

  it('have a chosen user wherever he stands, and nobody in his place when he is gone', () => {
    const rows = { first: 0, last: 30 };
    const pages = fetched(1, 200);
    expect(placeOf(pages, undefined, 4, rows)).toBe(4);
    expect(placeOf(pages, 'user-4', 4, rows)).toBe(4);
    expect(placeOf(pages, 'user-9', 4, rows)).toBe(9);
    expect(placeOf(pages, 'somebody who left', 4, rows)).toBeUndefined();
    expect(placeOf(pages, 'user-250', 250, { first: 240, last: 260 })).toBe(250);
  });

  it('are scrolled to no further than needed', () => {
    expect(scrolledTo(3, 0, 360, 36)).toBe(0);
    expect(scrolledTo(20, 0, 360, 36)).toBe(21 * 36 - 360);
    expect(scrolledTo(2, 360, 360, 36)).toBe(72);
  });
});
