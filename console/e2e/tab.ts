// A user's tab without a page: the real protocol over a real socket, answering as a page does, or not at all.

import { WebSocket } from 'ws';
import type { Gateway } from './gateway';

const WITHIN_MS = 15_000;

interface Frame {
  type: string;
  [field: string]: unknown;
}

/** Frames that are remembered. */
const MAX_FRAMES = 500;

export class Tab {
  readonly frames: Frame[] = [];
  closed: number | undefined;
  #waiting: (() => void)[] = [];
  #isSilent = false;

  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (bytes) => this.#heard(String(bytes)));
    socket.on('close', (code) => {
      this.closed = code;
      this.#changed();
    });
    // The close that follows says what there is to say.
    socket.on('error', () => undefined);
  }

  /** A tab that holds the session `user:thread`. */
  static async open(gateway: Gateway, user: string, thread: string): Promise<Tab> {
    const tab = await Tab.connect(gateway, user);
    await tab.hold(thread);
    return tab;
  }

  /** A tab with a connection and no session. */
  static async connect(gateway: Gateway, user: string): Promise<Tab> {
    const headers = { authorization: `Bearer ${gateway.token(user)}` };
    const tab = new Tab(new WebSocket(`ws://127.0.0.1:${gateway.listen}/v1/ws`, 'lychgate.v1', { headers }));
    await new Promise((resolve, reject) => tab.socket.once('open', resolve).once('error', reject));
    tab.say({ type: 'hello', heartbeat: 'app' });
    await tab.until((frame) => frame.type === 'hello');
    return tab;
  }

  /** Takes one more session, on the same connection. */
  async hold(thread: string): Promise<void> {
    this.say({ type: 'open', thread });
    await this.until((frame) => frame.type === 'opened' && frame['thread'] === thread);
  }

  /** Asks for an answer; resolves when it began. */
  async run(thread: string, run: string, text = 'hello'): Promise<void> {
    this.say({ type: 'run', thread, run, input: { messages: [{ id: `${run}-u`, role: 'user', content: text }] } });
    await this.until((frame) => frame.type === 'error' || (frame.type === 'event' && frame['thread'] === thread));
  }

  say(frame: Frame): void {
    this.socket.send(JSON.stringify(frame));
  }

  /** Answers nothing from now on, as a page in a tunnel. */
  silence(): void {
    this.#isSilent = true;
  }

  /** The first frame, of those that came or will come, that is like this. */
  async until(like: (frame: Frame) => boolean): Promise<Frame> {
    const deadline = Date.now() + WITHIN_MS;
    for (;;) {
      const found = this.frames.find(like);
      if (found) return found;
      if (this.closed !== undefined) throw new Error(`the tab was closed with ${this.closed} before the frame came`);
      await this.#change(deadline);
    }
  }

  /** The code that the gateway closed it with. */
  async ended(): Promise<number> {
    const deadline = Date.now() + WITHIN_MS;
    while (this.closed === undefined) await this.#change(deadline);
    return this.closed;
  }

  close(): void {
    this.socket.terminate();
  }

  #heard(text: string): void {
    // The gateway's own frames, held to their shape by its tests.
    const frame = JSON.parse(text) as Frame;
    if (frame.type === 'ping' && !this.#isSilent) this.say({ type: 'ack', at: {} });
    this.frames.push(frame);
    if (this.frames.length > MAX_FRAMES) this.frames.shift();
    this.#changed();
  }

  #changed(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  async #change(deadline: number): Promise<void> {
    let late: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      late = setTimeout(() => reject(new Error(`nothing came in ${WITHIN_MS} ms`)), deadline - Date.now());
      this.#waiting.push(resolve);
    }).finally(() => clearTimeout(late));
  }
}
