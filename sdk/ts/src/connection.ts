// The connection: comes up, comes back, moves, rests, ends. The one place that decides about sockets.
//
//                 .---------- back-off ----------- waiting <--.
//                 v                                   ^        | close: resume
//   start --> connecting --hello--> online -----------+--------'
//                 ^                   |  notice reconnect, network back: a second line, the first goes when it greets
//                 '--input, wake-- asleep (4511)      '--> ended (never): wake() alone, where a person may
//
import { alarm } from './alarm.js';
import { backoff, STABLE_MS } from './backoff.js';
import { lost, over } from './closing.js';
import { type Frame, type Hello, Line, type LineOwner } from './line.js';
import type { Page, Signal } from './page.js';
import { askToken, lacking } from './token.js';
import type { ClientState, CloseWhy, PrevStore, Said, TokenSource, WebSocketConstructor } from './types.js';

/** However often somebody asks, no two dials are closer than this. */
const DIAL_GAP_MS = 1_000;
/** Tabs that all hear of one cause, such as the network coming back, spread over so long. */
const SPREAD_MS = 1_000;

/** Whom a carrier tells. */
export interface Passenger {
  onState(state: ClientState): void;
  /** Nothing of what was said before is known there: all that is wanted has to be said again. */
  onReady(): void;
  onFrame(frame: Frame): void;
}

/** What carries frames: a socket of our own, or that of a shared worker. */
export interface Carrier {
  readonly state: ClientState;
  /** Whether what is said now is heard. */
  readonly isReady: boolean;
  /** Said now, or not at all: what matters is said again after `onReady`. */
  send(frame: Said): void;
  /** What a person does: come back now, wherever that is possible. */
  wake(): void;
  /** What the page notices: come back where that is due on demand, or sooner. */
  onPage(signal: Signal): void;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  url: string;
  WebSocket: WebSocketConstructor;
  token?: TokenSource;
  client?: string;
  /** Null and undefined: nowhere. */
  prev?: PrevStore | null;
  page: Page;
  who?: string;
}

export class Connection implements Carrier, LineOwner {
  state: ClientState = { phase: 'connecting', attempt: 0 };
  readonly #options: ConnectionOptions;
  readonly #passenger: Passenger;
  /** Failed attempts since a connection last held: n of rule 12. */
  #attempt = 0;
  /** The one that greeted last, and the one that is to replace it. */
  #line: Line | undefined;
  #next: Line | undefined;
  #dialledAt = 0;
  #prev: string | undefined;
  #user: string | undefined;
  readonly #retry = alarm();
  #greetedAt = 0;
  /** The one that was in use at the last dial: that told the gateway whom it replaces. */
  #replaced: Line | undefined;

  constructor(options: ConnectionOptions, passenger: Passenger) {
    this.#options = options;
    this.#passenger = passenger;
    this.#prev = options.prev?.take();
    this.#dial();
  }

  get isReady(): boolean {
    return !!this.#line;
  }

  send(frame: Said): void {
    this.#line?.send(frame);
  }

