// Everything of one logged-in user in this tab: the client, the conversation that is shown, the list at the side, and
// what the network does.
//
//   route --shown--> Conversation --thread--> Client --socket, alone or shared--> gateway
//
// One conversation is attached at a time: switching leaves the other, so a tab holds one slot and not as many as it
// showed.

import { type Signal, computed, effect, signal, untracked } from '@preact/signals';
import type { Client, ClientState, Limits, Notice } from '@lychgate/client';
import type { Api, Me } from './api';
import { Conversation, type Shelved } from './conversation';
import { Drafts } from './drafts';
import { type Circumstances, conditionOf, isTimed } from './network';
import { onLoggedOut } from './own';
import { rename, route } from './route';
import { ThreadList } from './threads';
import { Unsent } from './unsent';
import { type Said, say, words } from './words';

/** Conversations that are kept for going back to, without a slot. */
const SHELF = 8;
const TICK_MS = 1_000;
/** How long a server that said that it goes may take to be back, or another one in its place, before that is trouble. */
const RESTART_MS = 20_000;

/** `changed`: another user was shown here before, whose login changed hands. */
export type Arrival = 'as asked' | 'changed';

export interface Beginning {
  client: Client;
  api: Api;
  me: Me;
  /** The login ended: not by this page. */
  onOut: () => void;
  /** The gateway takes this tab for somebody else than `me`. */
  onStranger: () => void;
  how: Arrival;
}

