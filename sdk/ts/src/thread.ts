// One conversation on whichever connection there is: its slot, its stream, its readers and its runs.
//
//   opening --queued--> opening --opened--> open --closed: on demand--> asleep --input, wake, run--> opening
//      ^                                     |  '--closed: never, leave--> closed
//      '---every new connection, retry_in----'
//
import { alarm } from './alarm.js';
import { backoff } from './backoff.js';
import { closedWhy, over } from './closing.js';
import { deferred } from './deferred.js';
import { Emitter, guarded } from './emitter.js';
import { LychgateError } from './errors.js';
import type { Frame } from './line.js';
import { uuid } from './id.js';
import { behind, lacking, type Place, placeAt, placeInside } from './log.js';
import { type Reader, iterate } from './reader.js';
import { Asked, CANCELLED } from './run.js';
import type {
  CloseWhy,
  ErrorFrame,
  Position,
  Run,
  RunOptions,
  Said,
  Thread,
  ThreadEvent,
  ThreadEvents,
  ThreadState,
} from './types.js';
import type { AguiEvent, Opened, RunInput, Server } from './wire.js';

/** Runs of one thread that have not ended. */
const MAX_ASKED = 64;
const CLOSED = 'This conversation is closed.';

/** What concerns a thread. */
export type ThreadFrame = Exclude<Frame, { type: 'hello' | 'ping' }>;

/** What a thread needs of its client. */
export interface ThreadHost {
  readonly isReady: boolean;
  /** Of a run. */
  readonly maxBytes: number;
  send(frame: Said): void;
  /** `thread` is taken up to `offset`, `more` than was said before. */
  took(thread: string, offset: number, more: number): void;
  forget(thread: OpenThread): void;
  /** Somebody wants it, later than any other one so far. */
  wanted(thread: OpenThread): void;
}

export class OpenThread extends Emitter<ThreadEvents> implements Thread {
  id: string | undefined;
  state: ThreadState = { phase: 'opening' };
  inFlight: string | undefined;
  /** Of the open that is not answered yet. */
  ref: string | undefined;
  readonly #host: ThreadHost;
  readonly #opened = deferred<Opened>();
  /** Runs that have not ended among them. */
  readonly #readers = new Set<Reader>();
  #epoch: string | undefined;
  /** How far the stream of this connection has come; readers may be ahead of it. */
  #stream: Place = placeAt(-1);
  /** Of this connection; below 0 until the gateway told anything. */
  #acked = -1;
  /** A reader waits for a reset: the ref of the open that will bring it, empty until that is said. */
  #resync: string | undefined;
  /** Runs that somebody wants to end: said on every connection until they do. */
  readonly #stops = new Set<string>();
  /** The end of the log when it was opened last: what came before that is told first. */
  #head = 0;
  readonly #again = alarm();
  #attempt = 0;

  constructor(host: ThreadHost, id: string | undefined, resume: Position | undefined) {
    super();
    this.#host = host;
    this.id = id;
    if (resume) {
      this.#epoch = resume.epoch;
      this.#stream = placeInside(resume.after);
    }
    this.open();
  }

  get opened(): Promise<Opened> {
    return this.#opened.promise;
  }

  get position(): Position | undefined {
    return this.#epoch ? { after: this.#taken(), epoch: this.#epoch } : undefined;
  }

