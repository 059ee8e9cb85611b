/**
 * The stream of decisions without a hole at its seams: what was decided before the socket came, or while it was away,
 * is asked for, and what the socket brings meanwhile waits behind it.
 *
 * ```text
 *  hello ─► GET decisions?after=… ─► tell ─► what the socket brought since ─► tell ─► (every half second) tell ...
 *             ▲              │ no answer: what the socket brings goes on waiting
 *             └── back-off ──┘
 * ```
 *
 * The newest decision in the feed is the point up to which all is known: nothing of the socket is told over a hole, for
 * the next question begins at that point (R19).
 */

import { signal } from '@preact/signals';
import type { Asker } from '../ask';
import type { DecisionPage, Told } from '../wire';
import { backoff } from './backoff';
import { emptyFeed, restarted, tell } from './feed';

/**
 * Decisions are shown in strides of this, however many frames bring them: a storm must not redraw the list each time.
 */
const STRIDE_MS = 500;

/** What was decided before this console came. */
const AT_FIRST = 200;

/** Pages of `PAGE` that are asked for after the socket was away; then the newest are, and what lies between is missed. */
const MAX_PAGES = 10;
const PAGE = 1_000;

/** Decisions that wait while older ones are asked for; beyond it the oldest of them are asked for, too. */
const MAX_WAITING = 5_000;

interface Brought {
  decisions: readonly Told[];
  missed: number;
}

export class Follower {
  readonly feed = signal(emptyFeed);
  /** Decisions are there that could not be asked for yet: the feed ends before them. */
  readonly isBehind = signal(false);
  readonly #ask: Asker;
  #waiting: Brought[] = [];
  #waits = 0;
  /** The newest decision that had to give way to newer ones while it waited. */
  #gaveWay = -1;
  #stride: ReturnType<typeof setTimeout> | undefined;
  #pause: ReturnType<typeof setTimeout> | undefined;
  /** Counts the times that the socket came: only the newest catching up goes on. */
  #generation = 0;
  #isCatchingUp = false;
  #started: number | undefined;
  /** Where the next page begins; none: nothing was ever answered. */
  #next: string | undefined;

  constructor(ask: Asker) {
    this.#ask = ask;
  }

  /** The socket came; the node runs since `started`. */
  arrived(started: number): void {
    if (this.#started !== undefined && this.#started !== started) {
      // What still waits is of the life that is over.
      this.#leap(this.#waiting[0]?.decisions[0]?.sequence);
      this.#tellWaiting();
      this.feed.value = restarted(this.feed.value);
      this.#next = '0';
      this.#gaveWay = -1;
    }
    this.#started = started;
    this.#generation += 1;
    clearTimeout(this.#pause);
    void this.#catchUp(this.#generation);
  }

  /** A frame of the socket. */
  heard(decisions: readonly Told[], missed: number): void {
    this.#waiting.push({ decisions, missed });
    this.#waits += decisions.length;
    if (this.#waits > MAX_WAITING) this.#makeRoom();
    this.#stride ??= setTimeout(() => this.#step(), STRIDE_MS);
  }

  close(): void {
    this.#generation += 1;
    clearTimeout(this.#stride);
    clearTimeout(this.#pause);
  }

  async #catchUp(mine: number): Promise<void> {
    this.#isCatchingUp = true;
    let [pages, failures] = [0, 0];
    for (let isOver = false; !isOver; ) {
      const page = await this.#ask.look<DecisionPage>(`/v1/admin/decisions?interesting=true&${this.#from(pages)}`);
      if (mine !== this.#generation) return;
      this.isBehind.value = !page.ok;
      if (page.ok) {
        isOver = this.#took(page.value, pages);
        pages = pages >= MAX_PAGES ? 0 : pages + 1;
        failures = 0;
      } else {
        const { failure } = page;
        await this.#wait(backoff(failures, failure.kind === 'refused' ? failure.retryIn : undefined));
        if (mine !== this.#generation) return;
        failures += 1;
      }
    }
    this.#isCatchingUp = false;
    this.#gaveWay = -1;
    this.#step();
  }

  /** What is asked for after so many pages: what follows, or the newest where those that follow find no end. */
  #from(pages: number): string {
    if (this.#next === undefined) return `limit=${AT_FIRST}`;
    return pages >= MAX_PAGES ? `limit=${PAGE}` : `limit=${PAGE}&after=${this.#place(this.#next)}`;
  }

  /** Whether nothing is left to ask for. */
  #took(page: DecisionPage, pages: number): boolean {
    const isNewest = this.#next === undefined || pages >= MAX_PAGES;
    if (this.#next !== undefined && isNewest) this.#leap(page.decisions[0]?.sequence);
    this.#next = page.next;
    this.feed.value = tell(this.feed.value, page.decisions, page.missed);
    const [, known] = this.#place(page.next).split('.');
    return (isNewest || page.decisions.length < PAGE) && Number(known ?? 0) >= this.#gaveWay;
  }

  /** The place after all that is known: `next` of a page, or what the socket has told since. */
  #place(next: string): string {
    const [epoch, sequence] = next.split('.');
    if (epoch === undefined || sequence === undefined) return next;
    return `${epoch}.${Math.max(Number(sequence), this.feed.value.newest)}`;
  }

  /** The stream goes on at this decision: those between it and what is known are told as missed, where any are. */
  #leap(to: number | undefined): void {
    if (to === undefined || !this.#isCatchingUp || this.#next === undefined) return;
    const [, sequence] = this.#place(this.#next).split('.');
    const known = sequence === undefined ? this.feed.value.newest : Number(sequence);
    if (to > known + 1) this.feed.value = tell(this.feed.value, [], to - known - 1);
  }

  /** The oldest that wait give way; while older ones are asked for, they are among them, else they are told at once. */
  #makeRoom(): void {
    if (!this.#isCatchingUp) {
      this.#step();
      return;
    }
    while (this.#waits > MAX_WAITING) {
      const oldest = this.#waiting.shift();
      if (oldest === undefined) return;
      this.#waits -= oldest.decisions.length;
      this.#gaveWay = oldest.decisions.at(-1)?.sequence ?? this.#gaveWay;
    }
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#pause = setTimeout(resolve, ms);
    });
  }

  #step(): void {
    clearTimeout(this.#stride);
    this.#stride = undefined;
    if (!this.#isCatchingUp) this.#tellWaiting();
  }

  #tellWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waits = 0;
    this.feed.value = waiting.reduce(
      (feed, { decisions, missed }) => tell(feed, decisions, missed),
      this.feed.value,
    );
  }
}
