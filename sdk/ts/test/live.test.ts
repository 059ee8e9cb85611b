import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';

import { connect, type ConnectOptions } from '../src/index.js';
import { Gateway, token, until } from './gateway.js';

let gateway: Gateway;
beforeAll(async () => void (gateway = await Gateway.start()));
afterAll(() => gateway.stop());

function client(options: ConnectOptions = {}) {
  return connect({ url: gateway.url, WebSocket, token: () => token('ann'), ...options });
}

test('a run is streamed word by word, settles, and the thread tells the same', async () => {
  const ann = client();
  const thread = ann.thread('golden');
  const told: string[] = [];
  thread.on('event', (event) => told.push(event.type === 'event' ? event.event.type : event.type));
  const run = thread.run('hello there');
  const iterated: string[] = [];
  for await (const { type, ...rest } of thread) {
    iterated.push('event' in rest ? rest.event.type : type);
    if (iterated.at(-1) === 'RUN_FINISHED') break;
  }
  expect(await run.done).toEqual({ outcome: 'finished' });
  await run.accepted;
  expect(iterated.slice(0, 2)).toEqual(['reset', 'RUN_STARTED']);
  expect(iterated.filter((type) => type === 'TEXT_MESSAGE_CONTENT').length).toBeGreaterThan(1);
  expect(told).toEqual(iterated);
  expect(ann.user).toBe('ann');
  expect(ann.limits).toMatchObject({ limit: 20 });
  await ann.close();
  expect(ann.state).toMatchObject({ phase: 'ended', why: { code: 1000 } });
  await until('the slot to be free', async () => (await gateway.metric('lychgate_sessions')) === 0);
});

test('a new thread gets its name from the gateway, and a second reader the whole of it', async () => {
  const ann = client();
  const thread = ann.thread();
  const run = thread.run('one two three');
  await run.done;
  expect((await thread.opened).thread).toBe(thread.id);
  const late = thread[Symbol.asyncIterator]();
  const first = await late.next();
  expect(first.value).toMatchObject({ type: 'reset', messages: [{ role: 'user', content: 'one two three' }, {}] });
  await ann.close();
});
