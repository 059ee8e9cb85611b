// One conversation on the page: its thread at the gateway, what was folded from it, older messages, and how it is
// asked, stopped and woken. Messages that it does not have yet are in its outbox.
//
//   thread events --fold--> the newest view --once per frame--> `view`, which the page renders
//
// A new conversation has no thread before its first message: an empty page holds no slot. It gets its id here and not
// from the gateway, so that a message written without a connection has a place to be found at after a reload.

import { batch, signal } from '@preact/signals';
import type { Client, Position, Thread, ThreadEvent, ThreadState } from '@lychgate/client';
import { type View, type ViewMessage, emptyView, fold } from '@lychgate/client/messages';
import type { Api } from './api';
import { eachFrame } from './frames';
import { freshId } from './id';
import { Outbox } from './outbox';
import type { Unsent } from './unsent';
import { words } from './words';

const OLDER_AT_ONCE = 50;

/** The run that was told to stop and has not ended: `again` where that may have been lost with a connection. */
export interface Stopping {
  run: string;
  press: 'once' | 'again';
}

/** The last message is asked again, after an answer that failed. */
export type AskedAgain = { phase: 'sending' } | { phase: 'refused'; why: string };

/** How the thread stands at the gateway. `until`, in milliseconds since 1970: when it gets a place at the latest. */
export type Standing = Exclude<ThreadState, { phase: 'queued' }> | { phase: 'queued'; position: number; until: number };

/** How far back one can read: `more` waits to be asked for. */
export type Older = 'none' | 'more' | 'loading' | 'failed' | 'start';

/** What is kept of a conversation that is not shown, so that it is there at once and resumes where it was. */
export interface Shelved {
  view: View;
  older: readonly ViewMessage[];
  reach: Older;
  position: Position | undefined;
}

export interface Surroundings {
  client: Client;
  api: Api;
  unsent: Unsent;
  /** A new conversation got its id. */
  onNamed: (id: string) => void;
  /** A run began or ended; with the first question of the conversation. */
  onProgress: (question: string) => void;
  /** What a screen reader is to say. */
  announce: (text: string) => void;
}

export class Conversation {
  readonly id = signal<string | undefined>(undefined);
  readonly view = signal<View>(emptyView);
  readonly older = signal<readonly ViewMessage[]>([]);
  readonly reach = signal<Older>('none');
  /** Of the thread; absent for a new conversation without one. */
  readonly state = signal<Standing | undefined>(undefined);
  readonly outbox: Outbox;
  readonly stopping = signal<Stopping | undefined>(undefined);
  readonly again = signal<AskedAgain | undefined>(undefined);
  /** Whether messages, or that there are none, are known: before, an empty page would lie. */
  readonly known = signal<'not yet' | 'known'>('not yet');

  #thread: Thread | undefined;
  #latest: View = emptyView;
  #endings: (() => void)[] = [];
  readonly #frame = eachFrame(() => this.#publish());