  override on<K extends keyof ThreadEvents>(type: K, listener: (event: ThreadEvents[K]) => void): () => void {
    if (type !== 'event') return super.on(type, listener);
    // The compiler does not follow that K is 'event' here.
    const told = listener as (event: ThreadEvent) => void;
    const reader: Reader = { place: this.#stream, stale: false, give: (event) => guarded(() => told(event)) };
    this.read(reader);
    if (reader.stale) this.resync();
    return () => this.unread(reader);
  }

  [Symbol.asyncIterator](): AsyncIterator<ThreadEvent> {
    return iterate(this);
  }

  /** Adds a reader; one that comes late is stale until it asks for a reset. */
  read(reader: Reader): void {
    reader.place = this.#stream;
    reader.stale = this.#acked >= 0;
    this.#readers.add(reader);
    if (this.state.phase === 'closed') reader.end?.();
  }

  unread(reader: Reader): void {
    this.#readers.delete(reader);
    this.took();
  }

  run(input: string | RunInput, { id = uuid(), agent }: RunOptions = {}): Run {
    const { phase } = this.state;
    if (phase === 'closed') throw new LychgateError('closed', CLOSED);
    const known = this.#asked(id);
    if (known) return known;
    if (this.#runs().length >= MAX_ASKED) throw new LychgateError('busy', 'Too many runs.');
    const said = typeof input === 'string' ? { messages: [{ id: uuid(), role: 'user', content: input }] } : input;
    const run = new Asked({ run: id, input: said, agent }, this);
    run.place = this.#stream;
    this.#readers.add(run);
    this.#host.wanted(this);
    // The gateway would end the connection for it, and whatever else is open there (close 1009).
    if (new Blob([JSON.stringify(run.frame(id))]).size > this.#host.maxBytes)
      this.#onError({ type: 'error', code: 'too_large', message: 'Too large.', run: id });
    else if (phase === 'asleep') this.wake();
    else if (phase === 'open') this.#say(run);
    return run;
  }

  stop(id = this.inFlight ?? this.#runs()[0]?.id): void {
    if (!id) return;
    const asked = this.#asked(id);
    if (asked && !asked.isSaid) return asked.refused({ code: CANCELLED, message: 'Stopped.' });
    this.#stops.add(id);
    if (this.state.phase === 'open') this.#sayStops();
  }

  wake(): void {
    const { state } = this;
    if (!('why' in state) || state.why.next === 'nothing') return;
    this.#host.wanted(this);
    this.open();
  }

  resync(): void {
    this.#resync ??= '';
    if (this.#resync || this.state.phase !== 'open' || !this.id) return;
    this.#resync = uuid();
    this.#host.send({ type: 'open', thread: this.id, ref: this.#resync });
  }

  leave(): void {
    if (this.state.phase === 'closed') return;
    if (this.id) this.#host.send({ type: 'leave', thread: this.id });
    this.close(over('done'));
  }

  /** Opens, or opens again: on a new connection, and where the gateway asked to come back. */
  open(): void {
    this.#again();
    // Whoever waits for a reset is not served by the answer to this.
    this.#resync &&= '';
    if (!this.#isWaiting) this.#set({ phase: 'opening' });
    if (!this.#host.isReady) return;
    this.ref ??= uuid();
    this.#host.send({
      type: 'open',
      thread: this.id,
      after: this.#epoch ? this.#stream.offset : undefined,
      epoch: this.#epoch,
      ref: this.ref,
    });
  }

  /** A new connection stands; what was open on the old one is opened on it. */
  onReady(): void {
    if (this.state.phase === 'open' || this.#isWaiting) this.open();
  }

  onFrame(frame: ThreadFrame): void {
    switch (frame.type) {
      case 'opened':
        return this.#onOpened(frame);
      case 'event':
        return this.#onEvent(frame.offset, frame.event);
      case 'closed':
        return this.#onClosed(frame);
      case 'error':
        return this.#onError(frame);
      case 'notice':
        return this.#onNotice(frame);
    }
  }

  #onOpened(opened: Opened): void {
    const { ref, epoch, after, head, reset, run } = opened;
    if (ref === this.ref) this.ref = undefined;
    const isResync = ref && ref === this.#resync;
    const isSame = epoch === this.#epoch;
    this.#again();
    this.#attempt = 0;
    this.id ??= opened.thread;
    this.#epoch = epoch;
    this.inFlight = run;
    this.#head = head;
    if (isResync) this.#resync = undefined;
    if (reset) this.#onReset(opened, isSame, isResync);
    else if (after !== this.#stream.offset) this.#stream = placeInside(after);
    // Not before: what readers take of a reset is measured against the connection that was.
    this.#acked = after;
    this.#set({ phase: 'open' });
    this.#opened.resolve(opened);
    for (const asked of this.#runs()) this.#say(asked);
    this.#sayStops();
    if (this.#resync === '') this.resync();
  }

  #onEvent(offset: number, event: AguiEvent): void {
    if (offset <= this.#stream.offset) return;
    const from = this.#stream;
    this.#stream = behind(from, offset, event);
    this.#follow(event);
    for (const reader of this.#live()) {
      const part = lacking(reader.place, from, offset, event);
      if (part === 'unknown') {
        reader.stale = true;
        this.resync();
      } else if (part !== 'nothing') {
        reader.place = this.#stream;
        reader.give({ type: 'event', offset, event: part });
      }
    }
    this.#settle();
    this.took();
  }

  #onNotice(notice: Extract<ThreadFrame, { type: 'notice' }>): void {
    switch (notice.code) {
      case 'queued': {
        const { position, deadline } = notice;
        if (this.#isWaiting) this.#set({ phase: 'queued', position, deadline });
        return;
      }
      case 'run_queued':
        return this.emit('queued', notice);
      case 'run_ended': {
        const asked = this.#asked(notice.run);
        if (asked) asked.isOver = true;
        this.#settle();
      }
    }
  }

  #onClosed(frame: Extract<Server, { type: 'closed' }>): void {
    const why = closedWhy(frame);
    this.ref = undefined;
    if (why.next === 'retry') this.#retry(why.retryIn);
    else if (why.next === 'on_demand') this.#set({ phase: 'asleep', why });
    else this.close(why);
  }

  #onError(error: ErrorFrame): void {
    const { code, run: id, message, retry_in } = error;
    this.emit('error', error);
    if (id) {
      const run = this.#asked(id);
      // Of a thread that is not open, and of a node that drains: it is said again once the thread is open.
      if (code === 'not_open') this.onReady();
      else if (code !== 'draining' && run?.phase === 'asked') run.refused(error);
    } else if (code === 'forbidden' || code === 'bad_frame') this.close(over(code, 'nothing', message));
    else this.#retry(retry_in);
  }

  /** Says what is taken by every reader, where that is more than before. */
  took(): void {
    const taken = Math.min(this.#taken(), this.#stream.offset);
    if (!this.id || this.#acked < 0 || taken <= this.#acked) return;
    this.#host.took(this.id, taken, taken - this.#acked);
    this.#acked = taken;
  }

  /** Over for good, or until a person wants it. */
  close(why: CloseWhy): void {
    this.#again();
    this.#set({ phase: 'closed', why });
    this.giveUp(why.message);
    if (why.next !== 'nothing') return;
    this.#opened.reject(new LychgateError('closed', CLOSED));
    for (const reader of this.#readers) reader.end?.();
    this.#host.forget(this);
  }

  /** Nothing that was asked for is waited for any longer. */
  giveUp(message = CLOSED): void {
    for (const run of this.#runs()) run.refused({ code: 'closed', message });
  }

  get #isWaiting(): boolean {
    return this.state.phase === 'opening' || this.state.phase === 'queued';
  }

  /**
   * After a resync only who asked for it starts anew. Who is ahead of it goes on where he is; for who is behind it the
   * events between are fetched, and only where the log has let go of them everybody starts anew.
   */
  #onReset({ messages = [], state, more = false, run, after }: Opened, isSame: boolean, isResync: unknown): void {
    const start = placeAt(after);
    for (const reader of this.#readers) {
      if (isResync && isSame && !reader.stale) continue;
      reader.place = start;
      reader.stale = false;
      reader.give({ type: 'reset', messages, more, state, run }, isSame);
    }
    if (this.#live().some(({ place }) => place.offset < after)) return this.open();
    this.#stream = start;
  }

  #follow({ type, runId }: AguiEvent): void {
    if (type.startsWith('RUN_')) this.inFlight = type === 'RUN_STARTED' ? String(runId) : undefined;
  }

  #live(): Reader[] {
    return [...this.#readers].filter(({ stale }) => !stale);
  }

  /** Those that have not ended. */
  #runs(): Asked[] {
    return [...this.#readers].filter((reader) => reader instanceof Asked);
  }

  #asked(id: string): Asked | undefined {
    return this.#runs().find((run) => run.id === id);
  }

  #say(run: Asked): void {
    if (!this.id || run.phase !== 'asked') return;
    run.isSaid ||= this.#host.isReady;
    this.#host.send(run.frame(this.id));
  }

  /** Those of runs that are over are forgotten. */
  #sayStops(): void {
    for (const run of this.#stops) {
      if (!this.id || (run !== this.inFlight && !this.#asked(run))) this.#stops.delete(run);
      else this.#host.send({ type: 'stop', thread: this.id, run });
    }
  }

  /** Ends runs that are over, once all that can still be told of them is told. */
  #settle(): void {
    if (this.#stream.offset < this.#head) return;
    for (const run of this.#runs()) if (run.isOver && run.id !== this.inFlight) run.finished();
  }

  #retry(retryIn: number | undefined): void {
    this.#set({ phase: 'opening' });
    this.#again(backoff(this.#attempt++, Math.random(), retryIn), () => this.open());
  }

  #taken(): number {
    return this.#live().reduce((least, { taken = least }) => Math.min(least, taken), this.#stream.offset);
  }

  #set(state: ThreadState): void {
    this.state = state;
    this.emit('state', state);
  }
}
