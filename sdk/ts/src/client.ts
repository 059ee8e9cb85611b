// A client: its threads on one carrier, and the acknowledgements of all of them.
//
//   page signals --> carrier <--> frames --> threads --> readers
//                       ^                       |
//                       '------- acks <---------'
//
import { alarm } from './alarm.js';
import type { Carrier, Passenger } from './connection.js';
import { Emitter } from './emitter.js';
import type { Frame } from './line.js';
import type { Page, Signal } from './page.js';
import { OpenThread, type ThreadFrame, type ThreadHost } from './thread.js';
import type { Client, ClientEvents, ClientState, Position, Said, Thread } from './types.js';
import type { Limits } from './wire.js';

/** Acknowledged at once when so much of a thread was taken, and what is less after {@link ACK_MS} (rule 7). */
const ACK_EVERY = 64;
const ACK_MS = 1_000;
/** The gateway's own default. */
const MAX_BYTES = 262_144;

export class Conversations extends Emitter<ClientEvents> implements Client, Passenger, ThreadHost {
  user: string | undefined;
  limits: Limits | undefined;
  readonly #carrier: Carrier;
  readonly #page: Page;
  readonly #threads = new Set<OpenThread>();
  /** Taken and not said yet, by thread; and how much of them all. */
  #taken: Record<string, number> = {};
  #unsaid = 0;
  readonly #ack = alarm();
  readonly #unlisten: () => void;

  constructor(
    page: Page,
    board: (passenger: Passenger) => Carrier,
    readonly maxBytes = MAX_BYTES,
  ) {
    super();
    this.#page = page;
    this.#carrier = board(this);
    this.#unlisten = page.listen((signal) => this.#onPage(signal));
  }

  get state(): ClientState {
    return this.#carrier.state;
  }

  get isReady(): boolean {
    return this.#carrier.isReady;
  }

  thread(id?: string, options: { resume?: Position } = {}): Thread {
    const thread = (id && this.#find(id)) || new OpenThread(this, id, options.resume);
    this.wanted(thread);
    const { state } = this;
    // Nothing would ever open it.
    if (state.phase === 'ended' && state.why.next === 'nothing') thread.close(state.why);
    return thread;
  }

  wake(): void {
    this.#carrier.wake();
    for (const thread of [...this.#threads]) thread.wake();
  }

  close(): Promise<void> {
    this.#ack();
    this.#unlisten();
    return this.#carrier.close();
  }

  send(frame: Said): void {
    this.#carrier.send(frame);
  }

  took(thread: string, offset: number, more: number): void {
    this.#taken[thread] = offset;
    this.#unsaid += more;
    if (this.#unsaid >= ACK_EVERY) return this.#sayAck();
    // The first one counts: later ones must not put it off.
    if (this.#unsaid === more) this.#ack(ACK_MS, () => this.#sayAck());
  }

  /** They stand in the order in which somebody wanted them last. */
  wanted(thread: OpenThread): void {
    this.#threads.delete(thread);
    this.#threads.add(thread);
  }

  forget(thread: OpenThread): void {
    this.#threads.delete(thread);
  }

  onState(state: ClientState): void {
    if (state.phase === 'ended') {
      const { why } = state;
      // After `wake` the threads would go on; those of a client that is over, or of another user, do not.
      const isOver = why.next === 'nothing' || why.reason === 'user_changed';
      for (const thread of this.#threads) {
        thread.giveUp(why.message);
        if (isOver) thread.close({ ...why, next: 'nothing' });
      }
    }
    this.emit('state', state);
  }

  onReady(): void {
    for (const thread of this.#threads) thread.onReady();
  }

  onFrame(frame: Frame): void {
    switch (frame.type) {
      case 'hello':
        this.user = frame.user;
        return this.#onLimits(frame.limits);
      case 'ping':
        return this.#sayAck(this.#page);
      case 'notice':
        // Others are advice; unknown ones are safe to ignore.
        if (frame.code === 'limit') this.#onLimits(frame);
        this.emit('notice', frame);
        break;
      case 'opened':
        this.#onLimits(frame.limits);
        break;
      case 'error':
        this.emit('error', frame);
    }
    // Rule 13: frames that no thread knows are ignored. But one that was left before the gateway had named it is open
    // there, and nobody else would give its slot back.
    if (!this.#pass(frame) && frame.type === 'opened') this.send({ type: 'leave', thread: frame.thread });
  }

  #pass(frame: ThreadFrame): OpenThread | undefined {
    // Those that have no `ref` are found to have none.
    const { thread: id, ref } = frame as { thread?: string; ref?: string };
    const thread = this.#find(id, ref);
    thread?.onFrame(frame);
    return thread;
  }

  /** Known by its id, or by the ref of its open until it has one. */
  #find(id: string | undefined, ref?: string): OpenThread | undefined {
    return [...this.#threads].find((thread) => (thread.id ? thread.id === id : ref && thread.ref === ref));
  }

  #onLimits(limits: Limits): void {
    this.limits = limits;
    this.emit('limits', limits);
  }

  #onPage(signal: Signal): void {
    this.#carrier.onPage(signal);
    if (signal === 'visibilitychange') {
      // Seen counts as used (mission M10), and the gateway would only learn it with the next ping.
      this.#sayAck(this.#page);
      if (!this.#page.visible) return;
    }
    if (/^(page|off)/.test(signal)) return;
    // Others would only take each other's slots: they are woken one by one, by whoever wants them.
    const thread = [...this.#threads].at(-1);
    if (thread?.state.phase === 'asleep') thread.wake();
  }

  /** Says how far threads are taken; as an answer to a ping also where nothing is new. */
  #sayAck(answer?: Page): void {
    const at = this.#taken;
    if (this.#unsaid > 0 || answer) this.send({ type: 'ack', at, visible: answer?.visible });
    this.#ack();
    this.#taken = {};
    this.#unsaid = 0;
  }
}
