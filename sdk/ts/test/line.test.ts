// Rule 8 and R12 under a clock that the test moves: what late timers, sleeping machines and short-lived sockets mean.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Connection, type ConnectionOptions } from '../src/connection.js';
import type { Frame } from '../src/line.js';
import type { Page } from '../src/page.js';
import type { ClientState, WebSocketLike } from '../src/types.js';

const PAGE: Page = { visible: true, offline: false, listen: () => () => {} };
const PING = 20_000;

/** A socket whose other end is the test. */
class Wire implements WebSocketLike {
  static all: Wire[] = [];
  readonly sent: Record<string, unknown>[] = [];
  closed: number | undefined;
  readonly #listeners = new Map<string, (event: never) => void>();

  constructor() {
    Wire.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(code?: number): void {
    this.closed ??= code;
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners.set(type, listener);
  }

  fire(type: string, event: object = {}): void {
    // Each type has the event that its listener takes.
    this.#listeners.get(type)?.(event as never);
  }

  say(frame: object): void {
    this.fire('message', { data: JSON.stringify(frame) });
  }

  greet(connection: string): void {
    this.fire('open');
    this.say({ type: 'hello', connection, user: 'ann', ping: PING, window: 512, limits: {} });
  }
}

function dialled(): Wire {
  const last = Wire.all.at(-1);
  if (!last) throw new Error('Nothing was dialled.');
  return last;
}

function carried(options: Partial<ConnectionOptions> = {}) {
  const states: ClientState[] = [];
  const frames: Frame[] = [];
  const prev = { take: () => undefined, write: () => {} };
  const connection = new Connection(
    { url: 'ws://h/v1/ws', WebSocket: Wire, page: PAGE, prev, ...options },
    { onState: (state) => states.push(state), onReady: () => {}, onFrame: (frame) => frames.push(frame) },
  );
  return { connection, states, frames };
}

beforeEach(() => {
  Wire.all = [];
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(1);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test('rule 8: silence of ping + 10 s is a loss, any frame before that is life', async () => {
  const { connection } = carried();
  await vi.advanceTimersByTimeAsync(0);
  dialled().greet('c1');
  await vi.advanceTimersByTimeAsync(PING + 9_000);
  dialled().say({ type: 'from_the_future' });
  await vi.advanceTimersByTimeAsync(PING + 9_000);
  expect(connection.state.phase).toBe('online');
  await vi.advanceTimersByTimeAsync(1_000);
  expect(connection.state).toMatchObject({ phase: 'waiting', why: { code: 1006, reason: 'silent' } });
});

test('rule 8: a machine that slept reads what waits for it before it believes in silence', async () => {
  const { connection } = carried();
  await vi.advanceTimersByTimeAsync(0);
  dialled().greet('c1');
  // The clock goes on while no timer runs; then the timer comes, late.
  await vi.advanceTimersByTimeAsync(PING);
  vi.setSystemTime(Date.now() + 3_600_000);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(connection.state.phase).toBe('online');
  dialled().say({ type: 'ping' });
  await vi.advanceTimersByTimeAsync(PING + 9_000);
  expect(connection.state.phase).toBe('online');
  expect(Wire.all).toHaveLength(1);
});

test('rule 8: a machine that slept through its connection comes back within seconds', async () => {
  const { connection } = carried();
  await vi.advanceTimersByTimeAsync(0);
  dialled().greet('c1');
  await vi.advanceTimersByTimeAsync(PING);
  vi.setSystemTime(Date.now() + 3_600_000);
  await vi.advanceTimersByTimeAsync(10_000 + 3_000 + 250);
  expect(connection.state.phase).toBe('connecting');
  dialled().greet('c2');
  expect(dialled().sent[0]).toMatchObject({ type: 'hello', prev: 'c1', heartbeat: 'app' });
  expect(connection.state.phase).toBe('online');
});

test('R12: n rises while hello does not hold for 5 s, and begins anew once it did', async () => {
  const { states } = carried();
  const waits = () => states.flatMap((state) => (state.phase === 'waiting' ? [state.retryAt] : []));
  const began: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    await vi.advanceTimersByTimeAsync(round === 0 ? 0 : 250 * 2 ** (round - 1));
    dialled().greet(`c${round}`);
    await vi.advanceTimersByTimeAsync(4_900);
    began.push(Date.now());
    dialled().fire('close', { code: 1006, reason: '' });
  }
  expect(waits().map((at, index) => at - (began[index] ?? 0))).toEqual([250, 500, 1_000, 2_000]);
  await vi.advanceTimersByTimeAsync(2_000);
  dialled().greet('c9');
  await vi.advanceTimersByTimeAsync(5_000);
  const held = Date.now();
  dialled().fire('close', { code: 1006, reason: '' });
  expect((waits().at(-1) ?? 0) - held).toBe(250);
});

test('R5: what an old socket says late is nobody’s business, and 4510 while moving is no end', async () => {
  const { connection, states } = carried();
  await vi.advanceTimersByTimeAsync(0);
  const old = dialled();
  old.greet('c1');
  old.say({ type: 'notice', code: 'reconnect', why: 'draining', retry_in: 100, deadline: 9_000 });
  await vi.advanceTimersByTimeAsync(100);
  const next = dialled();
  expect(next).not.toBe(old);
  expect(old.closed).toBeUndefined();
  // The gateway has read the hello of the new one, and says so on the old one first.
  next.fire('open');
  old.fire('close', { code: 4510, reason: '{"reason":"superseded","reconnect":false}' });
  expect(connection.state.phase).toBe('connecting');
  next.greet('c2');
  old.say({ type: 'ping' });
  old.fire('close', { code: 4510, reason: '' });
  expect(connection.state.phase).toBe('online');
  expect(states.map(({ phase }) => phase)).not.toContain('ended');
  next.fire('close', { code: 4510, reason: '' });
  expect(connection.state.phase).toBe('ended');
  connection.onPage('keydown');
  connection.wake();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(Wire.all).toHaveLength(2);
});

test('rule 10: told to move, it makes the new connection before it lets go of the old one, and is online all the while', async () => {
  const { states } = carried();
  await vi.advanceTimersByTimeAsync(0);
  const old = dialled();
  old.greet('c1');
  old.say({ type: 'notice', code: 'reconnect', why: 'draining', retry_in: 700, deadline: 9_000 });
  await vi.advanceTimersByTimeAsync(699);
  expect(Wire.all).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  // The first try fails, and is made again behind the back of the one in use.
  dialled().fire('close', { code: 1006, reason: '' });
  await vi.advanceTimersByTimeAsync(250);
  const next = dialled();
  expect(Wire.all).toHaveLength(3);
  expect(old.closed).toBeUndefined();
  next.greet('c2');
  expect(next.sent[0]).toMatchObject({ type: 'hello', prev: 'c1' });
  expect(old.closed).toBe(1000);
  expect(states.map(({ phase }) => phase)).toEqual(['connecting', 'online', 'online']);
});

test('a dial without an answer ends after 10 s', async () => {
  const { connection } = carried();
  await vi.advanceTimersByTimeAsync(9_900);
  expect(connection.state.phase).toBe('connecting');
  await vi.advanceTimersByTimeAsync(100);
  expect(connection.state).toMatchObject({ phase: 'waiting', why: { reason: 'timeout' } });
});

test('however often the page is looked at, no two dials are closer than a second', async () => {
  const { connection } = carried();
  for (let attempt = 0; attempt < 8; attempt += 1) {
    await vi.advanceTimersByTimeAsync(20_000);
    dialled().fire('close', { code: 1006, reason: '' });
  }
  const before = Wire.all.length;
  for (let ms = 0; ms < 5_000; ms += 50) {
    connection.onPage('visibilitychange');
    await vi.advanceTimersByTimeAsync(50);
    dialled().fire('close', { code: 1006, reason: '' });
  }
  const dials = Wire.all.length - before;
  expect(dials).toBeGreaterThanOrEqual(4);
  expect(dials).toBeLessThanOrEqual(5);
});

test('what the gateway asked to wait is not undercut by the network or the page, only by a person', async () => {
  const { connection } = carried();
  await vi.advanceTimersByTimeAsync(0);
  dialled().greet('c1');
  dialled().fire('close', { code: 4006, reason: '{"reason":"overload","reconnect":true,"retry_in":8000}' });
  connection.onPage('online');
  connection.onPage('visibilitychange');
  connection.onPage('keydown');
  await vi.advanceTimersByTimeAsync(7_900);
  expect(Wire.all).toHaveLength(1);
  connection.wake();
  await vi.advanceTimersByTimeAsync(0);
  expect(Wire.all).toHaveLength(2);
});

test('R5: taken over by a line of our own that died before it knew, it comes back', async () => {
  const { connection, states } = carried();
  await vi.advanceTimersByTimeAsync(0);
  const old = dialled();
  old.greet('c1');
  connection.onPage('online');
  await vi.advanceTimersByTimeAsync(1_000);
  const next = dialled();
  expect(next).not.toBe(old);
  next.fire('open');
  expect(next.sent[0]).toMatchObject({ type: 'hello', prev: 'c1' });
  next.fire('close', { code: 1006, reason: '' });
  old.fire('close', { code: 4510, reason: '{"reason":"superseded","reconnect":false}' });
  expect(connection.state).toMatchObject({ phase: 'waiting', why: { next: 'retry' } });
  await vi.advanceTimersByTimeAsync(500);
  dialled().greet('c3');
  expect(connection.state.phase).toBe('online');
  expect(states.map(({ phase }) => phase)).not.toContain('ended');
  // What comes later is somebody else's.
  dialled().fire('close', { code: 4510, reason: '' });
  expect(connection.state.phase).toBe('ended');
});

test('a clock that is set back keeps nobody asleep, and no loss from being a new one', async () => {
  const { connection, states } = carried();
  await vi.advanceTimersByTimeAsync(0);
  dialled().fire('close', { code: 1006, reason: '' });
  await vi.advanceTimersByTimeAsync(250);
  dialled().greet('c1');
  vi.setSystemTime(Date.now() - 3_600_000);
  await vi.advanceTimersByTimeAsync(6_000);
  dialled().fire('close', { code: 1006, reason: '' });
  expect(states.at(-1)).toMatchObject({ phase: 'waiting', attempt: 1 });
  await vi.advanceTimersByTimeAsync(250);
  dialled().greet('c2');
  dialled().fire('close', { code: 4511, reason: '{"reason":"evicted","reconnect":false}' });
  vi.setSystemTime(Date.now() - 3_600_000);
  connection.onPage('keydown');
  await vi.advanceTimersByTimeAsync(1_000);
  expect(connection.state.phase).toBe('connecting');
});

test('a page that may not dial is told that, and not that its token is at fault', async () => {
  class Forbidden extends Wire {
    constructor() {
      super();
      throw new DOMException('An insecure address from a secure page.', 'SecurityError');
    }
  }
  const { states, frames } = carried({ WebSocket: Forbidden });
  await vi.advanceTimersByTimeAsync(0);
  expect(states.at(-1)).toMatchObject({ phase: 'waiting', why: { reason: 'socket' } });
  expect(frames).toMatchObject([{ type: 'error', code: 'socket', message: expect.stringContaining('insecure') }]);
});

test('where another user is greeted than the page says, it ends before anything is told', async () => {
  const { connection, states, frames } = carried({ who: 'bob' });
  await vi.advanceTimersByTimeAsync(0);
  dialled().greet('c1');
  expect(states.at(-1)).toMatchObject({ phase: 'ended', why: { reason: 'user_changed', next: 'user_action' } });
  expect(frames).toEqual([]);
  // And again, as long as that is so.
  connection.wake();
  await vi.advanceTimersByTimeAsync(0);
  dialled().greet('c2');
  expect(connection.state.phase).toBe('ended');
});
