/**
 * What most tests begin with: a gateway, a network that can break, and clients that are closed at the end.
 */

import { createHash } from 'node:crypto';

import { onTestFinished } from 'vitest';
import WebSocket from 'ws';

import { type Client, type ClientState, connect, type ConnectOptions } from '../src/index.js';
import { Gateway, type Sections, token } from './gateway.js';
import { Proxy } from './proxy.js';

const OPERATOR = 'lychgate_a-key-for-the-tests-of-the-client-alone-0';

/** A WebSocket that keeps what went through it. */
export class Recorded extends WebSocket {
  static sent: Record<string, unknown>[] = [];
  static received: Record<string, unknown>[] = [];
  static protocols: string[][] = [];

  static forget(): void {
    Recorded.sent = [];
    Recorded.received = [];
    Recorded.protocols = [];
  }

  constructor(url: string, protocols: string[]) {
    super(url, protocols);
    Recorded.protocols.push(protocols);
    this.on('message', (text) => Recorded.received.push(JSON.parse(String(text))));
  }

  // `ws` has three shapes of it; the client uses this one.
  override send(text: unknown): void {
    Recorded.sent.push(JSON.parse(String(text)));
    super.send(String(text));
  }
}

export interface Setting {
  gateway: Gateway;
  proxy: Proxy;
  /** Through the proxy, as "ann", recorded. */
  client(options?: ConnectOptions): Client;
  /** The states that a client has been in, from now on. */
  states(client: Client): ClientState[];
  /** Asks the operators' routes; fails unless the answer is a good one. */
  operate(method: string, path: string, body?: unknown): Promise<void>;
}

export async function setting(sections: Sections = {}): Promise<Setting> {
  const hash = `sha256:${createHash('sha256').update(OPERATOR).digest('hex')}`;
  const gateway = await Gateway.start({ 'admin.keys.ops': { hash, role: 'write' }, ...sections });
  const proxy = await Proxy.start(gateway.port);
  const clients: Client[] = [];
  Recorded.forget();
  onTestFinished(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await proxy.stop();
    await gateway.stop();
  });
  return {
    gateway,
    proxy,
    client(options = {}) {
      const client = connect({ url: proxy.url, WebSocket: Recorded, token: () => token('ann'), ...options });
      clients.push(client);
      return client;
    },
    states(client) {
      const states: ClientState[] = [];
      client.on('state', (state) => states.push(state));
      return states;
    },
    async operate(method, path, body) {
      const headers = { authorization: `Bearer ${OPERATOR}`, 'content-type': 'application/json' };
      const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
      const answer = await fetch(`${gateway.admin}${path}`, init);
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    },
  };
}
