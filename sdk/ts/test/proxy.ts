/**
 * A network between client and gateway that a test can break: TCP, byte by byte.
 *
 * ```text
 * client --> Proxy --> gateway        cut: both sides reset     blackhole: nothing more comes through, nothing ends
 * ```
 */

import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net';

export class Proxy {
  readonly #server: Server;
  readonly #pairs = new Set<{ near: Socket; far: Socket }>();
  /** Connections that were taken so far. */
  taken = 0;
  #isRefusing = false;
  #isBlack = false;
  #target: number;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((near) => this.#take(near));
  }

  /** In front of a port of this machine. */
  static async start(target: number): Promise<Proxy> {
    const proxy = new Proxy(target);
    await new Promise<void>((listening) => proxy.#server.listen(0, '127.0.0.1', listening));
    return proxy;
  }

  get url(): string {
    // The server listens on a port, so its address is one of these.
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1/ws`;
  }

  get open(): number {
    return this.#pairs.size;
  }

  /** From now on connections lead there. */
  retarget(target: number): void {
    this.#target = target;
  }

  /** Resets every connection, as a tunnel does that ends. */
  cut(): void {
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    this.#pairs.clear();
  }

  /** Connections that exist go silent both ways without an end; new ones work. */
  silence(): void {
    for (const { near, far } of this.#pairs) {
      for (const socket of [near, far]) socket.removeAllListeners('data').pause();
    }
  }

  /** New connections are reset at once, until `accept`. */
  refuse(): void {
    this.#isRefusing = true;
  }

  /** New connections get no answer at all, until `accept`. */
  swallow(): void {
    this.#isBlack = true;
  }

  accept(): void {
    this.#isRefusing = false;
    this.#isBlack = false;
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((closed) => this.#server.close(closed));
  }

  #take(near: Socket): void {
    this.taken += 1;
    near.on('error', () => {});
    if (this.#isRefusing) return void near.resetAndDestroy();
    const far = this.#isBlack ? near : dial(this.#target, '127.0.0.1');
    const pair = { near, far };
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    near.on('close', end);
    if (far === near) return;
    near.on('data', (bytes) => void far.write(bytes));
    far.on('data', (bytes) => void near.write(bytes));
    far.on('error', () => {});
    far.on('close', end);
  }
}
