// One run out of a thread's events, each piece of it once, however often the gateway tells it anew.
//
//   thread: reset  RUN_STARTED r  CONTENT "You "  ~~ cut ~~  reset  RUN_STARTED r  CONTENT "You said "  ...
//   run r:         RUN_STARTED r  CONTENT "You "                                   CONTENT "said "      ...
//
// A page that folds events may replace what it has at a reset. A verifier that counts starts and ends, or a stream that
// somebody else reads, may not. What is told anew is the same sequence, except that adjacent pieces of a text may have
// been joined: so texts are counted in characters, and everything else in events of its kind and id.

import { list, record, text } from './messages/read.js';
import type { ThreadEvent } from './types.js';
import type { AguiEvent, Message } from './wire.js';

/** Reads the run `run` of a thread. Without an id: the first that begins, which after a reset is the one in flight. */
export class RunReader {
  readonly #thread: string;
  #run: string | undefined;
  /** Whether what is told now belongs to the run. */
  #isInside = false;
  #hasEnded = false;
  /** How much was passed on, and how much of it the present telling has told: characters or events by kind and id. */
  readonly #passed = new Map<string, number>();
  readonly #told = new Map<string, number>();
  /** Messages of the run: by them a history shows that it has the run in it. */
  readonly #messages = new Set<string>();
  /** What is open: how to end it, by what began it. */
  readonly #open = new Map<string, AguiEvent>();

  constructor(thread: string, run?: string) {
    this.#thread = thread;
    this.#run = run;
  }

  /** Undefined until a run was seen, where none was asked for. */
  get run(): string | undefined {
    return this.#run;
  }

  /** Whether RUN_STARTED was passed on. */
  get hasBegun(): boolean {
    return this.#passed.size > 0;
  }

  /** Whether RUN_FINISHED or RUN_ERROR was passed on. Nothing comes after it. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** What of the run the thread told with this. A reset that does not know the begun run any more ends it. */
  read(told: ThreadEvent): AguiEvent[] {
    if (this.#hasEnded) return [];
    switch (told.type) {
      case 'reset':
        this.#isInside = false;
        this.#told.clear();
        return this.hasBegun && told.run !== this.#run ? this.end(told) : [];
      case 'event':
        return this.#pass(told.event);
    }
  }

  /**
   * Ends a run of which the end was not told: it was over before this reader came back. Its messages are in `history`;
   * whether it was cancelled or failed is not known any more. Where they are not, the gateway lost them: RUN_ERROR
   * `lost`.
   */
  end(history: { readonly messages: readonly Message[]; readonly state?: unknown }): AguiEvent[] {
    if (this.#hasEnded) return [];
    this.#hasEnded = true;
    const ids = { threadId: this.#thread, runId: this.#run ?? '' };
    const isLost = this.#messages.size > 0 && !history.messages.some(({ id }) => this.#messages.has(id));
    return [
      ...(this.hasBegun ? [] : [{ type: 'RUN_STARTED', ...ids }]),
      ...[...this.#open.values()].reverse(),
      { type: 'MESSAGES_SNAPSHOT', messages: history.messages },
      ...(history.state === undefined ? [] : [{ type: 'STATE_SNAPSHOT', snapshot: history.state }]),
      isLost
        ? { type: 'RUN_ERROR', code: 'lost', message: 'The gateway lost this answer.' }
        : { type: 'RUN_FINISHED', ...ids },
    ];
  }

  #pass(event: AguiEvent): AguiEvent[] {
    if (event.type === 'RUN_STARTED') {
      this.#run ??= text(event.runId);
      this.#isInside = text(event.runId) === this.#run;
    }
    if (!this.#isInside) return [];
    const fresh = this.#fresh(event);
    if (fresh) this.#follow(fresh);
    return fresh ? [fresh] : [];
  }

  /** What of the event was not passed on before. */
  #fresh(event: AguiEvent): AguiEvent | undefined {
    const piece = isPiece(event.type) ? text(event.delta) : undefined;
    const key = `${event.type} ${idOf(event) ?? ''}`;
    const told = (this.#told.get(key) ?? 0) + (piece === undefined ? 1 : piece.length);
    const passed = this.#passed.get(key) ?? 0;
    this.#told.set(key, told);
    if (told <= passed) return undefined;
    this.#passed.set(key, told);
    return piece === undefined || told - passed >= piece.length
      ? event
      : { ...event, delta: piece.slice(passed - told) };
  }

  #follow(event: AguiEvent): void {
    const id = idOf(event);
    const { messageId } = event;
    if (typeof messageId === 'string') this.#messages.add(messageId);
    for (const message of list(record(event.input)?.messages) ?? []) {
      const asked = text(record(message)?.id);
      if (asked !== undefined) this.#messages.add(asked);
    }
    const [kind] = event.type.split(/_(?:START|END)(?:ED)?$/);
    switch (event.type) {
      case 'TEXT_MESSAGE_START':
      case 'REASONING_START':
      case 'REASONING_MESSAGE_START':
        this.#open.set(`${kind} ${id}`, { type: `${kind}_END`, messageId: id });
        return;
      case 'TOOL_CALL_START':
        this.#open.set(`${kind} ${id}`, { type: 'TOOL_CALL_END', toolCallId: id });
        return;
      case 'TEXT_MESSAGE_END':
      case 'REASONING_END':
      case 'REASONING_MESSAGE_END':
      case 'TOOL_CALL_END':
        this.#open.delete(`${kind} ${id}`);
        return;
      case 'STEP_STARTED':
        this.#open.set(`STEP ${id}`, { type: 'STEP_FINISHED', stepName: id });
        return;
      case 'STEP_FINISHED':
        this.#open.delete(`STEP ${id}`);
        return;
      case 'SUBAGENT_STARTED':
        this.#open.set(`SUBAGENT ${id}`, { type: 'SUBAGENT_FINISHED', subagentRunId: id });
        return;
      case 'SUBAGENT_FINISHED':
      case 'SUBAGENT_ERROR':
        this.#open.delete(`SUBAGENT ${id}`);
        return;
      case 'RUN_FINISHED':
      case 'RUN_ERROR':
        this.#hasEnded = true;
    }
  }
}

/** The kinds of which the gateway joins adjacent events; a chunk is an event of its own and is never joined. */
function isPiece(type: string): boolean {
  return type === 'TEXT_MESSAGE_CONTENT' || type === 'REASONING_MESSAGE_CONTENT' || type === 'TOOL_CALL_ARGS';
}

function idOf(event: AguiEvent): string | undefined {
  const { messageId, toolCallId, stepName, subagentRunId } = event;
  return text(toolCallId) ?? text(messageId) ?? text(stepName) ?? text(subagentRunId);
}
