import { expect, test } from 'vitest';
import { NEWEST, fromOf } from './newest';

const list = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => ({ id: `m${from + at}` }));

test('a long conversation is drawn from its newest messages on, a short one whole', () => {
  expect(fromOf(list(0, 1_000), undefined, 'end')).toBe(1_000 - NEWEST);
  expect(fromOf(list(0, 3), undefined, 'end')).toBe(0);
});

test('at the end old messages go, some at once, and the rest stays bounded', () => {
  let anchor: string | undefined;
  for (let length = 1; length < 2_000; length += 1) {
    const messages = list(0, length);
    const from = fromOf(messages, anchor, 'end');
    anchor = messages[from]?.id;
    expect(length - from).toBeLessThanOrEqual(NEWEST + 50);
  }
});

test('who reads further up keeps what he reads, whatever comes above and below', () => {
  expect(fromOf(list(0, 1_000), 'm300', 'up')).toBe(300);
  expect(fromOf(list(0, 1_500), 'm300', 'up')).toBe(300);
  // Fifty came in above.
  expect(fromOf(list(-50, 1_500), 'm300', 'up')).toBe(350);
});

test('older ones come a page at a time, down to the first', () => {
  expect(fromOf(list(0, 1_000), 'm300', 'reveal')).toBe(100);
  expect(fromOf(list(0, 1_000), 'm100', 'reveal')).toBe(0);
});

test('a reset that knows nothing of the first message begins with the newest again', () => {
  expect(fromOf(list(5_000, 6_000), 'm300', 'up')).toBe(1_000 - NEWEST);
});
