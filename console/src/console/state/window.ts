/** Which rows of a long list are in view, and which of them is chosen. */

import { rowAt, type Pages } from './pages';

/** Rows beyond either edge that are rendered too, so that a quick finger sees rows and no holes. */
const SPARE_ROWS = 8;

export interface Rows {
  readonly first: number;
  /** Inclusive; `first - 1` where there is none. */
  readonly last: number;
}

/** The rows to render of `rows` rows of `rowPx` pixels, in a viewport of `heightPx` that is scrolled to `topPx`. */
export function inView(topPx: number, heightPx: number, rowPx: number, rows: number): Rows {
  const first = Math.max(0, Math.min(Math.floor(topPx / rowPx), rows - 1) - SPARE_ROWS);
  const last = Math.min(rows - 1, Math.ceil((topPx + heightPx) / rowPx) + SPARE_ROWS);
  return { first, last: Math.max(last, first - 1) };
}

/** Where to scroll so that a row is in view; the same place where it is already. */
export function scrolledTo(row: number, topPx: number, heightPx: number, rowPx: number): number {
  const start = row * rowPx;
  if (start < topPx) return start;
  if (start + rowPx > topPx + heightPx) return start + rowPx - heightPx;
  return topPx;
}

/**
 * The row of the chosen user now: where he stood (`at`), else wherever he is among the rows in view. None where he is
 * not seen: whoever took his row is not chosen. Without a user, or before the row at his place is known: that place.
 */
export function placeOf(pages: Pages, user: string | undefined, at: number, { first, last }: Rows): number | undefined {
  const there = rowAt(pages, at)?.user;
  if (user === undefined || there === undefined || there === user) return at;
  for (let row = first; row <= last; row += 1) if (rowAt(pages, row)?.user === user) return row;
  return undefined;
}
