import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { closing } from '../live/closing';
import { LiveSocket, SUBPROTOCOL } from '../live/socket';
import { linkSentence, type Link } from '../live/words';

const HELLO = JSON.stringify({ type: 'hello', every: 2_000, history: [] });

/** Node 20 has none of its own. This one is as a browser's, once an error that nobody listens to is no exception. */
class AsInBrowsers extends WebSocket {
  constructor(url: string, protocols: string[]) {
    super(url, protocols);
    this.on('error', () => undefined);
  }
}

describe('the live connection', () => {
  let server: WebSocketServer;
  let live: LiveSocket | undefined;
  let links: Link[];
  /** Codes that consoles closed with. */
  let closes: number[];

  beforeEach(async () => {
    vi.stubGlobal('WebSocket', AsInBrowsers);
    links = [];
    // Its own in every test: what an earlier one leaves behind closes late.
    const seen: number[] = [];
    closes = seen;
    server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => SUBPROTOCOL });
    await new Promise((resolve) => server.once('listening', resolve));
    server.on('connection', (socket) => socket.on('close', (code) => seen.push(code)));
  });

  afterEach(async () => {
    live?.close();
    for (const client of server.clients) client.terminate();
    await new Promise((resolve) => server.close(resolve));
    vi.unstubAllGlobals();
  });

  function connect(): LiveSocket {
    // `listening` was told: there is an address of TCP.
    const { port } = server.address() as AddressInfo;
    live = new LiveSocket({
      url: `ws://127.0.0.1:${port}`,
      key: undefined,
      onFrame: () => undefined,
      onLink: (link) => links.push(link),
    });
    return live;
  }

  const phase = () => links.at(-1)?.phase;

  it('asks once more after its token was over, and a second time never', async () => {
    let asked = 0;
    server.on('connection', (socket) => {
      asked += 1;
      socket.close(4004, '{"reason":"token_expired","retry_in":0}');
    });
    connect();
    await vi.waitFor(() => expect(phase()).toBe('refused'));
    expect(asked).toBe(2);
  });

  it('asks again where a hello lay between two tokens that were over', async () => {
    let asked = 0;
    server.on('connection', (socket) => {
      asked += 1;
      socket.send(HELLO);
      socket.close(4004, '{"retry_in":0}');
    });
    connect();
    await vi.waitFor(() => expect(asked).toBeGreaterThan(4));
    expect(links.some(({ phase: each }) => each === 'refused')).toBe(false);
  });

  it('lets its place go when it rests, says so, and comes back when it is woken', async () => {
    server.on('connection', (socket) => socket.send(HELLO));
    const socket = connect();
    await vi.waitFor(() => expect(phase()).toBe('live'));
    socket.rest();
    expect(phase()).toBe('resting');
    await vi.waitFor(() => expect(closes).toEqual([1000]));
    socket.rest();
    expect(links.filter(({ phase: each }) => each === 'resting').length).toBe(1);
    socket.wake();
    expect(phase()).toBe('connecting');
    await vi.waitFor(() => expect(phase()).toBe('live'));
    expect(server.clients.size).toBe(1);
  });

  it('that was refused stays refused however long nobody looks', async () => {
    server.on('connection', (socket) => socket.close(4501));
    const socket = connect();
    await vi.waitFor(() => expect(phase()).toBe('refused'));
    socket.rest();
    socket.wake();
    expect(phase()).toBe('refused');
  });
});

describe('a close', () => {
  const why = (code: number, reason = '') => {
    const end = closing(code, reason, undefined);
    return end.then === 'refused' ? 'refused' : end.why;
  };

  it('says what it was', () => {
    expect([4000, 4001, 4002, 4003, 4004, 4005, 1006].map((code) => why(code))).toEqual([
      'the node asked this page to come again',
      'the node is being drained',
      'this page was too slow',
      'this page did not answer in time',
      'the token that let you in is over',
      'this page did not say in time who it is',
      'the node cannot be reached',
    ]);
    expect(why(1012, '{"reason":"draining"}')).toBe('the node is being drained');
  });

  it('of a key or a login that counts no more is final, and so is one of no understanding', () => {
    expect([4501, 4503, 4513].map((code) => why(code))).toEqual(['refused', 'refused', 'refused']);
    expect(closing(4506, '', undefined).then).toBe('over');
    expect(closing(4506, 'not JSON', undefined).then).toBe('over');
  });

  it('tells a page that nobody looked at that it left its place', () => {
    const since = new Date(2026, 10, 21, 14, 3, 7).getTime();
    expect(linkSentence({ phase: 'resting', since }, since)).toMatch(/^Not live since 14:03:07: nobody looked/);
  });
});
