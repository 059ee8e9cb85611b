import { expect, test } from 'vitest';
import { storage } from './storage.test-stage';
import { type Pending, Unsent } from './unsent';

const waits = (id: string, text = 'text'): Pending => ({ phase: 'sending', id, run: `r-${id}`, text, behind: 'nothing' });

test('messages wait over a reload, in their order, each in its conversation', () => {
  const store = storage();
  const unsent = new Unsent('demo', store);
  for (const [thread, id] of [
    ['t1', 'a'],
    ['t2', 'b'],
    ['t1', 'c'],
  ] as const)
    unsent.put(thread, waits(id));
  const refused: Pending = { phase: 'refused', id: 'a', run: 'r-a', text: 'text', why: 'busy' };
  unsent.put('t1', refused);
  expect(new Unsent('demo', store).read('t1')).toEqual([refused, waits('c')]);
  new Unsent('demo', store).drop('a');
  expect(unsent.read('t1')).toEqual([waits('c')]);
});

test('another user of the same browser sends none of them, and after a logout nobody does', () => {
  const store = storage();
  const unsent = new Unsent('demo', store);
  unsent.put('t1', waits('a'));
  expect(new Unsent('other', store).read('t1')).toEqual([]);
  unsent.forget();
  unsent.put('t1', waits('b'));
  expect(new Unsent('demo', store).read('t1')).toEqual([]);
});

test('they are bounded in number and in size: the oldest go', () => {
  const unsent = new Unsent('demo', storage());
  for (let at = 0; at < 51; at += 1) unsent.put('t1', waits(`m${at}`));
  expect(unsent.read('t1').map(({ id }) => id)).toEqual(Array.from({ length: 50 }, (_, at) => `m${at + 1}`));
  for (let at = 0; at < 6; at += 1) unsent.put('t2', waits(`big${at}`, 'x'.repeat(200_000)));
  expect(unsent.read('t1')).toEqual([]);
  expect(unsent.read('t2').map(({ id }) => id)).toEqual(['big1', 'big2', 'big3', 'big4', 'big5']);
});

test('what somebody else wrote into the storage does no harm', () => {
  const store = storage();
  for (const text of ['null', '[]', '{"user":"demo","items":[["t1",{"phase":"sending"}],["t1",null],[],{}]}']) {
    store.setItem('lychgate.unsent', text);
    expect(new Unsent('demo', store).read('t1')).toEqual([]);
  }
});