  constructor(
    private readonly around: Surroundings,
    id?: string,
    shelved?: Shelved,
  ) {
    this.id.value = id;
    this.outbox = new Outbox(around.unsent);
    if (id === undefined) this.known.value = 'known';
    if (shelved) {
      this.#latest = shelved.view;
      this.view.value = shelved.view;
      this.older.value = shelved.older;
      this.reach.value = shelved.reach;
      this.known.value = 'known';
    }
    if (id === undefined) return;
    this.outbox.restore(around.unsent.read(id), this.#latest.messages);
    this.#attach(id, shelved?.position);
  }

  /**
   * Sends a message of the user, opening a thread first where there is none. It is sent again after a broken
   * connection, a reload, and when one comes back from another conversation.
   */
  send(text: string): void {
    const { id, thread } = this.#ready();
    this.again.value = undefined;
    this.outbox.send(text, id, thread);
  }

  /** Sends a refused message once more, to a conversation that was closed, too. */
  tryAgain(message: string): void {
    const { id, thread } = this.#ready();
    this.outbox.tryAgain(message, id, thread);
  }

  /** Asks for an answer to the last message once more, once at a time. */
  askAgain(): void {
    const last = this.#latest.messages.findLast(({ role }) => role === 'user');
    if (!last || this.again.value?.phase === 'sending') return;
    const { thread } = this.#ready();
    const before = this.#latest.run?.id;
    this.again.value = { phase: 'sending' };
    const refused = (error: unknown) => {
      // A run that went with its thread was not refused by anybody.
      if (this.#thread !== thread || this.#latest.run?.id !== before) return;
      this.again.value = { phase: 'refused', why: error instanceof Error ? error.message : String(error) };
    };
    try {
      // The gateway knows the message by its id and does not add it again.
      const asked = { messages: [{ id: last.id, role: 'user', content: textOf(last) }] };
      thread.run(asked, { id: freshId() }).accepted.catch(refused);
    } catch (error) {
      refused(error);
    }
  }

  /** Stops the run in flight. */
  stop(): void {
    const run = this.#latest.run;
    if (run?.status !== 'running') return;
    this.stopping.value = { run: run.id, press: 'once' };
    this.#thread?.stop(run.id);
  }

  /** Comes back from sleep, or from a close that a person may undo. */
  wake(): void {
    const id = this.id.value;
    const { value: state } = this.state;
    // Where the gateway said that nothing more is to be done a person may still want it here: then it is a new open.
    if (state?.phase === 'closed' && state.why.next === 'nothing' && id !== undefined) {
      const position = this.#thread?.position;
      this.shelve();
      this.#attach(id, position);
    } else {
      this.#thread?.wake();
    }
  }

  /** Fetches older messages, once at a time. */
  async loadOlder(): Promise<void> {
    const first = this.older.value[0] ?? this.#latest.messages[0];
    const thread = this.id.value;
    if (!first || thread === undefined || (this.reach.value !== 'more' && this.reach.value !== 'failed')) return;
    this.reach.value = 'loading';
    try {
      const page = await this.around.api.messages(thread, first.id, OLDER_AT_ONCE);
      // A reset may have come meanwhile and replaced what this page goes before.
      if (first !== (this.older.value[0] ?? this.#latest.messages[0])) return;
      const reset: ThreadEvent = { type: 'reset', messages: page.messages, more: page.next !== undefined };
      batch(() => {
        this.older.value = [...fold(emptyView, reset).messages, ...this.older.value];
        this.reach.value = page.next === undefined ? 'start' : 'more';
      });
    } catch {
      this.reach.value = 'failed';
    }
  }

  /** Leaves the thread, whose slot is free then, and says what is worth keeping. */
  shelve(): Shelved | undefined {
    const thread = this.#thread;
    if (!thread) return undefined;
    this.outbox.seen(this.#latest.messages);
    const shelved = { view: this.#latest, older: this.older.value, reach: this.reach.value, position: thread.position };
    this.#detach();
    thread.leave();
    return this.known.value === 'known' ? shelved : undefined;
  }

  /** The thread, awake and named, in which something can be asked. */
  #ready(): { id: string; thread: Thread } {
    // It is a person who asks: that is what a connection waits for that was closed, or rests.
    const { phase: connection } = this.around.client.state;
    if (connection === 'ended' || connection === 'asleep') this.around.client.wake();
    const phase = this.#thread?.state.phase;
    if (phase === 'asleep' || phase === 'closed') this.wake();
    const id = this.id.value ?? freshId();
    const thread = this.#thread ?? this.#attach(id, undefined);
    if (this.id.value === undefined) {
      this.id.value = id;
      this.around.onNamed(id);
    }
    return { id, thread };
  }

  #attach(id: string, resume: Position | undefined): Thread {
    const thread = this.around.client.thread(id, resume === undefined ? undefined : { resume });
    this.#thread = thread;
    this.state.value = standing(thread.state);
    this.#endings = [
      thread.on('event', (event) => this.#take(event)),
      thread.on('state', (state) => {
        this.state.value = standing(state);
        // Told on the connection before, maybe: whoever doubts it presses again.
        const { value: stopping } = this.stopping;
        if (stopping?.press === 'once') this.stopping.value = { ...stopping, press: 'again' };
      }),
      thread.on('queued', ({ run }) => this.outbox.waitsBehind(run)),
    ];
    this.outbox.follow(thread);
    return thread;
  }

  #detach(): void {
    for (const end of this.#endings) end();
    this.#endings = [];
    this.#thread = undefined;
    this.again.value = undefined;
    this.outbox.unfollow();
    this.#frame.cancel();
  }

  #take(event: ThreadEvent): void {
    const before = this.#latest;
    this.#latest = fold(before, event);
    if (event.type === 'reset') this.#replaced(before, this.#latest);
    this.#frame.request();
  }

  /**
   * Older messages stay where the reset begins with the same message as before; otherwise there would be a hole below
   * them.
   */
  #replaced(before: View, after: View): void {
    const joins = before.messages[0] !== undefined && before.messages[0].id === after.messages[0]?.id;
    if (joins && this.older.value.length > 0) return;
    this.older.value = [];
    this.reach.value = after.more ? 'more' : 'start';
  }

  /** Hands the newest view to the page, however many events led to it. */
  #publish(): void {
    const before = this.view.value;
    const after = this.#latest;
    batch(() => {
      this.view.value = after;
      this.known.value = 'known';
      this.outbox.seen(after.messages);
      if (before.run?.id !== after.run?.id) this.again.value = undefined;
      if (after.run?.status !== 'running') this.stopping.value = undefined;
    });
    if (before.run?.id === after.run?.id && before.run?.status === after.run?.status) return;
    this.#announce(before, after);
    this.around.onProgress(textOf(after.messages.find(({ role }) => role === 'user')));
  }

  #announce(before: View, { run, messages }: View): void {
    switch (run?.status) {
      case 'running':
        return this.around.announce(words.writing);
      case 'finished':
        // A run that was over when the page came is history, and nothing new.
        return before.run?.status === 'running'
          ? this.around.announce(words.answered(textOf(messages.findLast(({ role }) => role === 'assistant'))))
          : undefined;
      case 'cancelled':
        return this.around.announce(words.stoppedLong);
      case 'error':
        return this.around.announce(words.failed(run.error?.message ?? ''));
      case undefined:
        return undefined;
    }
  }
}

function textOf(message: ViewMessage | undefined): string {
  const texts = message?.parts.map((part) => (part.type === 'text' ? part.text : '')) ?? [];
  return texts.join(' ').trim();
}

/** The gateway says how long from now; a countdown needs when. */
function standing(state: ThreadState): Standing {
  if (state.phase !== 'queued') return state;
  return { phase: 'queued', position: state.position, until: Date.now() + state.deadline };
}
