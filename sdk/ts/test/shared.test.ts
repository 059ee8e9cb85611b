// All tabs of an origin over one socket: what each of them is told, and what ends with which of them.

import { expect, onTestFinished, test, vi } from 'vitest';

import type { AguiEvent, ClientState, Thread, ThreadEvent } from '../src/index.js';
import type { SharedClient } from '../src/shared.js';
import { Gateway, type Sections, token, until } from './gateway.js';
import { Tabs } from './tabs.js';

async function setting(sections: Sections = {}) {
  const gateway = await Gateway.start(sections);
  const tabs = new Tabs();
  const clients: SharedClient[] = [];
  onTestFinished(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await gateway.stop();
  });
  const open = (user = 'ann') => {
    const tab = tabs.open({ url: gateway.url, token: () => token(user) });
    clients.push(tab.client);
    return tab;
  };
  return { gateway, tabs, open };
}

function record(thread: Thread) {
  const told: ThreadEvent[] = [];
  thread.on('event', (event) => told.push(event));
  const events = (): AguiEvent[] => told.flatMap((one) => (one.type === 'event' ? [one.event] : []));
  const text = () =>
    events()
      .map((event) => (event.type === 'TEXT_MESSAGE_CONTENT' ? String(event['delta']) : ''))
      .join('');
  const offsets = () => told.flatMap((one) => (one.type === 'event' ? [one.offset] : []));
  return { told, events, text, offsets };
}

const connections = (gateway: Gateway) => gateway.metric('lychgate_connections');
const sessions = (gateway: Gateway) => gateway.metric('lychgate_sessions');

test('thirty tabs on thirty threads hold one socket and at most twenty sessions, and each is woken by its use', async () => {
  const { gateway, open } = await setting();
  const tabs = Array.from({ length: 30 }, () => open());
  const threads = tabs.map(({ client }, index) => client.thread(`t${index}`));
  await until('twenty to be open', () => threads.filter(({ state }) => state.phase === 'open').length === 20);
  await until('ten to sleep', () => threads.filter(({ state }) => state.phase === 'asleep').length === 10);
  expect(await connections(gateway)).toBe(1);
  expect(await sessions(gateway)).toBe(20);
  expect(tabs.every(({ client }) => client.shared && client.state.phase === 'online')).toBe(true);
  const sleeper = threads.find(({ state }) => state.phase === 'asleep');
  const run = sleeper?.run('wake up');
  expect((await run?.done)?.outcome).toBe('finished');
  expect(sleeper?.state.phase).toBe('open');
  expect(await sessions(gateway)).toBe(20);
  expect(await connections(gateway)).toBe(1);
});

test('closed ends one thread and leaves the others streaming', async () => {
  const { open } = await setting({
    limits: { max_sessions_per_user: 2 },
    'agents.demo': { kind: 'demo', delay: '20ms' },
  });
  const [idle, busy, newcomer] = [open(), open(), open()];
  const sleeper = idle.client.thread('idle');
  await sleeper.opened;
  const streaming = busy.client.thread('busy');
  const told = record(streaming);
  const run = streaming.run('a long answer please, with some words in it');
  await run.accepted;
  await newcomer.client.thread('new').opened;
  await until('the idle one to sleep', () => sleeper.state.phase === 'asleep');
  expect(sleeper.state).toMatchObject({ why: { code: 4511, reason: 'evicted', next: 'on_demand' } });
  expect((await run.done).outcome).toBe('finished');
  expect(streaming.state.phase).toBe('open');
  expect(told.told.filter(({ type }) => type === 'reset')).toHaveLength(1);
});

