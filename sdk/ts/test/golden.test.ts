// Golden frames: what the gateway writes is read here, what we write is read by the gateway's own tests.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, onTestFinished, test } from 'vitest';
import WebSocket, { type AddressInfo, WebSocketServer } from 'ws';

import { connect, type ThreadEvent, type ThreadState } from '../src/index.js';
import { until } from './gateway.js';
import { Recorded, setting } from './setting.js';
import { aPage } from './window.js';

interface Golden {
  name: string;
  frame: Record<string, unknown>;
}

const file = (name: string) => fileURLToPath(new URL(`../golden/${name}.json`, import.meta.url));
const read = (name: string): Golden[] => JSON.parse(readFileSync(file(name), 'utf8'));
const LIMITS = { used: 1, limit: 20, level: 'ok' };

/** Another end that says what a test tells it, over a real socket. */
async function parrot(frames: Record<string, unknown>[]) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise((listening) => server.once('listening', listening));
  server.on('connection', (socket) => {
    const say = (frame: Record<string, unknown>) => socket.send(JSON.stringify(frame));
    socket.on('message', (text) => {
      const { type, thread, ref } = JSON.parse(String(text));
      if (type === 'hello')
        say({ type: 'hello', connection: 'c_1', user: 'ann', ping: 20_000, window: 512, limits: LIMITS });
      if (type !== 'open') return;
      say({ type: 'opened', thread, ref, epoch: 'eGWj', after: 7, head: 9, reset: true, messages: [], limits: LIMITS });
      frames.forEach(say);
      say({ type: 'error', code: 'the end of what was told', message: '' });
    });
  });
  // It listens on a port, so its address is one of these.
  const client = connect({ url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, WebSocket });
  onTestFinished(async () => {
    await client.close();
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return client;
}

async function replay(frame: Record<string, unknown>) {
  const client = await parrot([frame]);
  const heard: { events: ThreadEvent[]; states: ThreadState[]; told: [string, unknown][] } = {
    events: [],
    states: [],
    told: [],
  };
  let isOver = false;
  for (const type of ['limits', 'notice', 'error'] as const) {
    client.on(type, (event) => {
      if (type === 'error' && 'code' in event && event.code === 'the end of what was told') isOver = true;
      else heard.told.push([type, event]);
    });
  }
  const thread = client.thread('t1');
  thread.on('event', (event) => heard.events.push(event));
  thread.on('state', (state) => heard.states.push(state));
  await until('all to be told', () => isOver);
  return { client, ...heard };
}

test.each(read('server').map(({ name, frame }) => [name, frame] as const))('%s is read', async (_, frame) => {
  const { client, events, states, told } = await replay(frame);
  expect(events[0]).toMatchObject({ type: 'reset' });
  const { type: kind, ...rest } = frame;
  switch (kind) {
    case 'event':
      return expect(events.at(-1)).toEqual({ type: 'event', offset: frame['offset'], event: frame['event'] });
    case 'opened':
      expect(states.at(-1)).toEqual({ phase: 'open' });
      return expect(events).toHaveLength(frame['reset'] === true ? 2 : 1);
    case 'closed': {
      const asleep = { phase: 'asleep', why: { reason: rest['reason'], next: 'on_demand' } };
      return expect(states.at(-1)).toMatchObject(frame['reconnect'] === 'on_demand' ? asleep : { phase: 'opening' });
    }
    case 'notice':
      expect(told).toContainEqual(['notice', frame]);
      if (frame['code'] === 'limit') expect(client.limits).toMatchObject({ used: frame['used'] });
      return;
    case 'error':
      return expect(told).toContainEqual(['error', frame]);
    case 'hello':
    case 'ping':
      return expect(client.state.phase).toBe('online');
    default:
      throw new Error(`What does a client do with ${String(kind)}?`);
  }
});

test('rule 13: unknown frames, unknown notices, unknown fields and what is no frame are ignored', async () => {
  for (const frame of [
    { type: 'from_the_future', x: 1 },
    { type: 'notice', code: 'degraded', what: 'journal', until: 1 },
    { x: 1 },
  ]) {
    const { client } = await replay(frame);
    expect(client.state.phase).toBe('online');
  }
});

/** The same in every run: ids and tokens are made anew each time. */
function steady(frame: Record<string, unknown>): Record<string, unknown> {
  const names: Record<string, string> = { ref: 'o1', run: 'r1', prev: 'c_Bd3g', token: 'ey', epoch: 'eGWj' };
  const text = JSON.stringify(frame, (key, value: unknown) =>
    typeof value === 'string' ? (names[key] ?? value) : value,
  );
  return JSON.parse(
    text
      .replace(/"[\da-f]{8}-[\da-f-]{27}"/g, '"u1"')
      .replace(/"t1":\d+/, '"t1":9')
      .replace(/"after":\d+/, '"after":7'),
  );
}

test('golden/client.json holds every frame that we say; RENEW_GOLDEN_FILES=1 writes it anew', async () => {
  aPage();
  const { client, proxy, gateway } = await setting({
    'agents.demo': { kind: 'demo', delay: '20ms' },
    liveness: { ping_interval: '300ms', ping_answer: '200ms' },
  });
  const ann = client({ client: 'tab-1' });
  const thread = ann.thread('t1');
  await thread.run('hello').done;
  await until('an acknowledgement', () =>
    Recorded.sent.some((frame) => JSON.stringify(frame['at'] ?? {}) !== '{}' && frame['visible'] === true),
  );
  await until('an acknowledgement without news', () =>
    Recorded.sent.some(({ type, at }) => type === 'ack' && JSON.stringify(at) === '{}'),
  );
  proxy.cut();
  await until(
    'the thread again',
    () =>
      Recorded.sent.some(({ type, after }) => type === 'open' && after !== undefined) && thread.state.phase === 'open',
  );
  const run = thread.run(
    { messages: [{ id: 'u1', role: 'user', content: 'stop me' }], state: { cart: [] }, forwardedProps: {} },
    { agent: 'demo' },
  );
  await run.accepted;
  run.stop();
  await run.done;
  thread.leave();
  await ann.thread().opened;
  const refreshing = client({ url: gateway.url, token: 'not for a header: '.repeat(300) });
  await until('a hello with a token', () => Recorded.sent.some((frame) => frame['token'] !== undefined));
  await refreshing.close();
  const say = Recorded.sent.map(steady);
  const find = (is: (frame: Record<string, unknown>) => boolean) => {
    const found = say.find(is);
    if (!found) throw new Error(`no frame is ${String(is)}`);
    return found;
  };
  const golden: Golden[] = [
    { name: 'hello of a first connection', frame: find(({ type, prev }) => type === 'hello' && prev === undefined) },
    { name: 'hello that takes over', frame: find(({ prev }) => prev !== undefined) },
    { name: 'hello with a token', frame: find(({ token }) => token !== undefined) },
    {
      name: 'open',
      frame: find(({ type, thread: id, after }) => type === 'open' && id !== undefined && after === undefined),
    },
    { name: 'open, resumed', frame: find(({ after }) => after !== undefined) },
    { name: 'open of a new thread', frame: find(({ type, thread: id }) => type === 'open' && id === undefined) },
    { name: 'run of a text', frame: find(({ type, agent }) => type === 'run' && agent === undefined) },
    { name: 'run with all there is', frame: find(({ agent }) => agent !== undefined) },
    { name: 'stop', frame: find(({ type }) => type === 'stop') },
    { name: 'ack of a ping', frame: find(({ at, visible }) => JSON.stringify(at) !== '{}' && visible !== undefined) },
    { name: 'ack without news', frame: find(({ type, at }) => type === 'ack' && JSON.stringify(at) === '{}') },
    { name: 'leave', frame: find(({ type }) => type === 'leave') },
  ];
  const text = `${JSON.stringify(golden, null, 2)}\n`;
  if (process.env['RENEW_GOLDEN_FILES']) writeFileSync(file('client'), text);
  expect(readFileSync(file('client'), 'utf8'), 'stale: RENEW_GOLDEN_FILES=1 npx vitest run test/golden.test.ts').toBe(
    text,
  );
});
