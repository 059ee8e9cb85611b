/**
 * Tabs of one origin, in one process: each its own client, all of them in front of one switchboard, as in a
 * SharedWorker. Node 20 has MessageChannel, but neither SharedWorker nor Web Locks; the real ones are tried in a browser
 * by the tests of the chat page.
 */

import { MessageChannel } from 'node:worker_threads';

import WebSocket from 'ws';

import { type Locks, type Port, type ToTab, type ToWorker, VERSION } from '../src/port.js';
import { connectShared, type SharedClient, type SharedOptions } from '../src/shared.js';
import { Switchboard } from '../src/switchboard.js';

/** Exclusive locks by name, in order of asking; what a holder holds is free when it dies. */
export class LockTable {
  readonly #queues = new Map<string, { holder: string; granted: () => Promise<unknown> | void; free: () => void }[]>();

  /** The locks as `holder` sees them. */
  of(holder: string): Locks {
    return {
      request: (name, granted) =>
        new Promise((free) => {
          const queue = this.#queues.get(name) ?? [];
          this.#queues.set(name, queue);
          queue.push({ holder, granted, free: () => free(undefined) });
          if (queue.length === 1) this.#grant(name);
        }),
    };
  }

  /** The holder's page or worker is gone. */
  die(holder: string): void {
    for (const [name, queue] of this.#queues) {
      const [first] = queue;
      const rest = queue.filter((one) => one.holder !== holder);
      this.#queues.set(name, rest);
      if (first && first.holder === holder) this.#grant(name);
    }
  }

  #grant(name: string): void {
    const [first] = this.#queues.get(name) ?? [];
    if (!first) return;
    void Promise.resolve(first.granted()).then(() => {
      const queue = this.#queues.get(name);
      if (queue?.[0] !== first) return;
      queue.shift();
      first.free();
      this.#grant(name);
    });
  }
}

export class Tabs {
  readonly locks = new LockTable();
  #workers = 0;
  #board = this.#newWorker();
  #ports: Port[] = [];
  #opened = 0;

  #newWorker(): Switchboard {
    this.#workers += 1;
    return new Switchboard({ WebSocket, locks: this.locks.of(`worker ${this.#workers}`) });
  }

  /** Opens one; `die` ends it without a word, as a crash or a closed window does. */
  open(options: Omit<SharedOptions, 'worker' | 'locks'>): { client: SharedClient; die: () => void } {
    const name = `tab ${++this.#opened}`;
    const client = connectShared({
      WebSocket,
      ...options,
      locks: this.locks.of(name),
      worker: () => {
        const { port1, port2 } = new MessageChannel();
        const [near, far] = [port1, port2] as unknown as [Port, Port];
        this.#board.connect(far);
        this.#ports.push(near, far);
        return { port: near };
      },
    });
    return { client, die: () => this.locks.die(name) };
  }

  /** A tab by hand: what it is told is collected, and it says what a test has it say. */
  raw(name: string, url: string): { told: ToTab[]; say: (message: ToWorker) => void } {
    const { port1, port2 } = new MessageChannel();
    const [near, far] = [port1, port2] as unknown as [Port, Port];
    const told: ToTab[] = [];
    near.addEventListener('message', ({ data }) => void told.push(data as ToTab));
    near.start();
    this.#board.connect(far);
    this.#ports.push(near, far);
    const lock = `lychgate.tab ${name}`;
    void this.locks.of(name).request(lock, () => new Promise(() => {}));
    near.postMessage({ type: 'attach', version: VERSION, url, key: 'ann', lock, asks: true });
    return { told, say: (message) => near.postMessage(message) };
  }

  /** The worker ends without a word; a new one takes its place. */
  killWorker(): void {
    for (const port of this.#ports) port.close();
    this.#ports = [];
    const dead = `worker ${this.#workers}`;
    this.#board = this.#newWorker();
    this.locks.die(dead);
  }
}
