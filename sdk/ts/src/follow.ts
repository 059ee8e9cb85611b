// What the integrations share: one listener per thread, however many hooks, agents and transports show it.
//
//   thread --event--> Follower: folds the view --> hooks draw it
//                         '-----> reading.ts: one run --> an agent's observable, a transport's stream

import { LychgateError } from './errors.js';
import { type View, emptyView, fold } from './messages.js';
import type { Client, CloseWhy, Thread, ThreadEvent } from './types.js';
import type { Message } from './wire.js';

/** Who is told what a thread tells. */
export type Listener = (told: ThreadEvent) => void;

const followers = new WeakMap<Thread, Follower>();

/** A thread and what it amounts to so far. Lives as long as the thread. */
export class Follower {
  readonly thread: Thread;
  readonly #client: Client;
  #view: View = emptyView;
  #isKept = false;
  readonly #listeners = new Set<Listener>();

  private constructor(client: Client, thread: Thread) {
    this.#client = client;
    this.thread = thread;
    thread.on('event', (told) => {
      this.#view = fold(this.#view, told);
      for (const listener of [...this.#listeners]) listener(told);
    });
  }

  /** Opens the thread `id` where it is not open; the follower of a thread is always the same one. */
  static of(client: Client, id: string): Follower {
    const thread = client.thread(id);
    const known = followers.get(thread);
    if (known) return known;
    const follower = new Follower(client, thread);
    followers.set(thread, follower);
    return follower;
  }

  /** Whether what is said now reaches the gateway, as far as is known. */
  get isReachable(): boolean {
    return this.#client.state.phase === 'online' && this.thread.state.phase === 'open';
  }

  /** Whether an agent or a transport uses the thread: it is not over when no component shows it. */
  get isKept(): boolean {
    return this.#isKept;
  }

  keep(): void {
    this.#isKept = true;
  }

  /** The view so far; a new object whenever it changed. */
  get view(): View {
    return this.#view;
  }

  /** Tells when neither the connection nor the thread will come back by itself. Returns how to stop that. */
  onEnd(listener: (why: CloseWhy) => void): () => void {
    const offClient = this.#client.on('state', (state) => {
      if (state.phase === 'ended') listener(state.why);
    });
    const offThread = this.thread.on('state', (state) => {
      if (state.phase === 'closed') listener(state.why);
    });
    const { state } = this.#client;
    if (state.phase === 'ended') queueMicrotask(() => listener(state.why));
    return () => (offClient(), offThread());
  }

  /**
   * Fulfilled when the thread is open.
   * @throws LychgateError where neither it nor the connection will come back by itself
   */
  whenOpen(): Promise<void> {
    return new Promise((resolve, reject) => {
      const off = this.onEnd((why) => reject(overError(why)));
      this.thread.opened.then(() => resolve(), reject).finally(off);
    });
  }

  /** Tells what comes from now on, after the view has it. Returns how to stop that. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Of the messages, those that the gateway does not have: it keeps the conversation, and what it has would only fill
   * the frame. Where its history is longer than what it told, what stands before the first known message is known too.
   */
  unknown(messages: readonly Message[]): Message[] {
    const { view } = this;
    const results = view.messages.flatMap(({ parts }) =>
      parts.flatMap((part) => (part.type === 'tool' && part.result !== undefined ? [part.id] : [])),
    );
    const ids = new Set(view.messages.map(({ id }) => id));
    const answered = new Set<unknown>(results);
    const isKnown = (message: Message) =>
      ids.has(message.id) || (message.role === 'tool' && answered.has(message.toolCallId));
    const first = view.more ? Math.max(0, messages.findIndex(isKnown)) : 0;
    return messages.slice(first).filter((message) => !isKnown(message));
  }
}

/** The end of a connection or a thread, as what a promise of ours is rejected with. */
export function overError({ reason, message = `The connection is over: ${reason}.` }: CloseWhy): LychgateError {
  return new LychgateError(reason, message);
}
