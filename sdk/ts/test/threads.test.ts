// Rules 2, 6, 7 and 9: slots, runs, flow and waiting.

import { expect, test } from 'vitest';

import type { ThreadState } from '../src/index.js';
import { until } from './gateway.js';
import { Recorded, setting } from './setting.js';
import { aPage } from './window.js';

const FINISHED = 'lychgate_run_seconds_count{outcome="finished"}';
const received = (type: string) => Recorded.received.filter((frame) => frame['type'] === type).length;

test('rule 6: a busy thread is a typed error of the run, with a time to try again', async () => {
  const { client } = await setting({ 'agents.demo': { kind: 'demo', delay: '50ms' } });
  const thread = client().thread('t1');
  const first = thread.run('a long answer to keep it busy');
  await first.accepted;
  expect(thread.inFlight).toBe(first.id);
  const second = thread.run('me too');
  await expect(second.accepted).rejects.toMatchObject({ code: 'busy', retryIn: 1_000 });
  expect(await second.done).toMatchObject({ outcome: 'error', code: 'busy', retryIn: 1_000 });
  first.stop();
  expect(await first.done).toEqual({ outcome: 'cancelled' });
  expect(thread.inFlight).toBeUndefined();
});

test('rule 6: a run that was said while there was no connection is said once there is one', async () => {
  const { client, proxy } = await setting();
  proxy.refuse();
  const thread = client().thread('t1');
  const run = thread.run('hello');
  await until('some attempts', () => proxy.taken > 1);
  proxy.accept();
  expect((await run.done).outcome).toBe('finished');
});

test('rule 6: a run whose end is only known from a reset settles', async () => {
  const { client, proxy, gateway } = await setting({
    journal: { kind: 'memory', max_events_per_thread: 8 },
    'agents.demo': { kind: 'demo', delay: '20ms' },
  });
  const ann = client();
  const thread = ann.thread('t1');
  const run = thread.run('a few words to say while nobody listens');
  await run.accepted;
  proxy.refuse();
  proxy.cut();
  await until('its end', async () => (await gateway.metric(FINISHED)) === 1);
  // Another tab goes on, so that the log lets go of the first answer.
  const elsewhere = client({ url: gateway.url });
  for (const text of ['more', 'and more']) await elsewhere.thread('t1').run(text).done;
  proxy.accept();
  ann.wake();
  expect((await run.done).outcome).toBe('finished');
});

test('rule 6: a stop that is pressed while the connection is away ends the run', async () => {
  const { client, proxy } = await setting({ 'agents.demo': { kind: 'demo', delay: '20ms' } });
  const ann = client();
  const thread = ann.thread('t1');
  const run = thread.run(Array.from({ length: 400 }, (_, index) => `w${index}`).join(' '));
  await run.accepted;
  proxy.refuse();
  proxy.cut();
  await until('the loss', () => ann.state.phase !== 'online');
  thread.stop();
  proxy.accept();
  ann.wake();
  expect(await run.done).toEqual({ outcome: 'cancelled' });
});

test('rule 13: a message that is too large is refused, and nothing else ends with it', async () => {
  const { client } = await setting();
  const ann = client();
  const thread = ann.thread('t1');
  await thread.opened;
  expect(await thread.run('x'.repeat(300_000)).done).toMatchObject({ outcome: 'error', code: 'too_large' });
  expect((await thread.run('hello').done).outcome).toBe('finished');
  expect(ann.state.phase).toBe('online');
});

test('rule 13: where the gateway takes less than we think, a person brings the client back without that message', async () => {
  const { client } = await setting({ websocket: { max_message_bytes: 4_096 } });
  const ann = client();
  const thread = ann.thread('t1');
  await thread.opened;
  const run = thread.run('x'.repeat(5_000));
  expect(await run.done).toMatchObject({ outcome: 'error', code: 'closed' });
  expect(ann.state).toMatchObject({ phase: 'ended', why: { code: 1009, next: 'user_action' } });
  ann.wake();
  expect((await thread.run('hello').done).outcome).toBe('finished');
});

test('rule 7: a slow reader pauses the acknowledgement, so that the gateway stops, and misses nothing in the end', async () => {
  const { client, gateway } = await setting({ websocket: { window: 32 } });
  const thread = client().thread('t1');
  const reader = thread[Symbol.asyncIterator]();
  await reader.next();
  const words = Array.from({ length: 60 }, (_, index) => `w${index}`).join(' ');
  const run = thread.run(words);
  await until('the end of it', async () => (await gateway.metric(FINISHED)) === 1);
  expect(received('event')).toBeLessThanOrEqual(32);
  let text = '';
  for (;;) {
    const { value } = await reader.next();
    if (value?.type !== 'event') throw new Error('A reader within the window gets events alone.');
    if (value.event.type === 'TEXT_MESSAGE_CONTENT') text += String(value.event['delta']);
    if (value.event.type === 'RUN_FINISHED') break;
  }
  expect(text).toBe(`You said "${words}", and it came through well.`);
  expect((await run.done).outcome).toBe('finished');
  await until('all of it to be acknowledged', () => {
    const acks = Recorded.sent.filter((frame) => frame['type'] === 'ack');
    return JSON.stringify(acks.at(-1)?.['at']) === JSON.stringify({ t1: thread.position?.after });
  });
});

test('rule 7: what callbacks were told is acknowledged every 64 events', async () => {
  const { client } = await setting({ 'agents.demo': { kind: 'demo', delay: '1ms' } });
  const thread = client().thread('t1');
  thread.on('event', () => {});
  await thread.run(Array.from({ length: 60 }, (_, index) => `w${index}`).join(' ')).done;
  const acks = Recorded.sent.filter((frame) => frame['type'] === 'ack');
  expect(acks.length).toBeGreaterThan(0);
  expect(acks.length).toBeLessThan(6);
});

