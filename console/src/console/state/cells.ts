/**
 * The slots of a user as a row of cells: his sessions first, then what is free, then the reserve.
 *
 * ```text
 *  limit 20                                      reserve 5
 *  [A][A][S][Z][L][A] ... [ ][ ][ ][ ]           [r][r][r][r][r]
 * ```
 *
 * Each kind has a letter, a word and a shape (console.css); the colour only repeats them.
 */

import type { Connection, Session, User } from '../wire';

export type CellKind = 'alive' | 'suspect' | 'zombie' | 'lingering' | 'free' | 'reserve';

export interface Cell {
  /** Counted from 1. */
  readonly place: number;
  readonly kind: CellKind;
  /** Whether it lies beyond the limit: a session there was admitted into the reserve, or before the limit fell. */
  readonly beyond: boolean;
  readonly session: Session | undefined;
}

export const KINDS: Readonly<Record<CellKind, { letter: string; word: string; meaning: string }>> = {
  alive: { letter: 'A', word: 'alive', meaning: 'its best connection answers' },
  suspect: { letter: 'S', word: 'suspect', meaning: 'a heartbeat stayed unanswered' },
  zombie: { letter: 'Z', word: 'zombie', meaning: 'nobody is there any more; the next reclaim takes it' },
  lingering: {
    letter: 'L',
    word: 'lingering',
    meaning: 'no connection, kept warm for a reload; any admission may take it',
  },
  free: { letter: '', word: 'free', meaning: 'the next conversation takes it' },
  reserve: { letter: 'r', word: 'reserve', meaning: 'for a while, when every session is protected' },
};

/** What a session shows as. A word that is not known yet is suspect: it is looked at rather than passed over. */
export function kindOf(liveness: string): CellKind {
  if (liveness === 'alive') return 'alive';
  if (liveness === 'detached') return 'lingering';
  if (liveness.startsWith('zombie')) return 'zombie';
  return 'suspect';
}

/** What other nodes leave of his limit. */
export function limitHere(user: User): number {
  return Math.max(0, user.limit - (user.elsewhere?.length ?? 0));
}

/** All cells of this node: at least what is left of the limit and the reserve, more where the user holds more. */
export function cellsOf(user: User, reserve: number): readonly Cell[] {
  const limit = limitHere(user);
  const places = Math.max(limit + reserve, user.sessions.length);
  return Array.from({ length: places }, (_, at): Cell => {
    const session = user.sessions[at];
    const beyond = at >= limit;
    const empty = beyond ? 'reserve' : 'free';
    return { place: at + 1, kind: session === undefined ? empty : kindOf(session.liveness), beyond, session };
  });
}

/** How many cells there are of each kind, for the sentence above the row. */
export function tally(cells: readonly Cell[]): Readonly<Record<CellKind, number>> {
  const counts = { alive: 0, suspect: 0, zombie: 0, lingering: 0, free: 0, reserve: 0 };
  for (const cell of cells) counts[cell.kind] += 1;
  return counts;
}

/** The connections that show a session. */
export function showing(user: User, session: Session): readonly Connection[] {
  return user.connections.filter((connection) => session.connections.includes(connection.connection));
}

/** Where an arrow key leads in a row that wraps after `columns` cells. */
export function moved(at: number, key: string, columns: number, cells: number): number {
  const last = cells - 1;
  const clamp = (to: number) => Math.min(Math.max(to, 0), last);
  switch (key) {
    case 'ArrowRight':
      return clamp(at + 1);
    case 'ArrowLeft':
      return clamp(at - 1);
    case 'ArrowDown':
      return at + columns > last ? at : at + columns;
    case 'ArrowUp':
      return at - columns < 0 ? at : at - columns;
    case 'Home':
      return 0;
    case 'End':
      return last;
    default:
      return at;
  }
}
