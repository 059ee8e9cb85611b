/**
 * What an operator may do to a user: what he is asked first, what is sent, and what became of it in words.
 *
 * A deed is data, so that each can be read in a table and none does anything before somebody has said yes.
 */

import type { Asker, Answer } from '../ask';
import type { Ended, Level, LimitInForce, Reclaimed, User } from '../wire';
import { count, counted, dated, levelSentence } from '../words';

export interface Deed {
  readonly title: string;
  /** What will happen, to whom. */
  readonly asks: readonly string[];
  /** What the button says. */
  readonly confirm: string;
  /** `danger`: it takes something away. */
  readonly look: 'main' | 'danger';
  /** Sends it. The same `once` twice is done once. */
  readonly send: (ask: Asker, once: string) => Promise<Answer<string>>;
}

/** What a log-out closed on this node (docs/admin.md). */
interface Revoked {
  closed: number;
  ended: string[];
}

/** Sessions that a user may be lent at most (docs/admin.md). */
export const MOST_LENT = 1_000;

const ANSWERS_GO_ON = 'An answer that is being written goes on.';

const MAKE_ROOM = 'Where he holds more than his own limit then, each new session makes room: one of the others ends.';

/** For how long, as people read it and as the wire has it. */
const LENT_FOR = { words: 'one hour', wire: '1h' } as const;

export function reclaim(user: User, level: Level): Deed {
  const path = `${of(user)}/reclaim`;
  return {
    title: `Reclaim: ${level}`,
    asks: [
      `User ${user.user}, who holds ${counted(user.used, 'session')} of ${count(user.limit)}.`,
      levelSentence(level),
      'A tab that loses its session is told why, and comes back when somebody uses it.',
      ANSWERS_GO_ON,
    ],
    confirm: `Reclaim (${level})`,
    look: 'danger',
    send: async (ask, once) =>
      told(await ask.order<Reclaimed>('POST', path, { level }, once), (done) => reclaimedSentence(user, done)),
  };
}

export function evict(user: User, key: string, thread: string): Deed {
  return {
    title: 'End this session',
    asks: [
      `The session ${thread} of user ${user.user}.`,
      'Every tab that shows it is told that an operator closed it, and does not come back by itself.',
      ANSWERS_GO_ON,
    ],
    confirm: 'End the session',
    look: 'danger',
    send: async (ask, once) =>
      told(
        await ask.order<Ended>('DELETE', `/v1/admin/sessions/${encodeURIComponent(key)}`, undefined, once),
        () => `The session ${thread} of ${user.user} was ended.`,
      ),
  };
}

export function logOut(user: User): Deed {
  const connections = counted(user.connections.length, 'connection');
  return {
    title: 'Log out everywhere',
    asks: [
      `User ${user.user}: ${counted(user.sessions.length, 'session')} and ${connections} on this node.`,
      'Every token and login that let him in until now lets him in no more. His tabs close within a second.',
      'He has to log in anew. This cannot be taken back.',
    ],
    confirm: 'Log out everywhere',
    look: 'danger',
    send: async (ask, once) =>
      told(await ask.order<Revoked>('DELETE', `${of(user)}/sessions`, undefined, once), (done) => {
        const lingering = done.ended.length === 0 ? '' : ` and ${counted(done.ended.length, 'lingering session')}`;
        return `${user.user} was logged out: ${counted(done.closed, 'connection')}${lingering} closed.`;
      }),
  };
}

/**
 * Why so many sessions cannot be lent to whoever may hold `limit` now, or nothing. Fewer than that are no loan: the
 * next session that he opens would end one that lives.
 */
export function lendRefusal(limit: number, sessions: number): string | undefined {
  if (limit >= MOST_LENT)
    return `He may hold ${count(limit)} sessions, and more than ${count(MOST_LENT)} cannot be lent.`;
  if (Number.isInteger(sessions) && sessions > limit && sessions <= MOST_LENT) return undefined;
  return `The limit must be a whole number above the ${count(limit)} of now, up to ${count(MOST_LENT)}.`;
}

/** Whether this node knows of him from other nodes alone: what it takes for his limit is that of whoever has no plan. */
export function isStranger({ sessions, connections, elsewhere = [] }: User): boolean {
  return sessions.length === 0 && connections.length === 0 && elsewhere.length > 0;
}

export const UNKNOWN_PLAN = 'This node does not know his plan. Raise his limit on a node that has his sessions.';

/** Lends him so many sessions: those that `lendRefusal` has nothing against. */
export function lend(user: User, sessions: number): Deed {
  return {
    title: 'Raise the limit for an hour',
    asks: [
      `User ${user.user} may hold ${counted(sessions, 'session')} instead of ${count(user.limit)}.`,
      `That holds for ${LENT_FOR.words}, on every node; of one that is alone a restart ends it earlier.`,
      `Nobody is closed for it. ${MAKE_ROOM}`,
    ],
    confirm: `Raise to ${count(sessions)}`,
    look: 'main',
    send: async (ask, once) =>
      told(
        await ask.order<LimitInForce>(
          'PUT',
          `${of(user)}/limits`,
          { max_sessions: sessions, for: LENT_FOR.wire },
          once,
        ),
        (done) => {
          const until = done.until === undefined ? '' : ` until ${dated(done.until)}`;
          return `${user.user} may hold ${counted(done.limit, 'session')}${until}.`;
        },
      ),
  };
}

export function restore(user: User): Deed {
  return {
    title: 'Take the raised limit back',
    asks: [
      `The limit of user ${user.user} is that of his plan again, at once.`,
      `Nobody is closed at once. ${MAKE_ROOM}`,
    ],
    confirm: 'Take it back',
    look: 'main',
    send: async (ask, once) =>
      told(
        await ask.order<LimitInForce>('DELETE', `${of(user)}/limits`, undefined, once),
        (done) => `${user.user} may hold ${counted(done.limit, 'session')} again and holds ${count(done.used)}.`,
      ),
  };
}

/** What is proposed: half as much again, one more at least. */
export function proposed(limit: number): number {
  return Math.min(MOST_LENT, Math.max(limit + 1, Math.ceil(limit * 1.5)));
}

function of(user: User): string {
  return `/v1/admin/users/${encodeURIComponent(user.user)}`;
}

/** What went, who else was told, and what he holds on this node. */
export function reclaimedSentence(user: User, done: Reclaimed): string {
  const { asked = [] } = done;
  const others = asked.length === 0 ? '' : ` Of other nodes told to do the same: ${asked.join(', ')}.`;
  const unknown = done.elsewhere_unknown ? ' Nobody could tell what is on other nodes, and none was asked.' : '';
  const holds = `${user.user} holds ${count(done.used)} of ${count(done.limit)} now.${others}${unknown}`;
  if (done.evicted.length === 0) return `Nothing was reclaimed: nothing that this level takes is here. ${holds}`;
  const threads = done.evicted.slice(0, 5).map(({ thread }) => thread);
  const more = done.evicted.length > threads.length ? ` and ${done.evicted.length - threads.length} more` : '';
  return `${counted(done.evicted.length, 'session')} reclaimed: ${threads.join(', ')}${more}. ${holds}`;
}

function told<T>(answer: Answer<T>, sentence: (value: T) => string): Answer<string> {
  return answer.ok ? { ...answer, value: sentence(answer.value) } : answer;
}
