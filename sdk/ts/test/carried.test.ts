// What a client says to a carrier that the test is: stops, ends and wakes, frame by frame.

import { expect, test, vi } from 'vitest';

import { Conversations } from '../src/client.js';
import { over } from '../src/closing.js';
import type { Carrier, Passenger } from '../src/connection.js';
import type { Frame } from '../src/line.js';
import type { Page, Signal } from '../src/page.js';
import type { ClientState, Run, Said } from '../src/types.js';

const LIMITS = { used: 1, limit: 3, level: 'ok' } as const;

/** A client that is online; `say` is the gateway, `lose` and `come` are the network. */
function carried() {
  const sent: Said[] = [];
  let isReady = false;
  let state: ClientState = { phase: 'connecting', attempt: 0 };
  let passenger: Passenger | undefined;
  let signal: (told: Signal) => void = () => {};
  const page: Page = { visible: true, offline: false, listen: (told) => ((signal = told), () => {}) };
  const carrier: Carrier = {
    get state() {
      return state;
    },
    get isReady() {
      return isReady;
    },
    send: (frame) => void (isReady && sent.push(frame)),
    wake: () => {},
    onPage: () => {},
    close: async () => {},
  };
  const client = new Conversations(page, (boarded) => {
    passenger = boarded;
    return carrier;
  });
  const enter = (next: ClientState) => {
    state = next;
    isReady = next.phase === 'online';
    passenger?.onState(next);
    if (isReady) passenger?.onReady();
  };
  enter({ phase: 'online' });
  return {
    client,
    sent,
    enter,
    said: (type: Said['type']) => sent.filter((frame) => frame.type === type),
    say: (frame: Frame) => passenger?.onFrame(frame),
    /** Answers the last open of it. */
    open(thread: string, fields: { after?: number; head?: number; run?: string; reset?: boolean } = {}) {
      const { after = 0, head = after, ...rest } = fields;
      const opened = sent.findLast((frame) => frame.type === 'open' && (frame.thread ?? thread) === thread);
      const ref = opened?.type === 'open' && opened.ref !== undefined ? { ref: opened.ref } : {};
      passenger?.onFrame({ type: 'opened', thread, epoch: 'e', after, head, limits: LIMITS, ...ref, ...rest });
    },
    event: (thread: string, offset: number, type: string, fields = {}) =>
      passenger?.onFrame({ type: 'event', thread, offset, event: { type, ...fields } }),
    evict: (thread: string) =>
      passenger?.onFrame({ type: 'closed', thread, reason: 'evicted', reconnect: 'on_demand' }),
    lose: () => enter({ phase: 'connecting', attempt: 1 }),
    come: () => enter({ phase: 'online' }),
    press: () => signal('keydown'),
  };
}

/** How a run ended, if it did by now. */
async function endOf(run: Run): Promise<unknown> {
  return Promise.race([run.done, new Promise((resolve) => setTimeout(resolve, 0, 'not yet'))]);
}

test('a stop that is pressed while there is no connection is said on the next one, until the run has ended', async () => {
  const { client, open, event, said, lose, come } = carried();
  const thread = client.thread('t1');
  open('t1');
  const run = thread.run('hello');
  event('t1', 1, 'RUN_STARTED', { runId: run.id });
  lose();
  thread.stop();
  expect(said('stop')).toEqual([]);
  for (const times of [1, 2]) {
    come();
    open('t1', { after: 1, run: run.id });
    expect(said('stop')).toEqual(Array(times).fill({ type: 'stop', thread: 't1', run: run.id }));
    lose();
  }
  come();
  open('t1', { after: 1, head: 2 });
  event('t1', 2, 'RUN_FINISHED', { runId: run.id, outcome: { type: 'cancelled' } });
  expect(await endOf(run)).toEqual({ outcome: 'cancelled' });
  const before = said('stop').length;
  lose();
  come();
  open('t1', { after: 2 });
  expect(said('stop')).toHaveLength(before);
});

test('a stop of a run that was said and not answered is said behind that run again', () => {
  const { client, open, sent, lose, come } = carried();
  const thread = client.thread('t1');
  open('t1');
  const run = thread.run('hello');
  lose();
  run.stop();
  come();
  open('t1');
  expect(sent.slice(-2)).toMatchObject([
    { type: 'run', run: run.id },
    { type: 'stop', run: run.id },
  ]);
});

test('a run that is stopped before it was sent is cancelled and never sent', async () => {
  const { client, open, said } = carried();
  const thread = client.thread();
  const run = thread.run('hello');
  thread.stop();
  open('t1');
  expect(said('run')).toEqual([]);
  expect(said('stop')).toEqual([]);
  expect(await endOf(run)).toEqual({ outcome: 'cancelled' });
  await expect(run.accepted).rejects.toMatchObject({ code: 'cancelled' });
});

test('a message that no gateway takes is refused at once, and is never sent', async () => {
  const { client, open, said } = carried();
  const thread = client.thread('t1');
  open('t1');
  const errors: string[] = [];
  thread.on('error', ({ code }) => errors.push(code));
  // Three bytes each: characters are not what is counted.
  const run = thread.run('\u20ac'.repeat(100_000));
  expect(await endOf(run)).toMatchObject({ outcome: 'error', code: 'too_large' });
  await expect(run.accepted).rejects.toMatchObject({ code: 'too_large' });
  expect(errors).toEqual(['too_large']);
  thread.run('x'.repeat(250_000));
  expect(said('run')).toHaveLength(1);
});

