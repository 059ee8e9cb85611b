// Rules 1, 3, 8 and 10 to 12: identity, takeover, heartbeat, notices, closes and coming back.

import { expect, test } from 'vitest';

import { Gateway, token, until } from './gateway.js';
import { Recorded, setting } from './setting.js';
import { aPage } from './window.js';

const sent = (type: string) => Recorded.sent.filter((frame) => frame['type'] === type);

test('rule 1: a token is fetched before each connect and stands in a subprotocol, never in the address or in hello', async () => {
  const { client, proxy } = await setting();
  const asked: string[] = [];
  const ann = client({
    token: (why) => {
      asked.push(why);
      return token('ann');
    },
  });
  await until('online', () => ann.state.phase === 'online');
  proxy.cut();
  await until('the loss', () => ann.state.phase !== 'online');
  await until('online again', () => ann.state.phase === 'online');
  expect(asked).toEqual(Recorded.protocols.map(() => 'connect'));
  expect(asked.length).toBeGreaterThan(1);
  for (const protocols of Recorded.protocols) {
    expect(protocols).toEqual(['lychgate.v1', expect.stringMatching(/^lychgate\.bearer\.ey/)]);
  }
  expect(sent('hello').every((hello) => !('token' in hello))).toBe(true);
});

test('rule 1: a token that is too long for a header is brought in hello', async () => {
  const { client } = await setting();
  const ann = client({ token: () => token('ann', { plan: 'p'.repeat(5_000) }) });
  await until('online', () => ann.state.phase === 'online');
  expect(Recorded.protocols[0]).toEqual(['lychgate.v1']);
  expect(sent('hello')[0]).toHaveProperty('token');
});

test('rule 1: a token is refreshed before it expires, on the same socket', async () => {
  const { client, gateway } = await setting({
    'auth.jwt': { secret: 'a secret for the tests of the client alone', leeway: '0s' },
  });
  const asked: string[] = [];
  const expiring: number[] = [];
  const ann = client({
    token: (why) => {
      asked.push(why);
      return token('ann', { expiresIn: why === 'connect' ? 3 : 600 });
    },
  });
  ann.on('notice', (notice) => notice.code === 'expiring' && expiring.push(notice.expires_in));
  const states: string[] = [];
  ann.on('state', ({ phase }) => states.push(phase));
  await until('the refresh', () => asked.includes('refresh'));
  await until('the second hello', () => sent('hello').length === 2);
  await ann.thread('t1').run('still here').done;
  expect(expiring).toHaveLength(1);
  expect(asked).toEqual(['connect', 'refresh']);
  expect(states).toEqual(['online']);
  expect(await gateway.metric('lychgate_connections')).toBe(1);
});

test('rule 1: a token function that throws is a state with a reason, and is asked again', async () => {
  const { client, states } = await setting();
  let asked = 0;
  const ann = client({
    token: () => {
      asked += 1;
      if (asked < 3) throw new Error('the login service is away');
      return token('ann');
    },
  });
  const seen = states(ann);
  const errors: string[] = [];
  ann.on('error', ({ code, message }) => errors.push(`${code}: ${message}`));
  await until('online', () => ann.state.phase === 'online');
  expect(errors).toEqual(Array(2).fill('token: Error: the login service is away'));
  expect(seen.filter(({ phase }) => phase === 'waiting')).toMatchObject([
    { why: { reason: 'token' } },
    { why: { reason: 'token' } },
  ]);
});

test('rule 1: an expired token (4004) is replaced by another one; a fixed one asks for a login', async () => {
  const { client } = await setting();
  let asked = 0;
  const ann = client({ token: () => token('ann', { expiresIn: asked++ === 0 ? -600 : 600 }) });
  await until('online', () => ann.state.phase === 'online');
  expect(asked).toBe(2);
  const fixed = client({ token: token('ann', { expiresIn: -600 }) });
  await until('the end', () => fixed.state.phase === 'ended');
  expect(fixed.state).toMatchObject({ why: { code: 4004, next: 'login' } });
});

test('rule 1: a token that proves nothing ends with a login, and nothing is tried again', async () => {
  const { client, proxy } = await setting();
  const ann = client({ token: () => 'not.a.token' });
  await until('the end', () => ann.state.phase === 'ended');
  expect(ann.state).toMatchObject({ why: { code: 4501, reason: 'unauthorized', next: 'login' } });
  await expect(
    ann
      .thread('t1')
      .run('hello')
      .accepted.then(
        () => 'accepted',
        () => 'open',
      ),
  ).not.toBe('accepted');
  expect(proxy.taken).toBe(1);
}, 20_000);

test('rule 11: who is logged out ends with a login', async () => {
  const { client, operate } = await setting();
  const ann = client();
  await ann.thread('t1').opened;
  await operate('DELETE', '/v1/admin/users/ann/sessions');
  await until('the end', () => ann.state.phase === 'ended');
  expect(ann.state).toMatchObject({ why: { code: 4513, next: 'login' } });
});

