// What the client promises to those who use it. Behaviour stands in connection.ts, thread.ts and run.ts.

import type {
  AguiEvent,
  Client as ClientFrame,
  Limits,
  Message,
  Notice,
  Opened,
  RunInput,
  Server,
} from './wire.js';

/** Why a connection or a conversation ended, and what that means for coming back. */
export interface CloseWhy {
  /** WebSocket close code; 1006 where the connection broke, or was refused before it was one. */
  code: number;
  /**
   * One word: that of the gateway (docs/protocol.md, rule 11), or of ours: `lost`, `offline`, `silent`, `timeout`, `token`
   * (no token), `socket` (the browser forbids it), `user_changed`.
   */
  reason: string;
  /** What helps: waiting (it comes back by itself), using the page, logging in, pressing something that calls `wake`, or nothing. */
  next: 'retry' | 'on_demand' | 'login' | 'user_action' | 'nothing';
  /** Milliseconds that the gateway asked to wait. */
  retryIn?: number | undefined;
  /** For people. */
  message?: string | undefined;
}

export type ClientState =
  | { phase: 'connecting'; attempt: number }
  | { phase: 'online' }
  /** Backing off. `retryAt`: ms since 1970. `why.reason` is `offline` while the device says that it has no network. */
  | { phase: 'waiting'; retryAt: number; attempt: number; why: CloseWhy }
  /** Made room for another tab; comes back as soon as this page is used. */
  | { phase: 'asleep'; why: CloseWhy }
  /** Never comes back by itself. */
  | { phase: 'ended'; why: CloseWhy };

export type ThreadState =
  | { phase: 'opening' }
  /** Waits for a slot: `position` 1 is next. `deadline`: milliseconds, from then on, until it is served at the latest. */
  | { phase: 'queued'; position: number; deadline: number }
  | { phase: 'open' }
  /** Made room for another one; comes back with `wake()`, the next `run`, or, if it was wanted last, any input. */
  | { phase: 'asleep'; why: CloseWhy }
  | { phase: 'closed'; why: CloseWhy };

/** Where a reader of a thread stands: the last event that was taken, in which incarnation of the log. */
export interface Position {
  after: number;
  epoch: string;
}

export type ThreadEvent =
  /** Replace what you have. `run` is the one in flight: its events follow, from RUN_STARTED on. */
  | { type: 'reset'; messages: Message[]; state?: unknown; more: boolean; run?: string | undefined }
  | { type: 'event'; offset: number; event: AguiEvent };

export type ErrorFrame = Extract<Server, { type: 'error' }>;

/** A frame that we say: what is undefined is left out of it. */
export type Said = Loose<ClientFrame>;
type Loose<T> = T extends unknown ? { [K in keyof T]: object extends Pick<T, K> ? T[K] | undefined : T[K] } : never;

export interface ClientEvents {
  state: ClientState;
  limits: Limits;
  notice: Notice;
  /** What the gateway refused; what a token function failed with (`code: 'token'`), or dialling (`code: 'socket'`). */
  error: ErrorFrame;
}

export interface ThreadEvents {
  event: ThreadEvent;
  state: ThreadState;
  error: ErrorFrame;
  /** A run of the thread waits for those before it, at this position: 1 is next. Told again when that changes. */
  queued: { run: string; position: number };
}

export type RunEnd =
  /** `interrupted`: the agent waits for answers to `interrupts`, as `resume` of the next run's input. */
  | { outcome: 'finished' | 'cancelled' | 'interrupted'; result?: unknown; interrupts?: unknown }
  | { outcome: 'error'; code?: string | undefined; message: string; retryIn?: number | undefined };

/** One answer. What it says, the thread tells to its readers. */
export interface Run {
  /** Its idempotency key. */
  readonly id: string;
  /** Fulfilled by RUN_STARTED; rejected with a {@link LychgateError} where it was refused, or stopped before that. */
  readonly accepted: Promise<void>;
  /**
   * How it ended. Never rejected: a refusal is an outcome `error`, and so is the end of the thread or the client
   * (`closed`), whatever becomes of the answer. `finished` without a result may be all that is known of a run that was
   * over when nobody listened.
   */
  readonly done: Promise<RunEnd>;
  /** Asks the agent to stop, again after every reconnect; the end is `cancelled`. What was never sent ends at once. */
  stop(): void;
}

