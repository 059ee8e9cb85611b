// Rules 4 to 6 under a network that breaks at any moment: what a cut reader has in the end is what an uncut one has.

import { expect, onTestFinished, test } from 'vitest';
import WebSocket from 'ws';

import { connect, type AguiEvent, type Client, type ThreadEvent } from '../src/index.js';
import { Gateway, token, until } from './gateway.js';
import { Proxy } from './proxy.js';

/** Repeats a failure: SEED=... npx vitest run test/cuts.test.ts */
const SEED = Number(process.env['SEED'] ?? 20_261);
const CUTS = Number(process.env['CUTS'] ?? 300);

/** mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The text of each message and the order of everything else: what does not depend on how pieces were joined. */
function essence(events: AguiEvent[]): string[] {
  const told: string[] = [];
  let text = '';
  for (const event of events) {
    if (event.type === 'TEXT_MESSAGE_CONTENT') {
      text += String(event['delta']);
      continue;
    }
    if (text !== '') told.push(text);
    text = '';
    told.push(`${event.type} ${String(event['messageId'] ?? event['runId'] ?? '')}`);
  }
  return told;
}

function recorder(client: Client, thread: string) {
  const events: AguiEvent[] = [];
  const offsets: number[] = [];
  const resets: ThreadEvent[] = [];
  client.thread(thread).on('event', (told) => {
    if (told.type === 'reset') return void resets.push(told);
    offsets.push(told.offset);
    events.push(told.event);
  });
  return { events, offsets, resets };
}

async function setting(sections = {}) {
  const gateway = await Gateway.start({ 'agents.demo': { kind: 'demo', delay: '3ms' }, ...sections });
  const proxy = await Proxy.start(gateway.port);
  const connected = (url: string) => connect({ url, WebSocket, token: () => token('ann') });
  const clients = { cut: connected(proxy.url), whole: connected(gateway.url) };
  onTestFinished(async () => {
    await Promise.all(Object.values(clients).map((client) => client.close()));
    await proxy.stop();
    await gateway.stop();
  });
  return { gateway, proxy, ...clients };
}

test(`after ${CUTS} cuts at any moment every event was told once and in order, and every run has ended (seed ${SEED})`, async () => {
  const { proxy, cut, whole } = await setting();
  const random = randomOf(SEED);
  const [broken, uncut] = [recorder(cut, 't1'), recorder(whole, 't1')];
  let isDone = false;
  const asking = (async () => {
    const ends: string[] = [];
    while (!isDone) {
      const run = cut.thread('t1').run('please say something that takes a little while to be said');
      ends.push((await run.done).outcome);
    }
    return ends;
  })();
  for (let cuts = 0; cuts < CUTS; ) {
    await new Promise((next) => setTimeout(next, random() * 25));
    if (proxy.open === 0) {
      cut.wake();
      continue;
    }
    proxy.cut();
    cuts += 1;
  }
  isDone = true;
  const ends = await asking;
  await until('both readers to be at the end', () => broken.offsets.at(-1) === uncut.offsets.at(-1));
  expect(ends.length).toBeGreaterThan(0);
  expect(new Set(ends)).toEqual(new Set(['finished']));
  expect(broken.offsets).toEqual([...broken.offsets].sort((one, two) => one - two));
  expect(new Set(broken.offsets).size).toBe(broken.offsets.length);
  expect(essence(broken.events)).toEqual(essence(uncut.events));
  expect([broken.resets.length, uncut.resets.length]).toEqual([1, 1]);
}, 120_000);

test('a gateway that is killed and comes back with its journal goes on where it was, and the run has a clear end', async () => {
  const { gateway, cut } = await setting({ 'agents.demo': { kind: 'demo', delay: '30ms' } });
  const told = recorder(cut, 't1');
  const run = cut.thread('t1').run('say many words so that there is time to kill you in the middle of all of them');
  await until('the answer to begin', () => told.events.length > 6);
  await gateway.kill();
  await until('the loss to be noticed', () => cut.state.phase !== 'online');
  await gateway.restart();
  expect(await run.done).toMatchObject({ outcome: 'error', code: 'gateway_restarted' });
  const again = cut.thread('t1').run('and now');
  expect((await again.done).outcome).toBe('finished');
  expect(new Set(told.offsets).size).toBe(told.offsets.length);
  expect(told.offsets).toEqual([...told.offsets].sort((one, two) => one - two));
  expect(told.resets).toHaveLength(1);
  const fresh = connect({ url: gateway.url, WebSocket, token: token('ann') });
  onTestFinished(() => fresh.close());
  const reset = await new Promise<ThreadEvent>((first) => fresh.thread('t1').on('event', first));
  const users = reset.type === 'reset' ? reset.messages.filter(({ role }) => role === 'user') : [];
  expect(users).toHaveLength(2);
}, 60_000);
