// One run, as the client that asked for it sees it: asked, accepted, streamed, ended.
//
//   asked --RUN_STARTED--> accepted --RUN_FINISHED, RUN_ERROR--> ended
//     |  '--(every reconnect)-- said again with the same id      ^
//     '--error busy, ...: refused---------- a reset without it --'
//
import { deferred } from './deferred.js';
import { LychgateError } from './errors.js';
import { placeAt } from './log.js';
import type { Reader, Source } from './reader.js';
import type { ErrorFrame, Run, RunEnd, Said, ThreadEvent } from './types.js';
import type { AguiEvent } from './wire.js';

export const CANCELLED = 'cancelled';

/** A run without its thread. */
type Question = Omit<Extract<Said, { type: 'run' }>, 'type' | 'thread'>;

/** What a run needs of its thread. */
type Asking = Pick<Source, 'unread'> & { stop(run: string): void };

export class Asked implements Run, Reader {
  place = placeAt(-1);
  stale = false;
  phase: 'asked' | 'accepted' | 'ended' = 'asked';
  /** Whether the gateway may know of it. */
  isSaid = false;
  /** Whether the gateway says that it is over. How it ended may still be on its way. */
  isOver = false;
  readonly #asked: Question;
  readonly #source: Asking;
  readonly #accepted = deferred<void>();
  readonly #done = deferred<RunEnd>();

  constructor(asked: Question, source: Asking) {
    this.#asked = asked;
    this.#source = source;
  }

  get id(): string {
    return this.#asked.run;
  }

  get accepted(): Promise<void> {
    return this.#accepted.promise;
  }

  get done(): Promise<RunEnd> {
    return this.#done.promise;
  }

  stop(): void {
    this.#source.stop(this.id);
  }

  frame(thread: string): Said {
    return { type: 'run', thread, ...this.#asked };
  }

  /** One run at a time per thread: between our start and our end everything is ours. */
  give(told: ThreadEvent, isSameLog?: unknown): void {
    if (told.type === 'reset') return this.#onReset(told, isSameLog);
    const { event } = told;
    // Its end names it as well, to whoever resumed behind its beginning.
    if (this.phase === 'asked' && event['runId'] !== this.id) return;
    this.phase = 'accepted';
    this.#accepted.resolve();
    const end = endOf(event);
    if (end) this.#settle(end);
  }

  refused({ code, message, retry_in: retryIn }: Pick<ErrorFrame, 'code' | 'message' | 'retry_in'>): void {
    this.#accepted.reject(new LychgateError(code, message, retryIn));
    this.#settle(code === CANCELLED ? { outcome: code } : { outcome: 'error', code, message, retryIn });
  }

  /** It went well, as far as anybody can tell: nothing of it will come. */
  finished(): void {
    this.#accepted.resolve();
    this.#settle({ outcome: 'finished' });
  }

  /** The thread is told anew and nothing in between will come: what does that say of this run? */
  #onReset({ messages, run }: Extract<ThreadEvent, { type: 'reset' }>, isSameLog: unknown): void {
    const wasAccepted = this.phase === 'accepted';
    if (run === this.id) return;
    const asked = this.#asked.input.messages.map(({ id }) => id);
    if (messages.some(({ id }) => asked.includes(id)) || (wasAccepted && isSameLog)) {
      this.finished();
    } else if (wasAccepted) {
      this.#settle({ outcome: 'error', code: 'lost', message: 'The answer was lost.' });
    }
  }

  #settle(end: RunEnd): void {
    this.phase = 'ended';
    this.#done.resolve(end);
    this.#source.unread(this);
  }
}

/** How a run ended with this event, if it did. Fields of events are not promised to be of any type. */
function endOf({ type, outcome, result, code, message }: AguiEvent): RunEnd | undefined {
  if (type === 'RUN_ERROR')
    return { outcome: 'error', message: String(message), code: code ? String(code) : undefined };
  if (type !== 'RUN_FINISHED') return undefined;
  const { type: how, interrupts } = Object(outcome);
  return { outcome: how === CANCELLED ? how : interrupts ? 'interrupted' : 'finished', result, interrupts };
}
