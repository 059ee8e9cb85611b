// What the network does, as one of a few conditions of which the page says one at a time.
//
//   client's state, thread's state, browser online?, last notice, limits --conditionOf--> Condition --words.ts--> a
// sentence
//
// Pure. The order is that of what a person can do about it: an end before a wait, the connection before the
// conversation, trouble before advice.

import type { ClientState, CloseWhy, Limits } from '@lychgate/client';
import type { Standing } from './conversation';

/** What there is to say. Times are milliseconds since 1970. */
export type Condition =
  | { kind: 'connecting' }
  | { kind: 'reconnecting' }
  | { kind: 'waiting'; retryAt: number; why: CloseWhy }
  | { kind: 'restarting'; until?: number }
  | { kind: 'offline' }
  | { kind: 'asleep'; what: 'tab' | 'conversation'; message?: string }
  | { kind: 'superseded'; what: 'tab' | 'conversation' }
  | { kind: 'closed_by_operator'; what: 'tab' | 'conversation' }
  | { kind: 'logged_out' }
  | { kind: 'outdated' }
  | { kind: 'forbidden' }
  | { kind: 'ended'; why: CloseWhy }
  | { kind: 'opening' }
  | { kind: 'queued'; position: number; until: number }
  | { kind: 'changed_hands'; user: string }
  | { kind: 'degraded'; message: string }
  | { kind: 'near_limit'; limits: Limits }
  | { kind: 'online' };

/** All that the condition depends on. */
export interface Circumstances {
  client: ClientState;
  /** Of the conversation that is shown; absent where none is open. */
  thread?: Standing | undefined;
  browser: 'online' | 'offline';
  limits?: Limits | undefined;
  /** Until when the server asked to move (`notice reconnect`), or for how long it is not itself (`notice degraded`). */
  restartingUntil?: number | undefined;
  degraded?: { message: string; until: number } | undefined;
  /** Milliseconds since 1970. */
  now: number;
  /** Who is logged in, where it was somebody else before and one was not told yet. */
  changedTo?: string | undefined;
}

/** The one condition that counts most. */
export function conditionOf(all: Circumstances): Condition {
  return ofClient(all) ?? ofThread(all.thread) ?? advice(all);
}

/** Whether time alone changes what there is to say: something counts down, or is over at a moment that is known. */
export function isTimed({ client, thread, limits, restartingUntil, degraded, now }: Circumstances): boolean {
  const moments = [restartingUntil, degraded?.until, limits?.reserve_until];
  return client.phase === 'waiting' || thread?.phase === 'queued' || moments.some((until) => until !== undefined && until > now);
}

function ofClient({ client, browser, restartingUntil = 0, now }: Circumstances): Condition | undefined {
  switch (client.phase) {
    case 'ended':
      return ofEnd(client.why, 'tab');
    case 'asleep':
      return asleep(client.why, 'tab');
    case 'waiting':
      if (browser === 'offline') return { kind: 'offline' };
      // A server that said that it goes is not there for a while: a dial that nobody answers then is no other trouble.
      if (client.why.code === 4001 || restartingUntil > now) return { kind: 'restarting', until: client.retryAt };
      return { kind: 'waiting', retryAt: client.retryAt, why: client.why };
    case 'connecting':
      if (browser === 'offline') return { kind: 'offline' };
      if (restartingUntil > now) return { kind: 'restarting', until: now };
      return { kind: client.attempt > 0 ? 'reconnecting' : 'connecting' };
    case 'online':
      return undefined;
  }
}

function ofThread(thread: Standing | undefined): Condition | undefined {
  switch (thread?.phase) {
    case 'opening':
      return { kind: 'opening' };
    case 'queued':
      return { kind: 'queued', position: thread.position, until: thread.until };
    case 'asleep':
      return asleep(thread.why, 'conversation');
    case 'closed':
      return ofEnd(thread.why, 'conversation');
    case 'open':
    case undefined:
      return undefined;
  }
}

function asleep(why: CloseWhy, what: 'tab' | 'conversation'): Condition {
  return { kind: 'asleep', what, ...(why.message === undefined ? {} : { message: why.message }) };
}

/**
 * An end by its code (protocol.md, rule 12 and the table of codes); of a conversation by its reason, which is the
 * same word.
 */
function ofEnd(why: CloseWhy, what: 'tab' | 'conversation'): Condition {
  switch (why.reason) {
    case 'superseded':
      return { kind: 'superseded', what };
    case 'closed_by_admin':
      return { kind: 'closed_by_operator', what };
    case 'logged_out':
    case 'unauthorized':
    case 'token_expired':
      return { kind: 'logged_out' };
    case 'bad_protocol':
    case 'unsupported_version':
      return { kind: 'outdated' };
    case 'forbidden':
      return { kind: 'forbidden' };
    default:
      return { kind: 'ended', why };
  }
}

function advice({ limits, restartingUntil, degraded, now, changedTo }: Circumstances): Condition {
  if (changedTo !== undefined) return { kind: 'changed_hands', user: changedTo };
  if (restartingUntil !== undefined && restartingUntil > now) return { kind: 'restarting' };
  if (degraded && degraded.until > now) return { kind: 'degraded', message: degraded.message };
  if (limits && limits.level !== 'ok') return { kind: 'near_limit', limits };
  return { kind: 'online' };
}