test('a tab that joins in mid-answer gets all of it, and the others neither lose nor repeat anything', async () => {
  const { gateway, open } = await setting({ 'agents.demo': { kind: 'demo', delay: '20ms' } });
  const first = open();
  const thread = first.client.thread('t1');
  const mine = record(thread);
  const run = thread.run(Array.from({ length: 60 }, (_, index) => `w${index}`).join(' '));
  await run.accepted;
  const others: ReturnType<typeof record>[] = [];
  while (others.length < 12 && thread.inFlight === run.id) {
    const before = mine.told.length;
    const other = record(open().client.thread('t1'));
    others.push(other);
    await until('the next piece', () => mine.told.length > before || thread.inFlight === undefined);
    await until('the reset', () => other.told.length > 0);
  }
  expect(others.length).toBeGreaterThan(3);
  await run.done;
  const whole = mine.text();
  await until('all to have all of it', () => others.every((other) => other.text() === whole || ends(other.told)));
  expect(whole).toContain('came through well.');
  expect(new Set(mine.offsets()).size).toBe(mine.offsets().length);
  expect(mine.told.filter(({ type }) => type === 'reset')).toHaveLength(1);
  expect(await connections(gateway)).toBe(1);
  expect(await sessions(gateway)).toBe(1);
});

/** Told by a reset alone: it came after the end. */
function ends(told: ThreadEvent[]): boolean {
  return told.every((one) => one.type === 'reset' && one.messages.length === 2);
}

test('a tab that dies gives its thread back, unless another one shows it; a reload costs no slot', async () => {
  const { gateway, open } = await setting();
  const [one, two, keeper] = [open(), open(), open()];
  await Promise.all([
    one.client.thread('both').opened,
    two.client.thread('both').opened,
    keeper.client.thread('own').opened,
  ]);
  expect(await sessions(gateway)).toBe(2);
  one.die();
  const reloaded = open();
  await reloaded.client.thread('both').opened;
  expect(await gateway.metric('lychgate_sessions_ended_total{reason="left"}')).toBe(0);
  two.die();
  reloaded.die();
  await until('the slot to be given back', async () => (await sessions(gateway)) === 1);
  expect(await connections(gateway)).toBe(1);
  expect(keeper.client.thread('own').state.phase).toBe('open');
});

test('two users in two tabs never share a connection', async () => {
  const { gateway, open } = await setting();
  const [ann, bob] = [open('ann'), open('bob')];
  await Promise.all([ann.client.thread('t1').opened, bob.client.thread('t1').opened]);
  expect([ann.client.user, bob.client.user]).toEqual(['ann', 'bob']);
  expect(await connections(gateway)).toBe(2);
});

test('tabs whose users say who they are never meet, and one that is greeted as another one ends', async () => {
  const { gateway, tabs } = await setting();
  // One token for all, as one cookie is for all tabs: what tells the users apart is what the page says.
  let user = 'ann';
  const open = (who: string) => tabs.open({ url: gateway.url, token: () => token(user), who }).client;
  const [ann, sister] = [open('ann'), open('ann')];
  const thread = ann.thread('t1');
  await Promise.all([thread.run('for ann alone').done, sister.thread('t1').opened]);
  expect(await connections(gateway)).toBe(1);
  user = 'bob';
  const bob = open('bob');
  const told = record(bob.thread('t1')).told;
  await until('bob', () => told.length > 0);
  expect(bob.user).toBe('bob');
  expect(JSON.stringify(told)).not.toContain('for ann alone');
  const late = open('cara');
  const seen = record(late.thread('t1')).told;
  await until('the end', () => late.state.phase === 'ended');
  expect(late.state).toMatchObject({ why: { reason: 'user_changed', next: 'user_action' } });
  expect(late.user).toBeUndefined();
  expect(seen).toEqual([]);
  expect(ann.user).toBe('ann');
  await Promise.all([ann, sister, bob, late].map((client) => client.close()));
});

test('where the cookie is the proof and nobody says whose it is, tabs share nothing', async () => {
  const { gateway, tabs } = await setting();
  const clients = [tabs.open({ url: gateway.url }).client, tabs.open({ url: gateway.url, who: 'ann' }).client];
  await until('both to be answered', () => clients.every(({ state }) => state.phase !== 'connecting'));
  expect(clients.map(({ shared }) => shared)).toEqual([false, true]);
  await Promise.all(clients.map((client) => client.close()));
});

