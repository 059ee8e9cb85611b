/**
 * One live connection to the node, come back to by rule 12 of docs/protocol.md for as long as the console is open.
 *
 * ```text
 *  start ─► open ─► hello ─► frames ... ─► close ─► back-off ─┐
 *             ▲                                               │
 *             └───────────────────────────────────────────────┘   4501, 4503, 4513: the key counts no more
 *             └── wake ── rest: nobody looks
 * ```
 *
 * A late callback of a socket before is told from one of the socket now by a generation (R5). A socket from which
 * nothing comes for `QUIET_INTERVALS` intervals is given up: one whose network went away would look live for minutes.
 */

import type { Live } from '../wire';
import { backoff, HELD_MS } from './backoff';
import { closing } from './closing';
import type { Link } from './words';

export const SUBPROTOCOL = 'lychgate.live.v1';

/** Intervals without a frame after which a socket counts as lost. */
const QUIET_INTERVALS = 4;

/** From opening a socket to its `hello`. */
const HELLO_WITHIN_MS = 10_000;

export interface LiveOptions {
  url: string;
  /** The operator's key; none where a login's cookie says who it is. */
  key: string | undefined;
  onFrame: (frame: Live) => void;
  onLink: (link: Link) => void;
}

export class LiveSocket {
  readonly #options: LiveOptions;
  #socket: WebSocket | undefined;
  #generation = 0;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #quiet: ReturnType<typeof setTimeout> | undefined;
  #every = 2_000;
  #heldFrom: number | undefined;
  #staleSince: number | undefined;
  #wasLive = false;
  /** What the last one was closed with; nothing once one is live. */
  #endedWith: number | undefined;
  #isAtRest = false;

  constructor(options: LiveOptions) {
    this.#options = options;
    this.#open();
  }

  /** Tries at once where it waits or rests: somebody is looking, or the network is back. */
  wake(): void {
    if (this.#isAtRest || (this.#socket === undefined && this.#timer !== undefined)) this.#open();
  }

  /** Lets its place at the node go until `wake`: there are sixteen, and nobody looks. One that is over stays so. */
  rest(): void {
    if (this.#isAtRest || (this.#socket === undefined && this.#timer === undefined)) return;
    this.close();
    this.#isAtRest = true;
    this.#staleSince ??= Date.now();
    this.#options.onLink({ phase: 'resting', since: this.#staleSince });
  }

  /** Over for good. */
  close(): void {
    this.#generation += 1;
    this.#isAtRest = false;
    clearTimeout(this.#timer);
    clearTimeout(this.#quiet);
    this.#timer = undefined;
    this.#socket?.close(1000);
    this.#socket = undefined;
  }

  #open(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#generation += 1;
    const mine = this.#generation;
    if (!this.#wasLive || this.#isAtRest) this.#options.onLink({ phase: 'connecting' });
    this.#isAtRest = false;
    const { url, key } = this.#options;
    const protocols = key === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, `lychgate.bearer.${key}`];
    const socket = new WebSocket(url, protocols);
    this.#socket = socket;
    this.#expect(HELLO_WITHIN_MS);
    socket.onmessage = (event: MessageEvent<unknown>) => mine === this.#generation && this.#heard(event.data);
    socket.onclose = (event) => mine === this.#generation && this.#lost(event.code, event.reason);
  }

  #heard(text: unknown): void {
    const frame = parse(text);
    if (frame === undefined) return;
    switch (frame.type) {
      case 'hello':
        this.#every = frame.every;
        this.#heldFrom = Date.now();
        this.#wasLive = true;
        this.#staleSince = undefined;
        this.#endedWith = undefined;
        this.#options.onLink({ phase: 'live' });
        break;
      case 'ping':
        this.#socket?.send('{"type":"ack"}');
        break;
      case 'sample':
      case 'decisions':
      case 'alerts':
        break;
    }
    this.#expect(this.#every * QUIET_INTERVALS);
    this.#options.onFrame(frame);
  }

  #expect(withinMs: number): void {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      const socket = this.#socket;
      this.#lost(1006, '');
      socket?.close();
    }, withinMs);
  }

  #lost(code: number, reason: string): void {
    clearTimeout(this.#quiet);
    this.#generation += 1;
    this.#socket = undefined;
    const now = Date.now();
    const end = closing(code, reason, this.#endedWith);
    this.#endedWith = code;
    if (end.then !== 'back') {
      this.#options.onLink(end.then === 'refused' ? { phase: 'refused' } : { phase: 'over', why: end.why });
      return;
    }
    // Only a connection that held says that the next failure is a first one (R12).
    if (this.#heldFrom !== undefined && now - this.#heldFrom >= HELD_MS) this.#attempt = 0;
    this.#heldFrom = undefined;
    const wait = backoff(this.#attempt, end.retryIn);
    this.#attempt += 1;
    this.#staleSince ??= now;
    const retryAt = now + wait;
    this.#options.onLink(
      end.isCrowded
        ? { phase: 'crowded', retryAt }
        : { phase: 'stale', since: this.#staleSince, retryAt, why: end.why },
    );
    this.#timer = setTimeout(() => this.#open(), wait);
  }
}

/**
 * Only objects with a type come from a gateway; anything else is of something in between, and ignored as rule 1 says.
 */
function parse(text: unknown): Live | undefined {
  if (typeof text !== 'string') return undefined;
  try {
    const frame: unknown = JSON.parse(text);
    // The gateway's own frames, whose shape wire.ts holds; the switch above ignores a type that it does not know.
    return typeof frame === 'object' && frame !== null && 'type' in frame ? (frame as Live) : undefined;
  } catch {
    return undefined;
  }
}
