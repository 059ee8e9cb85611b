// What a close means (docs/protocol.md, rule 11). Every close says whether and when to come back: a wrong reading is a
// lockout (R11), or a storm.

import type { CloseWhy } from './types.js';
import type { Reconnect, Server } from './wire.js';

/** Longest wait that is believed: a mistaken `retry_in` must not keep a tab away for a day. */
const MAX_RETRY_MS = 5 * 60_000;

const ON_DEMAND = 4511;
/** `closed` frames have words and no codes; those that matter to whoever looks at codes. */
const CODES: Record<string, number> = { done: 1000, evicted: ON_DEMAND, closed_by_admin: 4512, logged_out: 4513 };
/** What helps where nothing comes back by itself; without an entry: nothing where the gateway says so, else trying. */
const HELP: Record<string, CloseWhy['next']> = { 4501: 'login', 4512: 'user_action', 4513: 'login', done: 'nothing' };

/**
 * Reads a close event. The reason is JSON, `{"reason":"draining","reconnect":true,"retry_in":7300}`; without one, or
 * with one that is not of that shape, the code decides.
 */
export function closeWhy(code: number, text: string): CloseWhy {
  const { reason, reconnect, retry_in } = parsed(text);
  const comesBack = typeof reconnect === 'boolean' ? reconnect : reconnects(code);
  return why(
    code,
    typeof reason === 'string' ? reason : code === 1006 ? 'lost' : String(code),
    code === ON_DEMAND ? 'on_demand' : comesBack ? 'resume' : 'never',
    retry_in,
  );
}

/** Reads a `closed` frame: the end of one conversation, while the connection goes on. */
export function closedWhy(frame: Extract<Server, { type: 'closed' }>): CloseWhy {
  const { reason, reconnect, message, retry_in } = frame;
  const code = CODES[reason] ?? (reconnect === 'never' ? 4500 : 4000);
  return { ...why(code, reason, reconnect, retry_in), message };
}

/** Where no close frame said anything: the connection broke, or was refused before it was one, which looks the same. */
export function lost(reason: string): CloseWhy {
  return why(1006, reason, 'resume');
}

/** The end that we ourselves want. */
export function over(reason: string, next: CloseWhy['next'] = 'nothing', message?: string): CloseWhy {
  return { code: 1000, reason, next, message };
}

/** Whether a close with this code alone asks to come back. */
export function reconnects(code: number): boolean {
  return /^(4[0-4]..|1001|1006|101[123])$/.test(String(code));
}

function why(code: number, reason: string, reconnect: Reconnect, retryIn?: unknown): CloseWhy {
  const ends = HELP[reason] ?? HELP[code] ?? (code < 4500 ? 'user_action' : 'nothing');
  const next = reconnect === 'resume' ? 'retry' : reconnect === 'never' ? ends : reconnect;
  const waits = next === 'retry' && typeof retryIn === 'number' && retryIn >= 0;
  return { code, reason, next, retryIn: waits ? Math.min(retryIn, MAX_RETRY_MS) : undefined };
}

/** JSON as an object: an empty one where it is none. */
export function parsed(text: unknown): Record<string, unknown> {
  try {
    return Object(JSON.parse(String(text)));
  } catch {
    return {};
  }
}
