import { expect, test } from 'vitest';
import { ago, secondsTo, words } from './words';

test('a time is told as short as it can be', () => {
  const now = Date.UTC(2026, 10, 21, 12);
  expect([0, 59_000, 60_000, 3_599_000, 3_600_000, 86_399_000, 86_400_000].map((ms) => ago(now - ms, now))).toEqual([
    'now',
    'now',
    '1 min',
    '59 min',
    '1 h',
    '23 h',
    'Nov 20',
  ]);
});

test('a clock that is behind the server tells no time before now', () => {
  expect(ago(2_000, 1_000)).toBe('now');
  expect(secondsTo(1_000, 2_000)).toBe(0);
});

test('sentences end as sentences do, without praise and without signs that shout', () => {
  for (const [name, value] of Object.entries(words)) {
    const text = typeof value === 'string' ? value : value('x' as never, 1_000);
    expect(text, name).not.toMatch(/!|[\u{1F300}-\u{1FAFF}]|please note|oops|awesome/iu);
    expect(text.trim(), name).toBe(text === words.loggedInAs('') ? text.trim() : text);
  }
});
