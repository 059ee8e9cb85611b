// One tab, as the shared worker sees it: frames come in as if to a gateway, and go out as if from one.

import type { Hub } from './switchboard.js';
import { type Place, placeAt } from './log.js';
import type { Port, ToTab, ToWorker } from './port.js';
import type { Reader } from './reader.js';
import type { OpenThread } from './thread.js';
import type { CloseWhy, ErrorFrame, Said, ThreadEvent, ThreadState } from './types.js';
import { LychgateError } from './errors.js';
import type { Limits, Opened } from './wire.js';

/** Events that a tab has not acknowledged. Then nothing more is posted: a frozen tab's queue has no bound of its own. */
const WINDOW = 512;
/** Threads that one tab may have open. */
const MAX_THREADS = 64;
const NO_LIMITS: Limits = { used: 0, limit: 0, level: 'ok' };

type Opening = Extract<Said, { type: 'open' }>;

interface Asking {
  resolve: (token: string) => void;
  reject: (error: Error) => void;
}

export class Tab {
  isVisible = false;
  readonly #showing = new Set<Showing>();
  readonly #asking = new Map<number, Asking>();
  #isGone = false;

  constructor(
    readonly hub: Hub,
    readonly port: Port,
    readonly asks: boolean,
  ) {}

  say(message: ToTab): void {
    if (!this.#isGone) this.port.postMessage(message);
  }

  shows(thread: OpenThread): boolean {
    return [...this.#showing].some((showing) => showing.thread === thread);
  }

  onTold(message: Exclude<ToWorker, { type: 'attach' }>): void {
    if (this.#isGone) return;
    switch (message.type) {
      case 'frame':
        return this.#onFrame(message.frame);
      case 'wake':
        return this.hub.carrier?.wake();
      case 'page':
        return this.hub.carrier?.onPage(message.signal);
      case 'seen':
        this.isVisible = message.visible;
        return;
      case 'token': {
        const asking = this.#asking.get(message.id);
        if (message.token !== undefined) asking?.resolve(message.token);
        else asking?.reject(new Error(message.error ?? 'the tab has no token'));
        return;
      }
      case 'bye':
        return this.gone(0);
    }
  }

  /** Asks the tab for a token; rejected with what its function failed with, or when it does not answer in time. */
  async token(id: number, why: 'connect' | 'refresh', withinMs: number): Promise<string> {
    if (!this.asks) throw new Error('the tab has no token');
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      return await new Promise<string>((resolve, reject) => {
        this.#asking.set(id, { resolve, reject });
        timer = setTimeout(() => reject(new Error('the tab did not answer')), withinMs);
        this.say({ type: 'ask', id, why });
      });
    } finally {
      clearTimeout(timer);
      this.#asking.delete(id);
    }
  }

  /** Its page is closed, or said goodbye. Its threads are left after `graceMs`, unless another tab shows them. */
  gone(graceMs: number): void {
    if (this.#isGone) return;
    this.#isGone = true;
    const threads = [...this.#showing].map((showing) => showing.thread);
    for (const showing of this.#showing) showing.end();
    this.#showing.clear();
    for (const { reject } of this.#asking.values()) reject(new Error('the tab is gone'));
    this.port.close();
    this.hub.unboard(this, threads, graceMs);
  }

  drop(showing: Showing): void {
    this.#showing.delete(showing);
    showing.end();
  }

  #onFrame(frame: Said): void {
    switch (frame.type) {
      case 'hello':
        return;
      case 'open':
        return this.#onOpen(frame);
      case 'leave': {
        const showing = this.#find(frame.thread);
        if (!showing) return;
        this.drop(showing);
        return this.hub.leaveIfUnread(showing.thread);
      }
      case 'run':
        return this.#onRun(frame);
      case 'stop':
        return this.#find(frame.thread)?.thread.stop(frame.run);
      case 'ack':
        if (frame.visible !== undefined) this.isVisible = frame.visible;
        for (const [id, offset] of Object.entries(frame.at ?? {})) this.#find(id)?.onAck(offset);
    }
  }

  #onOpen(open: Opening): void {
    const known = open.thread === undefined ? this.#opening(open.ref) : this.#find(open.thread);
    if (known) return known.onOpen(open);
    if (this.#showing.size >= MAX_THREADS) {
      const { thread = '', ref = '' } = open;
      const message = 'This tab has too many conversations open.';
      return this.say({
        type: 'frame',
        frame: { type: 'error', code: 'forbidden', message, thread, ref },
      });
    }
    // A client of ours makes threads of this class, and the class knows readers.
    const thread = this.hub.client.thread(open.thread) as OpenThread;
    const showing = new Showing(this, thread);
    this.#showing.add(showing);
    showing.onOpen(open);
  }

  #onRun({ thread: id, run: runId, input, agent }: Extract<Said, { type: 'run' }>): void {
    const refuse = (code: string, message: string, retryIn?: number) => {
      const frame: ErrorFrame = { type: 'error', code, message, thread: id, run: runId };
      this.say({ type: 'frame', frame: retryIn === undefined ? frame : { ...frame, retry_in: retryIn } });
    };
    const thread = this.#find(id)?.thread;
    if (!thread) return refuse('not_open', 'This conversation is not open in this tab.');
    try {
      const run = thread.run(input, { id: runId, ...(agent !== undefined && { agent }) });
      run.accepted.catch((error: LychgateError) => refuse(error.code, error.message, error.retryIn));
    } catch (error) {
      refuse(error instanceof LychgateError ? error.code : 'internal', String(error));
    }
  }

  #find(id: string): Showing | undefined {
    return [...this.#showing].find((showing) => showing.thread.id === id);
  }

  #opening(ref: string | undefined): Showing | undefined {
    return [...this.#showing].find((showing) => ref !== undefined && showing.ref === ref);
  }
}

/** One thread that a tab shows: a reader that posts what it is given. */
class Showing implements Reader {
  place: Place = placeAt(-1);
  stale = false;
  /** What the tab calls the open that was not answered yet. */
  ref: string | undefined;
  #owes = false;
  /** The last offsets that were posted, and acknowledged. */
  #posted = -1;
  #acked = -1;
  readonly #ends: (() => void)[];

  constructor(
    readonly tab: Tab,
    readonly thread: OpenThread,
  ) {
    thread.read(this);
    this.#acked = this.#posted = this.place.offset;
    this.#ends = [
      thread.on('state', (state) => this.#onState(state)),
      thread.on('error', (error) => this.#onError(error)),
    ];
  }

  /** A slow tab holds nobody up: beyond its window it is told anew. */
  get taken(): number {
    return this.place.offset;
  }

  onOpen(open: Opening): void {
    this.#owes = true;
    this.ref = open.ref;
    const { position } = this.thread;
    const goesOn = !this.stale && open.after === this.place.offset && open.epoch === position?.epoch;
    if (!goesOn && position) this.stale = true;
    if (this.thread.state.phase === 'asleep' || this.thread.state.phase === 'closed') this.thread.wake();
    if (this.stale) this.thread.resync();
    this.#onState(this.thread.state);
  }

  onAck(offset: number): void {
    this.#acked = Math.max(this.#acked, Math.min(offset, this.#posted));
    // It has thawed: what it missed is told anew.
    if (this.stale && !this.#owes && this.#acked === this.#posted) this.thread.resync();
  }

  give(told: ThreadEvent): void {
    const { id } = this.thread;
    if (id === undefined) return;
    if (told.type === 'reset') {
      const { messages, state, more, run } = told;
      this.#acked = this.#posted = this.place.offset;
      return this.#opened({
        reset: true,
        messages,
        ...(more && { more }),
        ...(state !== undefined && { state }),
        ...(run !== undefined && { run }),
      });
    }
    if (told.offset - this.#acked > WINDOW) {
      this.stale = true;
      return;
    }
    this.#posted = told.offset;
    this.tab.say({ type: 'frame', frame: { type: 'event', thread: id, offset: told.offset, event: told.event } });
  }

  end(): void {
    this.thread.unread(this);
    for (const end of this.#ends) end();
  }

  #opened(rest: Partial<Opened>): void {
    const { id, position } = this.thread;
    if (id === undefined || !position) return;
    const { ref } = this;
    this.#owes = false;
    this.ref = undefined;
    const { offset: after } = this.place;
    const limits = this.tab.hub.client.limits ?? NO_LIMITS;
    const { epoch } = position;
    const opened = { thread: id, epoch, after, head: after, limits, ...(ref !== undefined && { ref }), ...rest };
    this.tab.say({ type: 'frame', frame: { type: 'opened', ...opened } });
  }

  #onState(state: ThreadState): void {
    switch (state.phase) {
      case 'opening':
        return;
      case 'queued': {
        const { position, deadline } = state;
        const thread = this.thread.id ?? '';
        const ref = this.ref === undefined ? {} : { ref: this.ref };
        return this.tab.say({
          type: 'frame',
          frame: { type: 'notice', code: 'queued', thread, position, deadline, ...ref },
        });
      }
      case 'open':
        if (!this.#owes || this.stale) return;
        return this.#opened(this.thread.inFlight === undefined ? {} : { run: this.thread.inFlight });
      case 'asleep':
      case 'closed':
        return this.#closed(state.why);
    }
  }

  #closed({ reason, retryIn, message, next }: CloseWhy): void {
    const thread = this.thread.id ?? '';
    this.tab.say({
      type: 'frame',
      frame: {
        type: 'closed',
        thread,
        reason,
        reconnect: next === 'retry' ? 'resume' : next === 'on_demand' ? next : 'never',
        ...(this.ref !== undefined && { ref: this.ref }),
        ...(retryIn !== undefined && { retry_in: retryIn }),
        ...(message !== undefined && { message }),
      },
    });
    // It does not come back; the same conversation, opened again, is another one.
    if (next === 'nothing') this.tab.drop(this);
  }

  #onError(error: ErrorFrame): void {
    // Of a run the tab hears by its own `accepted`.
    if (error.run !== undefined) return;
    const { ref: _, ...rest } = error;
    this.tab.say({ type: 'frame', frame: this.ref === undefined ? rest : { ...rest, ref: this.ref } });
  }
}
