import { expect, test } from 'vitest';
import { Drafts } from './drafts';
import { storage } from './storage.test-stage';

test('a draft is kept for each conversation, and for the new one', () => {
  const store = storage();
  new Drafts('demo', store).write(undefined, 'new');
  new Drafts('demo', store).write('t1', 'one');
  const after = new Drafts('demo', store);
  expect([after.read(undefined), after.read('t1'), after.read('t2')]).toEqual(['new', 'one', '']);
  after.write('t1', '');
  expect(after.read('t1')).toBe('');
});

test('another user of the same browser sees none of them', () => {
  const store = storage();
  new Drafts('demo', store).write('t1', 'private');
  const other = new Drafts('other', store);
  expect(other.read('t1')).toBe('');
  other.write('t1', 'mine');
  expect(new Drafts('demo', store).read('t1')).toBe('');
});

test('fifty are kept, of which the one that was written longest ago goes first', () => {
  const drafts = new Drafts('demo', storage());
  for (let at = 0; at < 51; at += 1) drafts.write(`t${at}`, 'text');
  expect([drafts.read('t0'), drafts.read('t1'), drafts.read('t50')]).toEqual(['', 'text', 'text']);
});

test('what somebody else wrote into the storage does no harm', () => {
  const store = storage();
  for (const text of ['', 'no json', '[]', '{"user":"demo","items":[[1]]}', '{"user":"demo"}', 'null']) {
    store.setItem('lychgate.drafts', text);
    expect(new Drafts('demo', store).read('t1')).toBe('');
  }
});

test('after a logout nothing is kept, also what is written while the page is taken down', () => {
  const store = storage();
  const drafts = new Drafts('demo', store);
  drafts.write('t1', 'private');
  drafts.forget();
  drafts.write('t1', 'private');
  expect(store.length).toBe(0);
});

test('without a storage nothing is kept and nothing fails', () => {
  const drafts = new Drafts('demo', undefined);
  drafts.write('t1', 'text');
  drafts.forget();
  expect(drafts.read('t1')).toBe('');
});