export interface RunOptions {
  /** The idempotency key; a random UUID where it is not given. */
  id?: string | undefined;
  /** Which agent answers; the gateway's default where it is not given. */
  agent?: string | undefined;
}

/**
 * One conversation, open for as long as nobody calls `leave`.
 *
 * Every reader (an iterator, or a listener of `event`) begins with a reset, unless the thread was opened with `resume`
 * and has told nothing yet. A reader that is 1,024 events behind gets a reset in place of them.
 * An iterator begins with its first `next()`; a `return()` while `next()` waits is answered by the next event.
 */
export interface Thread extends AsyncIterable<ThreadEvent> {
  /** Undefined until the gateway named a new one. */
  readonly id: string | undefined;
  /** It stays `open` while the client is on its way back: whether anything is heard, `client.state` says. */
  readonly state: ThreadState;
  /** The run in flight. */
  readonly inFlight: string | undefined;
  readonly position: Position | undefined;
  /** The first answer of the gateway; rejected with a {@link LychgateError} where the thread closed for good before. */
  readonly opened: Promise<Opened>;
  on<K extends keyof ThreadEvents>(type: K, listener: (event: ThreadEvents[K]) => void): () => void;
  /**
   * Asks for an answer; text is one message of the user. Sent again after every reconnect until it was accepted. Wakes
   * a thread that is asleep. What is larger than `maxMessageBytes` is refused at once, as an error `too_large` of the run.
   * @throws LychgateError `closed` on a thread that was left, `busy` with 64 runs that have not ended.
   */
  run(input: string | RunInput, options?: RunOptions): Run;
  /** Stops that run, or the one in flight, or the next one that waits. */
  stop(run?: string): void;
  /** Comes back from `asleep`, and from `closed` where a person may. */
  wake(): void;
  /** Asks for all of the thread anew: a reset follows. */
  resync(): void;
  /** Gives the slot back. The same id opens a new Thread from then on. */
  leave(): void;
}

export interface Client {
  readonly state: ClientState;
  /** Whom the gateway takes us for; undefined until it said so. */
  readonly user: string | undefined;
  readonly limits: Limits | undefined;
  /**
   * Opens a conversation, a new one without an id. The same id gives the same Thread. `resume` goes on where another
   * client of this conversation stood, without a reset if the gateway still can.
   */
  thread(id?: string, options?: { resume?: Position }): Thread;
  on<K extends keyof ClientEvents>(type: K, listener: (event: ClientEvents[K]) => void): () => void;
  /** What a person does: comes back now where coming back is on demand or on user action, and retries at once. */
  wake(): void;
  /** Says goodbye: the slots are free. Nothing comes back after it. Fulfilled when the socket is gone, in 2 s at most. */
  close(): Promise<void>;
}

/** Where the id of a connection waits for the reload of its page. */
export interface PrevStore {
  /** What was written, once: a second call finds nothing. */
  take(): string | undefined;
  write(connection: string): void;
}

/** What is needed of a WebSocket. */
export interface WebSocketLike {
  send(text: string): void;
  close(code?: number): void;
  addEventListener(type: 'open', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void;
  addEventListener(type: 'error', listener: () => void): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

export type TokenSource = string | ((why: 'connect' | 'refresh') => string | Promise<string>);

export interface ConnectOptions {
  /** ws, wss, http or https; path `/` becomes `/v1/ws`. In a page: its own origin. No credential may stand in it. */
  url?: string | URL;
  /** A function is asked before each connect and before the token expires. Without any: the login's cookie. */
  token?: TokenSource;
  /**
   * The user as the gateway names him, such as `user` of GET /v1/me. Where it takes us for another one the client ends
   * with `user_changed`, before anything is shown or sent.
   */
  who?: string;
  /** Bytes of a run at most: `websocket.max_message_bytes` of the gateway, 262,144 by default on both sides. */
  maxMessageBytes?: number;
  /** How this tab names itself in the operators' view. */
  client?: string;
  /** Where the connection's id waits for a reload: sessionStorage in a page; null for nowhere. */
  prev?: PrevStore | null;
  /** Node 20 has none: pass that of the npm package `ws`. */
  WebSocket?: WebSocketConstructor;
}