  wake(): void {
    const { state } = this;
    if (state.phase === 'ended' ? state.why.next !== 'nothing' : !this.#line && !this.#next) this.#dial();
  }

  onPage(signal: Signal): void {
    const { state } = this;
    const { prev, page } = this.#options;
    switch (signal) {
      case 'pagehide':
        if (this.#prev) prev?.write(this.#prev);
        return;
      case 'pageshow':
        // It lives on, so nobody else may find its id. Browsers close sockets of pages that they keep aside.
        prev?.take();
        return this.#nudge(0);
      case 'offline':
        if (state.phase === 'waiting') this.#set({ ...state, why: this.#named(state.why) });
        return;
      case 'visibilitychange':
        if (page.visible) this.#nudge(0);
        return;
      case 'online': {
        const spread = Math.random() * SPREAD_MS;
        // The network changed: the old socket may be dead without knowing it. The new one takes over if it comes up.
        return this.#line ? this.#later(spread) : this.#nudge(spread);
      }
      case 'pointerdown':
      case 'keydown':
        if (state.phase === 'asleep') this.#nudge(0);
    }
  }

  async close(): Promise<void> {
    const line = this.#line;
    this.#end(over('done'));
    await line?.closed();
  }

  #onHello(line: Line, hello: Hello): void {
    // Its sessions have moved. On another node they have not: there the goodbye frees them.
    this.#line?.drop(1000);
    this.#line = line;
    this.#next = undefined;
    this.#retry();
    const { who = hello.user } = this.#options;
    const isStranger = hello.user !== (this.#user ?? who);
    this.#user = who;
    this.#prev = hello.connection;
    // The login changed hands: what one user wrote must not be sent as another one's.
    if (isStranger) return this.#end(over('user_changed', 'user_action'));
    this.#greetedAt = performance.now();
    this.#set({ phase: 'online' });
    this.#passenger.onFrame(hello);
    this.#passenger.onReady();
  }

  onFrame(line: Line, frame: Frame): void {
    if (line === this.#next && frame.type === 'hello') return this.#onHello(line, frame);
    // Before its hello a line can only be refused; whoever waits for it is told why.
    if (line !== this.#line && frame.type !== 'error') return;
    if (frame.type === 'notice') {
      if (frame.code === 'reconnect') this.#later(frame.retry_in);
      if (frame.code === 'expiring') this.#bringToken(line);
    }
    this.#passenger.onFrame(frame);
  }

  onEnd(line: Line, why: CloseWhy): void {
    if (line === this.#next) {
      this.#next = undefined;
      // While the one in use lives, a failed move is tried again behind its back.
      if (this.#line && why.next !== 'retry') return;
    } else {
      this.#line = undefined;
      if (performance.now() - this.#greetedAt >= STABLE_MS) this.#attempt = 0;
      // The new line took the old one over, and that was heard before its own hello: nobody is superseded (R5).
      if (this.#next) return this.#set({ phase: 'connecting', attempt: this.#attempt });
      // It took the old one over and died before it heard of that.
      if (line === this.#replaced && why.code === 4510) why = lost('lost');
    }
    // A token that is always the same does not become a good one by waiting.
    const isSpent = why.code === 4004 && typeof this.#options.token === 'string';
    if (isSpent) this.#end({ ...why, next: 'login' });
    else if (why.next === 'retry') this.#wait(backoff(this.#attempt++, Math.random(), why.retryIn), why);
    else if (why.next === 'on_demand') this.#set({ phase: 'asleep', why });
    else this.#end(why);
  }

  /** Comes back where that is due on demand, or sooner; what the gateway asked for is not undercut. */
  #nudge(spread: number): void {
    const { state } = this;
    const ms = Math.max(spread, this.#dialledAt + DIAL_GAP_MS - performance.now());
    if (state.phase === 'asleep') this.#later(ms);
    if (state.phase === 'waiting' && !state.why.retryIn && Date.now() + ms < state.retryAt) this.#wait(ms, state.why);
  }

  #wait(ms: number, why: CloseWhy): void {
    this.#later(ms);
    if (this.#line) return;
    this.#set({ phase: 'waiting', retryAt: Date.now() + ms, attempt: this.#attempt, why: this.#named(why) });
  }

  #later(ms: number): void {
    this.#retry(ms, () => this.#dial());
  }

  /** A loss without a word from the gateway, on a device that says it has no network, is told as such. */
  #named(why: CloseWhy): CloseWhy {
    return why.code === 1006 && this.#options.page.offline ? { ...why, reason: 'offline' } : why;
  }

  #dial(): void {
    const { client } = this.#options;
    this.#dialledAt = performance.now();
    this.#replaced = this.#line;
    this.#retry();
    this.#next?.drop(4000);
    const hello = {
      sdk: 'ts/0.1.0',
      heartbeat: 'app',
      client,
      prev: this.#prev,
    };
    this.#next = new Line({ ...this.#options, hello }, this);
    if (!this.#line) this.#set({ phase: 'connecting', attempt: this.#attempt });
  }

  /** Another token on the same socket, before the one it came with ends. Without one the next connect asks again. */
  #bringToken(line: Line): void {
    const source = this.#options.token;
    if (typeof source !== 'function') return;
    askToken(source, 'refresh').then(
      (token) => line.send({ type: 'hello', token }),
      (error: unknown) => this.#passenger.onFrame(lacking('token', error)),
    );
  }

  #end(why: CloseWhy): void {
    this.#retry();
    this.#next?.drop(1000);
    this.#line?.drop(1000);
    this.#next = this.#line = this.#prev = undefined;
    this.#set({ phase: 'ended', why });
  }

  #set(state: ClientState): void {
    this.state = state;
    this.#passenger.onState(state);
  }
}