test('run_ended of a run that was asked for again ends it', async () => {
  const { client, open, say } = carried();
  const thread = client.thread('t1');
  open('t1', { after: 7 });
  const run = thread.run('hello', { id: 'known' });
  say({ type: 'notice', code: 'run_ended', thread: 't1', run: 'known' });
  await run.accepted;
  expect(await endOf(run)).toEqual({ outcome: 'finished' });
});

test('run_ended that comes before the events of that run costs none of them', async () => {
  const { client, open, event, say, lose, come } = carried();
  const thread = client.thread('t1');
  const told: string[] = [];
  thread.on('event', (event) => event.type === 'event' && told.push(event.event.type));
  open('t1');
  const run = thread.run('hello', { id: 'r1' });
  lose();
  come();
  open('t1', { after: 0, head: 2 });
  say({ type: 'notice', code: 'run_ended', thread: 't1', run: 'r1' });
  expect(await endOf(run)).toBe('not yet');
  event('t1', 1, 'RUN_STARTED', { runId: 'r1' });
  event('t1', 2, 'RUN_ERROR', { runId: 'r1', message: 'No.', code: 'agent_error' });
  expect(await endOf(run)).toMatchObject({ outcome: 'error', code: 'agent_error' });
  expect(told).toEqual(['RUN_STARTED', 'RUN_ERROR']);
});

test('a run that waits for the one before it says so, on the thread', () => {
  const { client, open, event, say } = carried();
  const thread = client.thread('t1');
  open('t1');
  const run = thread.run('me too');
  const queued: unknown[] = [];
  thread.on('queued', (told) => queued.push(told));
  for (const position of [2, 1]) say({ type: 'notice', code: 'run_queued', thread: 't1', run: run.id, position });
  expect(queued).toMatchObject([2, 1].map((position) => ({ run: run.id, position })));
  event('t1', 1, 'RUN_STARTED', { runId: run.id });
});

test('a late reader is served although the open for him was answered with an error', () => {
  vi.useFakeTimers();
  const { client, open, say, said, evict } = carried();
  const thread = client.thread('t1');
  open('t1', { after: 5 });
  const told: string[] = [];
  thread.on('event', ({ type }) => told.push(type));
  const [last] = said('open').slice(-1);
  if (last?.type !== 'open' || last.ref === undefined) throw new Error('A late reader asks for a reset.');
  say({ type: 'error', code: 'rate_limited', message: 'Later.', thread: 't1', ref: last.ref, retry_in: 100 });
  vi.advanceTimersByTime(100);
  open('t1', { after: 5 });
  open('t1', { after: 5, reset: true });
  expect(told).toEqual(['reset']);
  // As is one whose thread had to make room meanwhile.
  thread.on('event', ({ type }) => told.push(type));
  evict('t1');
  thread.wake();
  open('t1', { after: 5 });
  open('t1', { after: 5, reset: true });
  expect(told).toEqual(['reset', 'reset']);
  vi.useRealTimers();
});

test('input wakes the conversation that was wanted last, and no others that would only take its place', () => {
  const { client, open, said, evict, press } = carried();
  const names = ['t1', 't2', 't3', 't4', 't5'];
  for (const name of names) {
    client.thread(name);
    open(name);
  }
  evict('t1');
  evict('t2');
  const before = said('open').length;
  for (let key = 0; key < 20; key += 1) press();
  expect(said('open')).toHaveLength(before);
  expect(client.thread('t1').state.phase).toBe('asleep');
  press();
  expect(said('open').slice(before)).toMatchObject([{ thread: 't1' }]);
});

test('a client that is over hands out threads that say so', async () => {
  const { client, enter } = carried();
  enter({ phase: 'ended', why: over('superseded') });
  const thread = client.thread('t1');
  expect(thread.state).toMatchObject({ phase: 'closed', why: { reason: 'superseded' } });
  await expect(thread.opened).rejects.toMatchObject({ code: 'closed' });
  expect(() => thread.run('hello')).toThrow('closed');
});

test('`opened` waits through a close that a person may undo', async () => {
  const { client, open, say } = carried();
  const thread = client.thread('t1');
  say({ type: 'closed', thread: 't1', reason: 'closed_by_admin', reconnect: 'never' });
  expect(thread.state.phase).toBe('closed');
  thread.wake();
  open('t1');
  expect(await thread.opened).toMatchObject({ thread: 't1' });
});

test('a run ends with its client, also where a login could bring that back', async () => {
  const { client, open, event, enter, said } = carried();
  const thread = client.thread('t1');
  open('t1');
  const [running, waiting] = [thread.run('one'), thread.run('two')];
  event('t1', 1, 'RUN_STARTED', { runId: running.id });
  const before = said('run').length;
  enter({ phase: 'ended', why: over('logged_out', 'login') });
  for (const run of [running, waiting]) expect(await endOf(run)).toMatchObject({ outcome: 'error', code: 'closed' });
  enter({ phase: 'online' });
  open('t1', { after: 1, run: running.id });
  expect(said('run')).toHaveLength(before);
  expect(thread.inFlight).toBe(running.id);
});
