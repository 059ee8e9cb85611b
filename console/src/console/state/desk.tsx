/**
 * Everything that the pages of one signed-in operator share: what the node says live, where he is, what he did.
 *
 * ```text
 *  LiveSocket ─frames─► samples, decisions, alerts, link ─► pages        pages ─order─► Asker ─► notes
 * ```
 */

import { computed, effect, signal, type Signal } from '@preact/signals';
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Asker } from '../ask';
import type { Feed } from '../live/feed';
import { Follower } from '../live/follower';
import { append, join } from '../live/ring';
import { LiveSocket } from '../live/socket';
import type { Link } from '../live/words';
import type { Live, Me, NodeName, Sample } from '../wire';
import type { Heard } from './alerts';
import { parseRoute, type Route } from './route';

/** A page that nobody has looked at for so long lets its place at the node go: a node has sixteen of them. */
const HIDDEN_MS = 5 * 60_000;

/** Results that are listed. */
const MAX_NOTES = 8;

/** What the operator did and what became of it. */
export interface Note {
  readonly id: number;
  readonly at: number;
  readonly text: string;
  /** The id under which the audit log and the log of the node know it. */
  readonly request: string | undefined;
}

export class Desk {
  readonly link = signal<Link>({ phase: 'connecting' });
  readonly node = signal<NodeName | undefined>(undefined);
  readonly samples = signal<readonly Sample[]>([]);
  readonly every = signal(2_000);
  readonly alerts = signal<Heard | undefined>(undefined);
  readonly notes = signal<readonly Note[]>([]);
  readonly route = signal<Route>(parseRoute(location.hash));
  /** The samples at which the charts were stopped. */
  readonly frozen = signal<readonly Sample[] | undefined>(undefined);
  readonly shown = computed(() => this.frozen.value ?? this.samples.value);
  /** The decisions at which the stream was stopped. */
  readonly held = signal<Feed | undefined>(undefined);
  readonly isStale = computed(() => this.link.value.phase !== 'live' && this.link.value.phase !== 'connecting');
  /** Seconds of the clock, for what counts down. */
  readonly now = signal(Date.now());
  /** How far the clock of the node is ahead of this browser's, as of the last `hello`. */
  readonly #ahead = signal(0);
  /** What time it is at the node, for what is counted from times of its own. */
  readonly nodeNow = computed(() => this.now.value + this.#ahead.value);
  readonly follower: Follower;
  /** `read` or `write`; the node closes and says anew what a key may when that changed. */
  readonly role: Signal<string>;
  readonly #live: LiveSocket;
  readonly #ends: (() => void)[] = [];
  #notes = 0;

  constructor(
    readonly me: Me,
    readonly ask: Asker,
    key: string | undefined,
    onRefused: () => void,
  ) {
    this.role = signal(me.role);
    this.follower = new Follower(ask);
    this.#live = new LiveSocket({
      url: `${location.origin.replace(/^http/, 'ws')}/v1/admin/live`,
      key,
      onFrame: (frame) => this.#told(frame),
      onLink: (link) => {
        this.link.value = link;
      },
    });
    let resting: ReturnType<typeof setTimeout> | undefined;
    const wake = () => document.visibilityState === 'visible' && this.#live.wake();
    const looked = () => {
      clearTimeout(resting);
      if (document.visibilityState === 'hidden') resting = setTimeout(() => this.#live.rest(), HIDDEN_MS);
      else this.#live.wake();
    };
    const travel = () => {
      this.route.value = parseRoute(location.hash);
    };
    const clock = setInterval(() => {
      this.now.value = Date.now();
    }, 1_000);
    this.#ends.push(() => {
      clearInterval(clock);
      clearTimeout(resting);
    });
    this.#listen(window, 'online', wake);
    this.#listen(document, 'visibilitychange', looked);
    looked();
    this.#listen(window, 'hashchange', travel);
    this.#ends.push(effect(() => void (this.link.value.phase === 'refused' && onRefused())));
  }

  get mayWrite(): boolean {
    return this.role.value === 'write';
  }

  /** Why an action cannot be pressed, or nothing. */
  get refuses(): string | undefined {
    return this.mayWrite ? undefined : 'Your key may look and not change: this needs the role "write".';
  }

  /** Tries to be live again at once. */
  wake(): void {
    this.#live.wake();
  }

  note(text: string, request: string | undefined): void {
    this.#notes += 1;
    this.notes.value = [{ id: this.#notes, at: Date.now(), text, request }, ...this.notes.value].slice(0, MAX_NOTES);
  }

  /** Stops what moves on this page, and lets it go on. What comes meanwhile is kept. */
  pause(): void {
    if (this.route.value.page === 'reclaims')
      this.held.value = this.held.value === undefined ? this.follower.feed.value : undefined;
    else this.frozen.value = this.frozen.value === undefined ? this.samples.value : undefined;
  }

  close(): void {
    this.#live.close();
    this.follower.close();
    for (const end of this.#ends) end();
  }

  #told(frame: Live): void {
    switch (frame.type) {
      case 'hello':
        this.node.value = frame.node;
        this.#ahead.value = frame.node.now - Date.now();
        this.role.value = frame.role;
        this.every.value = frame.every;
        this.samples.value = join(this.samples.value, frame.history);
        this.follower.arrived(frame.node.started);
        break;
      case 'sample':
        this.samples.value = append(this.samples.value, frame.sample);
        break;
      case 'decisions':
        this.follower.heard(frame.decisions, frame.missed);
        break;
      case 'alerts':
        this.alerts.value = { alerts: frame.alerts, at: Date.now() };
        break;
      case 'ping':
        break;
    }
  }

  #listen(target: EventTarget, type: string, listener: () => void): void {
    target.addEventListener(type, listener);
    this.#ends.push(() => target.removeEventListener(type, listener));
  }
}

const Current = createContext<Desk | undefined>(undefined);

export const DeskProvider = Current.Provider;

/** The desk of the page; only below a `DeskProvider`. */
export function useDesk(): Desk {
  const desk = useContext(Current);
  if (desk === undefined) throw new Error('useDesk is called outside of a DeskProvider');
  return desk;
}
