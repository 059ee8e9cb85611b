// The line between browser and gateway, that a test can cut: what a browser's own "offline" does not do to a socket
// that is open.
//
//   browser --> 127.0.0.1:port, the page's origin --up--> gateway, wherever it listens now
//                                                 --cut--> reset, and nobody answers
//                                                 --silent--> bytes go nowhere, as in a tunnel

import { type Server, type Socket, connect, createServer } from 'node:net';

export class Line {
  #state: 'up' | 'cut' | 'silent' = 'up';
  readonly #pairs = new Set<[Socket, Socket]>();

  private constructor(
    private readonly server: Server,
    /** The gateway's port; a restarted one has another. */
    public target: number,
  ) {}

  static async open(): Promise<Line> {
    const server = createServer();
    const line = new Line(server, 0);
    server.on('connection', (near) => line.#join(near));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return line;
  }

  get port(): number {
    const address = this.server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the line is closed');
    return address.port;
  }

  /** Everything that is open breaks, and nothing new gets through. */
  cut(): void {
    this.#state = 'cut';
    this.#breakAll();
  }

  /** Everything stays open and no byte moves, in neither direction. */
  silence(): void {
    this.#state = 'silent';
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** As at first. What was cut stays cut; what was silent goes on. */
  restore(): void {
    this.#state = 'up';
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }

  #join(near: Socket): void {
    if (this.#state === 'cut') {
      near.resetAndDestroy();
      return;
    }
    const far = connect(this.target, '127.0.0.1');
    const pair: [Socket, Socket] = [near, far];
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const [from, to] of [pair, [far, near] as const]) {
      from.setNoDelay(true);
      from.on('data', (bytes) => to.write(bytes));
      from.on('end', () => to.end());
      from.on('error', end);
      from.on('close', end);
    }
    if (this.#state === 'silent') for (const socket of pair) socket.pause();
  }

  #breakAll(): void {
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    this.#pairs.clear();
  }
}