export class Chat {
  readonly user: string;
  readonly api: Api;
  readonly client: Client;
  readonly drafts: Drafts;
  readonly unsent: Unsent;
  readonly threads: ThreadList;
  readonly conversation = signal<Conversation | undefined>(undefined);
  /** The last thing for a screen reader to say. */
  readonly spoken = signal('');
  /** What the network does, in words. */
  readonly said = computed<Said>(() => say(conditionOf(this.#circumstances()), this.#now.value));

  readonly #state: Signal<ClientState>;
  readonly #limits = signal<Limits | undefined>(undefined);
  readonly #browser = signal<'online' | 'offline'>(navigator.onLine ? 'online' : 'offline');
  readonly #restartingUntil = signal<number | undefined>(undefined);
  readonly #degraded = signal<Circumstances['degraded']>(undefined);
  readonly #now = signal(Date.now());
  /** Whether what is said changes by time alone. */
  readonly #isTimed = computed(() => isTimed(this.#circumstances()));
  readonly #shelf = new Map<string, Shelved>();
  /** Whether one was told that the login changed hands. */
  readonly #arrival = signal<Arrival>('as asked');
  #endings: (() => void)[] = [];

  constructor({ client, api, me, onOut, onStranger, how }: Beginning) {
    this.user = me.user;
    this.api = api;
    this.client = client;
    this.drafts = new Drafts(me.user);
    this.unsent = new Unsent(me.user);
    this.#arrival.value = how;
    this.threads = new ThreadList(api, onOut);
    this.#limits.value = me.limits;
    this.#state = signal(client.state);
    this.#endings.push(
      this.#followClient(),
      // Comes with every hello.
      client.on('limits', (limits) => {
        this.#limits.value = limits;
        if (client.user !== undefined && client.user !== me.user) onStranger();
      }),
      client.on('notice', (notice) => this.#heed(notice)),
      this.#followBrowser(),
      effect(() => (this.#isTimed.value ? this.#tick() : undefined)),
      // What this tab writes on its way out would stay for whoever comes next.
      onLoggedOut(me.user, () => this.forget()),
      effect(() => {
        const { value: id } = route;
        // What is read of conversations on the way is no reason to show another one.
        untracked(() => this.#shown(id));
      }),
    );
    this.threads.refresh();
  }

  /** What the button beside the words does. */
  wake(): void {
    this.#now.value = Date.now();
    this.client.wake();
    this.conversation.value?.wake();
  }

  /** It was read that the login changed hands. */
  arrived(): void {
    this.#arrival.value = 'as asked';
  }

  /** Somebody logged out who may share this browser: nothing of what was typed stays. */
  forget(): void {
    this.drafts.forget();
    this.unsent.forget();
  }

  /** Gives every slot back. Nothing of it works afterwards. */
  async close(): Promise<void> {
    // Before the client: what still waits to be sent is not refused, it waits for the next time.
    this.conversation.peek()?.shelve();
    for (const end of this.#endings) end();
    this.#endings = [];
    this.threads.close();
    await this.client.close();
  }

  #circumstances(): Circumstances {
    const conversation = this.conversation.value;
    return {
      client: this.#state.value,
      thread: conversation?.state.value,
      browser: this.#browser.value,
      limits: this.#limits.value,
      restartingUntil: this.#restartingUntil.value,
      degraded: this.#degraded.value,
      now: this.#now.value,
      changedTo: this.#arrival.value === 'changed' ? this.user : undefined,
    };
  }

  /** The time that countdowns go by. */
  #tick(): () => void {
    const tell = () => {
      this.#now.value = Date.now();
    };
    tell();
    const tick = setInterval(tell, TICK_MS);
    return () => clearInterval(tick);
  }

  #shown(id: string | undefined): void {
    const before = this.conversation.peek();
    // A new conversation that got its id is the same one.
    if (before && id !== undefined && before.id.peek() === id) return;
    if (before) this.#putAway(before);
    const shelved = id === undefined ? undefined : this.#shelf.get(id);
    this.conversation.value = new Conversation(
      {
        client: this.client,
        api: this.api,
        unsent: this.unsent,
        onNamed: (named) => rename(named),
        onProgress: (question) => {
          const named = this.conversation.peek()?.id.peek();
          if (named !== undefined) this.threads.asked(named, question);
          this.threads.refresh();
        },
        announce: (text) => {
          this.spoken.value = text;
        },
      },
      id,
      shelved,
    );
  }

  #putAway(conversation: Conversation): void {
    const id = conversation.id.peek();
    const shelved = conversation.shelve();
    if (id === undefined || !shelved) return;
    this.#shelf.delete(id);
    this.#shelf.set(id, shelved);
    for (const oldest of this.#shelf.keys()) {
      if (this.#shelf.size <= SHELF) break;
      this.#shelf.delete(oldest);
    }
  }

  #heed(notice: Notice): void {
    switch (notice.code) {
      case 'reconnect':
        // Its deadline is that of the socket, and with few tabs over in a moment. Whoever is back sooner hears of it.
        this.#restartingUntil.value = Date.now() + Math.max(notice.deadline, RESTART_MS);
        return;
      case 'limit':
      case 'queued':
      case 'run_queued':
      case 'expiring':
        // Told by the limits and by the states of client and thread.
        return;
      default:
        this.#degraded.value = degradation(notice) ?? this.#degraded.value;
    }
  }

  /** What the connection does. */
  #followClient(): () => void {
    let wasLost = false;
    return this.client.on('state', (next) => {
      const isLost = this.#state.peek().phase === 'online' && next.phase !== 'online';
      this.#state.value = next;
      if (isLost || next.phase === 'waiting') wasLost = true;
      if (next.phase !== 'online') return;
      this.#restartingUntil.value = undefined;
      // A list that was asked for without a network stays without its rows, or says for ever that an answer is being
      // written: nothing else asks for it again where no answer begins or ends here.
      if (wasLost) this.threads.refresh();
      wasLost = false;
    });
  }

  /** What the browser knows: network, and whether the page is seen. */
  #followBrowser(): () => void {
    const online = () => {
      this.#browser.value = navigator.onLine ? 'online' : 'offline';
    };
    const seen = () => {
      if (document.visibilityState === 'visible') this.threads.refresh();
    };
    window.addEventListener('online', online);
    window.addEventListener('offline', online);
    document.addEventListener('visibilitychange', seen);
    return () => {
      window.removeEventListener('online', online);
      window.removeEventListener('offline', online);
      document.removeEventListener('visibilitychange', seen);
    };
  }
}

/**
 * `notice degraded {what, until}`, which gateways newer than the SDK's types send (docs/protocol.md, rule 10): `until`
 * in milliseconds since 1970, a minute where it says none. Nothing for any other notice.
 */
function degradation(notice: object): Circumstances['degraded'] {
  const { code, what, until }: { code?: unknown; what?: unknown; until?: unknown } = notice;
  if (code !== 'degraded') return undefined;
  return {
    message: words.degraded(typeof what === 'string' ? what : ''),
    until: typeof until === 'number' ? until : Date.now() + 60_000,
  };
}