test('rule 9: an open that has to wait says its position, and is served', async () => {
  const { client } = await setting({
    limits: { max_sessions_per_user: 1, reserve_sessions: 0, queue_deadline: '1500ms', ladder_deadline: '1s' },
  });
  const ann = client();
  await ann.thread('busy').run('stall').accepted;
  const thread = ann.thread('waits');
  const states: ThreadState[] = [];
  thread.on('state', (state) => states.push(state));
  await thread.opened;
  expect(states).toMatchObject([{ phase: 'queued', position: 1 }, { phase: 'open' }]);
  await until('the other one to sleep', () => ann.thread('busy').state.phase === 'asleep');
});

test('rule 2: closed of one thread puts that one to sleep, the others stream on, and input wakes it', async () => {
  const page = aPage();
  const { client } = await setting({
    limits: { max_sessions_per_user: 2 },
    'agents.demo': { kind: 'demo', delay: '10ms' },
  });
  const ann = client();
  const idle = ann.thread('idle');
  await idle.opened;
  const run = ann.thread('busy').run('a long answer that goes on all the while');
  await run.accepted;
  await ann.thread('new').opened;
  await until('the idle one to sleep', () => idle.state.phase === 'asleep');
  expect(ann.state.phase).toBe('online');
  // It is shown again, so it is what a press is meant for.
  expect(ann.thread('idle')).toBe(idle);
  page.fire('pointerdown');
  await until('the idle one to be open', () => idle.state.phase === 'open');
  expect((await run.done).outcome).toBe('finished');
});

test('rule 2: a thread that is left gives its slot back, also one that was never named', async () => {
  const { client, gateway } = await setting();
  const ann = client();
  await ann.thread('t1').opened;
  ann.thread('t1').leave();
  ann.thread().leave();
  await ann.thread('keep').opened;
  await until('one session', async () => (await gateway.metric('lychgate_sessions')) === 1);
  expect(() => ann.thread('t1')).not.toThrow();
});

test('rule 2: an operator ends one conversation: it says so, and comes back when somebody wants it', async () => {
  const { client, operate } = await setting();
  const ann = client();
  const thread = ann.thread('t1');
  await thread.opened;
  await operate('DELETE', '/v1/admin/sessions/ann:t1');
  await until('the end of it', () => thread.state.phase === 'closed' || ann.state.phase === 'ended');
  const state = thread.state.phase === 'closed' ? thread.state : ann.state;
  expect(state).toMatchObject({ why: { code: 4512, next: 'user_action' } });
  // The socket may be closing behind it: then the first press comes too early.
  await until('it to be open', () => {
    if (thread.state.phase !== 'open') ann.wake();
    return thread.state.phase === 'open' && ann.state.phase === 'online';
  });
});

test('a late reader gets the whole thread in mid-answer while the earlier ones neither lose nor repeat anything', async () => {
  // A window that is smaller than what is told again: what is told again has to be acknowledged, too.
  const { client } = await setting({ 'agents.demo': { kind: 'demo', delay: '15ms' }, websocket: { window: 16 } });
  const thread = client().thread('t1');
  const offsets: number[] = [];
  let text = '';
  thread.on('event', (told) => {
    if (told.type === 'reset') return;
    offsets.push(told.offset);
    if (told.event.type === 'TEXT_MESSAGE_CONTENT') text += String(told.event['delta']);
  });
  const run = thread.run(Array.from({ length: 60 }, (_, index) => `w${index}`).join(' '));
  await run.accepted;
  const late: string[] = [];
  for (let reader = 0; thread.inFlight === run.id && reader < 30; reader += 1) {
    late.push('');
    const before = text.length;
    thread.on('event', (told) => {
      // Whoever joins when the run has just ended has the answer in the messages of his reset.
      if (told.type === 'reset')
        late[reader] = String(told.messages.find(({ role }) => role === 'assistant')?.['content'] ?? '');
      else if (told.event.type === 'TEXT_MESSAGE_CONTENT') late[reader] += String(told.event['delta']);
    });
    await until('the next piece', () => text.length > before || thread.inFlight === undefined);
  }
  expect(late.length).toBeGreaterThan(5);
  await run.done;
  expect(text).toMatch(/^You said "w0 .* w59", and it came through well\.$/);
  await until('all to have all of it', () => late.every((one) => one === text));
  expect(new Set(offsets).size).toBe(offsets.length);
});

test('what is sent to another client of the same conversation is seen here as well', async () => {
  const { client } = await setting();
  const [one, two] = [client(), client()];
  await Promise.all([one.thread('t1').opened, two.thread('t1').opened]);
  const seen: string[] = [];
  two.thread('t1').on('event', (told) => told.type === 'event' && seen.push(told.event.type));
  await one.thread('t1').run('hello').done;
  await until('the end of it', () => seen.includes('RUN_FINISHED'));
});

test('resume by position goes on without a reset', async () => {
  const { client } = await setting();
  const ann = client();
  const thread = ann.thread('t1');
  await thread.run('one').done;
  const { position } = thread;
  if (!position) throw new Error('An open thread has a position.');
  await ann.close();
  const again = client();
  const resumed = again.thread('t1', { resume: position });
  const told: string[] = [];
  resumed.on('event', (event) => told.push(event.type === 'event' ? event.event.type : event.type));
  await resumed.run('two').done;
  expect(told[0]).toBe('RUN_STARTED');
});
