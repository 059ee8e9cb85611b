// React hooks: a thread and a connection as values that draw themselves again. React 18 and later.
//
//   useThread --subscribe--> client.thread(id) --> Follower: view --+
//                            thread.on('state' | 'error') ----------+--> snapshot --> useSyncExternalStore
//
// Nothing is opened while rendering: React renders twice, ahead of time, and for nothing.

import { useMemo, useSyncExternalStore } from 'react';
import { Follower } from './follow.js';
import { type View, emptyView } from './messages.js';
import type { Client, ClientState, Run, RunOptions, Thread, ThreadState } from './types.js';
import type { Limits, RunInput } from './wire.js';

/** How long a thread that no component shows any more stays open: StrictMode and routers mount anew at once. */
const LINGER_MS = 1_000;

/** A thread as a component shows it. */
export interface ThreadHandle {
  readonly view: View;
  readonly state: ThreadState;
  /** In the queue for a slot, 1 is next; undefined where the thread does not wait. */
  readonly position: number | undefined;
  /** What the gateway refused last. Gone with the next `send`. */
  readonly error: ThreadProblem | undefined;
  /** Asks for an answer; text is one message of the user. The view shows it when the gateway has accepted it. */
  send(input: string | RunInput, options?: RunOptions): Run;
  /** Stops the run in flight. */
  stop(): void;
  /** Comes back from `asleep`: to be called for what a person does. */
  wake(): void;
}

/** A refusal: a word of docs/protocol.md, rule 13, a sentence, and when to come back (ms). */
export interface ThreadProblem {
  readonly code: string;
  readonly message: string;
  readonly retryIn?: number;
}

/** A connection as a component shows it. */
export interface ConnectionHandle {
  readonly state: ClientState;
  readonly user: string | undefined;
  readonly limits: Limits | undefined;
  /** Comes back now. */
  wake(): void;
}

/**
 * Shows the thread `id`: opens it with the first component that does, and leaves it, so that its slot is free, a second
 * after the last one is gone. A run goes on without; a thread that an agent or a transport of this package uses stays.
 * Another `id` or `client` shows the other one from then on.
 */
export function useThread(client: Client, id: string): ThreadHandle {
  const store = useMemo(() => new ThreadStore(client, id), [client, id]);
  const shown = useSyncExternalStore(store.subscribe, store.snapshot, store.snapshot);
  return useMemo(() => ({ ...shown, send: store.send, stop: store.stop, wake: store.wake }), [shown, store]);
}

/** Shows how the connection is, and how much of the user's limit is taken. */
export function useConnection(client: Client): ConnectionHandle {
  const store = useMemo(() => connectionStore(client), [client]);
  const state = useSyncExternalStore(store.onState, store.state, store.state);
  const limits = useSyncExternalStore(store.onLimits, store.limits, store.limits);
  return useMemo(() => ({ state, user: client.user, limits, wake: () => client.wake() }), [client, state, limits]);
}

function connectionStore(client: Client) {
  return {
    onState: (changed: () => void) => client.on('state', changed),
    state: () => client.state,
    onLimits: (changed: () => void) => client.on('limits', changed),
    limits: () => client.limits,
  };
}

type Shown = Pick<ThreadHandle, 'view' | 'state' | 'position' | 'error'>;

const NOTHING_YET: Shown = { view: emptyView, state: { phase: 'opening' }, position: undefined, error: undefined };

class ThreadStore {
  readonly #client: Client;
  readonly #id: string;
  readonly #changed = new Set<() => void>();
  #shown = NOTHING_YET;
  #thread: Thread | undefined;
  #release: (() => void) | undefined;

  constructor(client: Client, id: string) {
    this.#client = client;
    this.#id = id;
  }

  readonly snapshot = (): Shown => this.#shown;

  readonly subscribe = (changed: () => void): (() => void) => {
    this.#changed.add(changed);
    this.#release ??= this.#attach();
    return () => {
      this.#changed.delete(changed);
      if (this.#changed.size > 0) return;
      this.#release?.();
      this.#release = undefined;
    };
  };

  readonly send = (input: string | RunInput, options?: RunOptions): Run => {
    this.#show({ error: undefined });
    return this.#attached().run(input, options);
  };

  readonly stop = (): void => this.#attached().stop();

  readonly wake = (): void => this.#attached().wake();

  /** What is shown; where that is over for good, the conversation is opened anew, and that is shown. */
  #attached(): Thread {
    const state = this.#thread?.state;
    if (this.#release && state?.phase === 'closed' && state.why.next === 'nothing') {
      this.#release();
      this.#release = this.#attach();
    }
    return this.#thread ?? this.#client.thread(this.#id);
  }

  #attach(): () => void {
    const follower = Follower.of(this.#client, this.#id);
    const { thread } = follower;
    this.#thread = thread;
    const release = hold(follower);
    const off = [
      follower.listen(() => this.#show({ view: follower.view })),
      thread.on('state', (state) => this.#show({ state })),
      thread.on('error', ({ code, message, retry_in: retryIn }) =>
        this.#show({ error: { code, message, ...(retryIn !== undefined && { retryIn }) } }),
      ),
    ];
    this.#show({ view: follower.view, state: thread.state });
    return () => {
      for (const end of off) end();
      release();
    };
  }

  #show(change: Partial<Omit<Shown, 'position'>>): void {
    const shown = { ...this.#shown, ...change };
    this.#shown = { ...shown, position: shown.state.phase === 'queued' ? shown.state.position : undefined };
    for (const changed of [...this.#changed]) changed();
  }
}

/** How many components show a thread, and what will leave it when they are none. */
interface Hold {
  count: number;
  leaving: ReturnType<typeof setTimeout> | undefined;
}

const holds = new WeakMap<Thread, Hold>();

function hold(follower: Follower): () => void {
  const { thread } = follower;
  const held = holds.get(thread) ?? { count: 0, leaving: undefined };
  holds.set(thread, held);
  held.count += 1;
  clearTimeout(held.leaving);
  return () => {
    held.count -= 1;
    if (held.count > 0) return;
    held.leaving = setTimeout(() => {
      if (!follower.isKept) thread.leave();
    }, LINGER_MS);
  };
}
