// One WebSocket, from asking for a token to its end. What is dropped never speaks again: late callbacks of an old socket
// must not touch what a newer one does (R5), and nobody waits for a dead peer to close (R4).
//
//   token --> dial --open--> we say hello --hello--> greeted --frames--> ended
//     '--fails  '--10 s------------'                  '--silence of ping + 10 s--> ended
//
import { alarm } from './alarm.js';
import { closeWhy, lost, parsed } from './closing.js';
import { placed } from './target.js';
import { askToken, lacking } from './token.js';
import type { CloseWhy, Said, TokenSource, WebSocketConstructor, WebSocketLike } from './types.js';
import type { EventFrame, Server } from './wire.js';

/** A token function that never answers must not keep the tab from ever trying again. */
const TOKEN_MS = 30_000;
/** From dialling to `hello`: a network that swallows packets answers no dial for minutes. */
const HELLO_MS = 10_000;
/** Beyond the announced ping, before silence is a verdict (rule 8). */
const SILENCE_MS = 10_000;
/** A timer that comes so late was held back, with the whole page or the whole machine. */
const LATE_MS = 2_000;
/** What then waits in the page's queue gets so long to be read before silence is believed. */
const AWAKE_MS = 3_000;
/** A goodbye that nobody answers is over after so long. */
const GOODBYE_MS = 2_000;

/** What the gateway says. */
export type Frame = Server | EventFrame;
export type Hello = Extract<Server, { type: 'hello' }>;

export interface LineOwner {
  /** The first frame is `hello`, but for errors that come before it. */
  onFrame(line: Line, frame: Frame): void;
  onEnd(line: Line, why: CloseWhy): void;
}

export interface Dial {
  WebSocket: WebSocketConstructor;
  url: string;
  token?: TokenSource;
  hello: Omit<Extract<Said, { type: 'hello' }>, 'type' | 'token'>;
}

export class Line {
  #owner: LineOwner | undefined;
  #socket: WebSocketLike | undefined;
  readonly #timer = alarm();
  #heardAt = 0;
  #silence = 0;
  #gone: Promise<void> | undefined;

  /** Dials at once. Every outcome comes by `owner`, never before the constructor has returned. */
  constructor(dial: Dial, owner: LineOwner) {
    this.#owner = owner;
    void this.#dial(dial);
  }

  send(frame: Said): void {
    // One that is closing takes it and drops it: what matters is said again on the next one.
    if (this.#owner) this.#socket?.send(JSON.stringify(frame));
  }

  /** Lets go of it. 1000 says goodbye for good, so that its sessions end; 4000 leaves them to the next connection. */
  drop(code: 1000 | 4000): void {
    this.#owner = undefined;
    this.#timer();
    this.#socket?.close(code);
  }

  /** Fulfilled when the dropped socket is closed, or nobody can tell any more. */
  closed(): Promise<unknown> {
    return Promise.race([this.#gone, new Promise<void>((late) => this.#timer(GOODBYE_MS, late))]);
  }

  async #dial({ url, WebSocket, token, hello }: Dial): Promise<void> {
    let lacks = 'token';
    try {
      this.#within(TOKEN_MS, lacks);
      const { protocols, inHello } = placed(await askToken(token, 'connect'));
      if (!this.#owner) return;
      this.#within(HELLO_MS, 'timeout');
      // A page may be forbidden to dial: such as http addresses from https.
      lacks = 'socket';
      const socket = new WebSocket(url, protocols);
      this.#socket = socket;
      socket.addEventListener('open', () => this.send({ type: 'hello', ...hello, token: inHello }));
      socket.addEventListener('message', ({ data }) => this.#onMessage(data));
      this.#gone = new Promise((gone) => {
        socket.addEventListener('close', ({ code, reason }) => {
          gone();
          this.#end(closeWhy(code, reason));
        });
      });
      // A close follows with all that can be known; without a listener Node would take it for an uncaught error.
      socket.addEventListener('error', () => {});
    } catch (error) {
      this.#owner?.onFrame(this, lacking(lacks, error));
      this.#end(lost(lacks));
    }
  }

  #within(ms: number, reason: string): void {
    this.#timer(ms, () => this.#end(lost(reason)));
  }

  #onMessage(data: unknown): void {
    const owner = this.#owner;
    if (!owner) return;
    // The gateway is trusted with the shape of what has a type; golden frames hold both sides to it.
    const frame = parsed(data) as Frame;
    this.#heardAt = Date.now();
    if (frame.type === 'hello') {
      this.#silence = frame.ping + SILENCE_MS;
      this.#watch(this.#silence);
    }
    owner.onFrame(this, frame);
  }

  /** Looks again after `ms`. What counts is when a frame last came, not how many timers ran: hidden tabs have few. */
  #watch(ms: number): void {
    const due = Date.now() + ms;
    this.#timer(ms, () => {
      const now = Date.now();
      const left = this.#silence - Math.max(0, now - this.#heardAt);
      if (left > 0) this.#watch(left);
      else if (now - due > LATE_MS) this.#watch(AWAKE_MS);
      else this.#end(lost('silent'));
    });
  }

  #end(why: CloseWhy): void {
    const owner = this.#owner;
    this.drop(4000);
    owner?.onEnd(this, why);
  }
}
