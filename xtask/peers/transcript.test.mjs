// Shows that the judge of the golden path bites: a transcript that keeps the protocol passes, each breach is named.

import assert from 'node:assert/strict';
import test from 'node:test';
import { faults, isOver } from './transcript.mjs';

const asked = { thread: 't1', run: 'r1', message: { id: 'u1', role: 'user', content: 'hello' } };
const limits = (used) => ({ used, limit: 20, level: 'ok' });
const event = (offset, event) => ({ type: 'event', thread: 't1', offset, event });

const good = () => [
  { type: 'hello', connection: 'c_1', user: 'ann', ping: 20_000, window: 512, limits: limits(0) },
  { type: 'opened', thread: 't1', epoch: 'e1', after: 0, head: 0, reset: true, messages: [], limits: limits(1) },
  event(1, { type: 'RUN_STARTED', threadId: 't1', runId: 'r1', input: { messages: [asked.message] } }),
  event(2, { type: 'TEXT_MESSAGE_START', messageId: 'm1', role: 'assistant' }),
  event(3, { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm1', delta: 'Hello' }),
  { type: 'ping' },
  event(7, { type: 'TEXT_MESSAGE_END', messageId: 'm1' }),
  event(8, { type: 'RUN_FINISHED', threadId: 't1', runId: 'r1' }),
];

test('a transcript that keeps the protocol has no fault', () => {
  assert.deepEqual(faults(asked, 'lychgate.v1', good()), []);
});

const breaches = {
  'offset 3 follows 3': (frames) => (frames[3].offset = 3),
  'offset 2 follows 3': (frames) => ([frames[3].offset, frames[4].offset] = [3, 2]),
  'an event of another thread': (frames) => (frames[4].thread = 't2'),
  'the answer has no text': (frames) => (frames[4].event.delta = ' '),
  'RUN_FINISHED of our run': (frames) => (frames[7].event.runId = 'r2'),
  'ends with RUN_ERROR': (frames) => (frames[7].event = { type: 'RUN_ERROR', message: 'no' }),
  'does not start with RUN_STARTED': (frames) => frames.splice(2, 1),
  'does not carry our message': (frames) => delete frames[2].event.input,
  'not "hello"': (frames) => frames.shift(),
  'names no epoch': (frames) => (frames[1].epoch = ''),
  'a first open is a reset': (frames) => delete frames[1].reset,
  'is not counted': (frames) => (frames[1].limits = limits(0)),
  'an error: busy': (frames) => frames.push({ type: 'error', code: 'busy', message: 'a run is in flight' }),
  'was closed: evicted': (frames) => frames.push({ type: 'closed', thread: 't1', reason: 'evicted' }),
};

for (const [fault, breach] of Object.entries(breaches)) {
  test(`a breach is named: ${fault}`, () => {
    const frames = good();
    breach(frames);
    const found = faults(asked, 'lychgate.v1', frames);
    assert.ok(found.some((text) => text.includes(fault)), found.join('\n'));
  });
}

test('a server that chose no subprotocol is named', () => {
  assert.equal(faults(asked, '', good()).length, 1);
});

test('only the end of our own run, or an error, is the end', () => {
  assert.ok(isOver(good()[7], 'r1'));
  assert.ok(!isOver(good()[7], 'r2'));
  assert.ok(!isOver(good()[3], 'r1'));
  assert.ok(!isOver({ type: 'ping' }, 'r1'));
});