test('rule 3 and R5: a reload takes over without a second slot, and the old page never comes back', async () => {
  const page = aPage();
  const { client, gateway, states } = await setting({ limits: { max_sessions_per_user: 1 } });
  const old = client();
  await old.thread('t1').opened;
  expect(Object.keys(page.stored)).toHaveLength(0);
  page.fire('pagehide', { persisted: false });
  expect(Object.keys(page.stored)).toHaveLength(1);
  const seen = states(old);
  const reloaded = client();
  expect(Object.keys(page.stored)).toHaveLength(0);
  await reloaded.thread('t1').opened;
  await until('the old one to be superseded', () => old.state.phase === 'ended');
  expect(old.state).toMatchObject({ why: { code: 4510, next: 'nothing' } });
  expect(await gateway.metric('lychgate_sessions')).toBe(1);
  expect(await gateway.metric('lychgate_lockouts_prevented_total')).toBe(0);
  for (const event of ['pointerdown', 'online']) page.fire(event);
  old.wake();
  await reloaded.thread('t1').run('hello').done;
  expect(seen.map(({ phase }) => phase)).toEqual(['ended']);
  expect(await gateway.metric('lychgate_connections')).toBe(1);
});

test('rule 3: a cloned tab finds nothing to take, and a page that is shown again keeps its id for itself', async () => {
  const page = aPage();
  const { client, gateway } = await setting();
  const original = client();
  await until('online', () => original.state.phase === 'online');
  const clone = client();
  await until('online', () => clone.state.phase === 'online');
  expect(original.state.phase).toBe('online');
  expect(await gateway.metric('lychgate_connections')).toBe(2);
  page.fire('pagehide', { persisted: true });
  expect(Object.keys(page.stored)).toHaveLength(1);
  page.fire('pageshow', { persisted: true });
  expect(Object.keys(page.stored)).toHaveLength(0);
});

test('rule 8: pings are answered with the offsets taken and whether the page is seen', async () => {
  const page = aPage();
  const { client } = await setting({ liveness: { ping_interval: '300ms', ping_answer: '200ms' } });
  const ann = client();
  await ann.thread('t1').opened;
  await until('an answer', () => sent('ack').some((ack) => ack['visible'] === true));
  page.see('hidden');
  await until('another one', () => sent('ack').at(-1)?.['visible'] === false);
  const before = sent('ack').length;
  await until('more of them', () => sent('ack').length > before + 3);
  expect(ann.state.phase).toBe('online');
});

test('rule 8: a connection that went silent is replaced after ping + 10 s, and the thread goes on', async () => {
  const { client, proxy } = await setting({
    liveness: { ping_interval: '300ms', ping_answer: '200ms', missed_pings: 100 },
  });
  const ann = client();
  const thread = ann.thread('t1');
  await thread.opened;
  const began = Date.now();
  proxy.silence();
  await until('the verdict', () => ann.state.phase !== 'online', 20_000);
  expect(Date.now() - began).toBeGreaterThan(9_500);
  await until('online', () => ann.state.phase === 'online');
  expect((await thread.run('hello').done).outcome).toBe('finished');
}, 40_000);

test('rule 10: told to move, it goes to the new node with what it has open', async () => {
  const { client, gateway, proxy, states } = await setting({ server: { drain_timeout: '8s', environment: 'test' } });
  const other = await Gateway.start();
  try {
    const ann = client();
    await ann.thread('t1').opened;
    const seen = states(ann);
    proxy.retarget(other.port);
    const drained = gateway.drain();
    await until('the move', async () => (await other.metric('lychgate_connections')) === 1);
    expect((await ann.thread('t1').run('hello').done).outcome).toBe('finished');
    await drained;
    expect(seen.map(({ phase }) => phase)).not.toContain('ended');
    expect(ann.state.phase).toBe('online');
    await ann.close();
  } finally {
    await other.stop();
  }
}, 40_000);

test('rule 12: refused before it is a connection looks like a loss: it backs off, says when, and comes back', async () => {
  const page = aPage();
  const { client, proxy, states } = await setting();
  proxy.refuse();
  const ann = client();
  const seen = states(ann);
  await until('three attempts', () => proxy.taken >= 3);
  expect(seen.filter(({ phase }) => phase === 'waiting')[0]).toMatchObject({
    why: { code: 1006, next: 'retry' },
    attempt: 1,
  });
  page.network('offline');
  await until(
    'it says that the device is offline',
    () => ann.state.phase === 'waiting' && ann.state.why.reason === 'offline',
  );
  proxy.accept();
  page.network('online');
  await until('online', () => ann.state.phase === 'online', 3_000);
});

test('rule 12: an evicted connection sleeps until somebody uses the page', async () => {
  const page = aPage();
  const { client, states } = await setting({ limits: { max_connections_per_user: 1, max_connections_per_session: 1 } });
  const old = client();
  await until('online', () => old.state.phase === 'online');
  const seen = states(old);
  const newer = client();
  await until('sleep', () => old.state.phase === 'asleep');
  expect(old.state).toMatchObject({ why: { code: 4511, next: 'on_demand' } });
  await newer.close();
  expect(seen.map(({ phase }) => phase)).toEqual(['asleep']);
  page.fire('keydown');
  await until('it to wake', () => old.state.phase === 'online');
});

test('another user in the same browser gets nothing of what the first one wrote', async () => {
  const { client, proxy, gateway } = await setting();
  let user = 'ann';
  const tab = client({ token: () => token(user) });
  await tab.thread('t1').opened;
  user = 'bob';
  proxy.refuse();
  proxy.cut();
  const run = tab.thread('t1').run('for ann alone');
  proxy.accept();
  expect(await run.done).toMatchObject({ outcome: 'error', code: 'closed' });
  expect(tab.state).toMatchObject({ phase: 'ended', why: { reason: 'user_changed', next: 'user_action' } });
  tab.wake();
  await until('bob to be there', () => tab.user === 'bob' && tab.state.phase === 'online');
  expect(await gateway.metric('lychgate_run_seconds_count{outcome="finished"}')).toBe(0);
});