test('a token that is always the same and has expired asks for a login, and a newer page brings another one', async () => {
  const { gateway, tabs } = await setting();
  const open = (expiresIn: number) => tabs.open({ url: gateway.url, token: token('ann', { expiresIn }) }).client;
  const old = open(-600);
  await until('the end', () => old.state.phase === 'ended');
  expect(old.state).toMatchObject({ why: { code: 4004, next: 'login' } });
  const newer = open(600);
  expect((await newer.thread('t1').run('hello').done).outcome).toBe('finished');
  await until('the old one to come along', () => old.state.phase === 'online');
  expect([old.shared, newer.shared]).toEqual([true, true]);
  await Promise.all([old.close(), newer.close()]);
});

test('a tab whose token function fails at first says so, tries again, and shares the socket then', async () => {
  const { gateway, tabs, open } = await setting();
  await open().client.thread('t1').opened;
  let asked = 0;
  const { client } = tabs.open({
    url: gateway.url,
    token: () => {
      asked += 1;
      if (asked < 3) throw new Error('the login service is away');
      return token('ann');
    },
  });
  const errors: string[] = [];
  const seen: ClientState[] = [];
  client.on('error', ({ code, message }) => errors.push(`${code}: ${message}`));
  client.on('state', (state) => seen.push(state));
  await client.thread('t2').opened;
  expect(client.shared).toBe(true);
  expect(await connections(gateway)).toBe(1);
  expect(errors).toEqual(Array(2).fill('token: Error: the login service is away'));
  expect(seen.filter(({ phase }) => phase === 'waiting')).toMatchObject([
    { attempt: 1, why: { reason: 'token', next: 'retry' } },
    { attempt: 2, why: { reason: 'token', next: 'retry' } },
  ]);
  await client.close();
});

test('a token function that never answers is asked again, and a tab that closes waits for nobody', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const tabs = new Tabs();
  let asked = 0;
  const { client } = tabs.open({
    url: 'ws://127.0.0.1:9',
    token: () => {
      asked += 1;
      return new Promise<string>(() => {});
    },
  });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(client.state).toMatchObject({ phase: 'waiting', why: { reason: 'token' } });
  client.wake();
  await vi.advanceTimersByTimeAsync(0);
  expect(asked).toBe(2);
  expect(client.state).toMatchObject({ phase: 'connecting', attempt: 1 });
  await client.close();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(asked).toBe(2);
  expect(client.state.phase).toBe('ended');
});

test('a worker of another version, a broken one and none at all leave a tab with a socket of its own', async () => {
  const { gateway, tabs } = await setting();
  const { connectShared } = await import('../src/shared.js');
  const { default: WebSocket } = await import('ws');
  const base = { url: gateway.url, WebSocket, token: () => token('ann') };
  const refusing = () => {
    const { port1, port2 } = new MessageChannel();
    port2.onmessage = () => port2.postMessage({ type: 'refused', version: 0 });
    return { port: port1 };
  };
  const broken = () => {
    throw new Error('no SharedWorker here');
  };
  const clients = [
    connectShared({ ...base, locks: tabs.locks.of('a'), worker: refusing }),
    connectShared({ ...base, locks: tabs.locks.of('b'), worker: broken }),
    connectShared({ ...base, worker: broken }),
  ];
  for (const client of clients) {
    expect((await client.thread('t1').run('hello').done).outcome).toBe('finished');
    expect(client.shared).toBe(false);
    await client.close();
  }
});

