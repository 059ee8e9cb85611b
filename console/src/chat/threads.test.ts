import { expect, test } from 'vitest';
import type { ThreadRow } from './api';
import { merge } from './threads';

const row = (thread: string, written: number, more: Partial<ThreadRow> = {}): ThreadRow => ({
  thread,
  created: 0,
  written,
  messages: 1,
  head: 1,
  ...more,
});

test('fresh rows replace known ones, the one that was active last first', () => {
  const known = [row('a', 3), row('b', 2), row('c', 1)];
  const merged = merge(known, [row('b', 4, { run: 'r1' }), row('a', 3)]);
  expect(merged.map(({ thread }) => thread)).toEqual(['b', 'a', 'c']);
  expect(merged[0]?.run).toBe('r1');
});

test('a row that did not change stays the same value, and is not drawn again', () => {
  const known = [row('a', 1)];
  expect(merge(known, [row('a', 1)])[0]).toBe(known[0]);
  expect(merge(known, [row('a', 2)])[0]).not.toBe(known[0]);
});

test('rows are bounded: the oldest go', () => {
  const many = Array.from({ length: 2_001 }, (_, at) => row(`t${at}`, at));
  const merged = merge([], many);
  expect(merged.length).toBe(2_000);
  expect(merged.at(-1)?.thread).toBe('t1');
});