test('a worker that dies is replaced, and every tab goes on where it was', async () => {
  const { gateway, tabs, open } = await setting({ 'agents.demo': { kind: 'demo', delay: '10ms' } });
  const [one, two] = [open(), open()];
  const thread = one.client.thread('t1');
  const told = record(thread);
  await two.client.thread('t2').opened;
  const run = thread.run('say a few words while the worker dies');
  await run.accepted;
  tabs.killWorker();
  expect((await run.done).outcome).toBe('finished');
  await until(
    'the text',
    () => told.text().includes('came through well.') || told.told.filter((one) => one.type === 'reset').length > 1,
  );
  expect([one.client.shared, two.client.shared]).toEqual([true, true]);
  await until('both to be open', () => two.client.thread('t2').state.phase === 'open');
  await until('the old socket to be gone', async () => (await connections(gateway)) <= 2);
});

test('a frozen tab is told no more than its window, holds nobody up, and is told anew when it thaws', async () => {
  const { gateway, tabs } = await setting({ 'agents.demo': { kind: 'demo', delay: '1ms' }, websocket: { window: 64 } });
  const [frozen, live] = [tabs.raw('frozen', gateway.url), tabs.raw('live', gateway.url)];
  const answer = async (tab: typeof frozen) => {
    const [asked] = tab.told.filter((one) => one.type === 'ask');
    if (asked) tab.say({ type: 'token', id: asked.id, token: token('ann') });
    return tab.told.some((one) => one.type === 'frame' && one.frame.type === 'hello');
  };
  await until('both to be online', async () => (await answer(frozen)) || (await answer(live)));
  const frames = (tab: typeof frozen, type: string) =>
    tab.told.flatMap((one) => (one.type === 'frame' && one.frame.type === type ? [one.frame] : []));
  for (const tab of [frozen, live]) tab.say({ type: 'frame', frame: { type: 'open', thread: 't1', ref: 'o1' } });
  await until('both to be open', () => [frozen, live].every((tab) => frames(tab, 'opened').length > 0));
  const words = Array.from({ length: 60 }, (_, index) => `w${index}`).join(' ');
  const offset = () => frames(live, 'event').reduce((last, frame) => ('offset' in frame ? frame.offset : last), 0);
  const acks = setInterval(() => live.say({ type: 'frame', frame: { type: 'ack', at: { t1: offset() } } }), 2);
  onTestFinished(() => clearInterval(acks));
  for (let run = 0; run < 12; run += 1) {
    const before = frames(live, 'event').length;
    const input = { messages: [{ id: `u${run}`, role: 'user', content: words }] };
    live.say({ type: 'frame', frame: { type: 'run', thread: 't1', run: `r${run}`, input } });
    await until('its end', () =>
      frames(live, 'event')
        .slice(before)
        .some((frame) => 'event' in frame && frame.event.type === 'RUN_FINISHED'),
    );
  }
  expect(frames(live, 'event').length).toBeGreaterThan(600);
  expect(frames(frozen, 'event').length).toBeLessThanOrEqual(512);
  expect(frames(live, 'opened')).toHaveLength(1);
  const last = frames(frozen, 'event').at(-1);
  frozen.say({ type: 'frame', frame: { type: 'ack', at: { t1: last && 'offset' in last ? last.offset : 0 } } });
  await until('the reset', () => frames(frozen, 'opened').length === 2);
  expect(frames(frozen, 'opened').at(-1)).toMatchObject({ reset: true, messages: { length: 24 } });
});

test('a tab that gives no token is passed over for the next one', async () => {
  const { gateway, tabs } = await setting();
  const [silent, able] = [tabs.raw('silent', gateway.url), tabs.raw('able', gateway.url)];
  silent.say({ type: 'seen', visible: true });
  const isOnline = () => able.told.some((one) => one.type === 'frame' && one.frame.type === 'hello');
  await until('the other one to be asked, and the connection', () => {
    const asked = able.told.find((one) => one.type === 'ask');
    if (asked?.type === 'ask') able.say({ type: 'token', id: asked.id, token: token('ann') });
    return isOnline();
  });
  expect(silent.told.some((one) => one.type === 'ask')).toBe(true);
});
