// Which messages of a long conversation are drawn: the newest ones, and older ones as one asks for them.
//
//   [ hidden | from ........ the newest ]      at the end: what is too much slides into hidden
//       '--reveal, a page at a time--'         further up: nothing that is drawn goes away
//
// Without a bound every answer of an evening stays in the document, and each layout pays for all of them.

import type { ViewMessage } from '@lychgate/client/messages';
import { useRef, useState } from 'preact/hooks';

/** Drawn at first, and one page of `reveal`. */
export const NEWEST = 200;
/** So many more are drawn before some go: not one with each message. */
const SLACK = 50;

/** How one looks at a list: `end` follows it, `up` stays where one reads, `reveal` wants one page more. */
export type Looking = 'end' | 'up' | 'reveal';

/** The index from which messages are drawn; `anchor` is the id of the one that stood first before. */
export function fromOf(messages: readonly { id: string }[], anchor: string | undefined, looking: Looking): number {
  const newest = Math.max(0, messages.length - NEWEST);
  const at = anchor === undefined ? -1 : messages.findIndex(({ id }) => id === anchor);
  const from = at < 0 ? newest : at;
  switch (looking) {
    case 'reveal':
      return Math.max(0, from - NEWEST);
    case 'end':
      return newest - from > SLACK ? newest : from;
    case 'up':
      return from;
  }
}

export interface Newest {
  /** The id of what is drawn first. */
  first: string | undefined;
  shown: readonly ViewMessage[];
  /** How many messages stand before it, that are there and not drawn. */
  hidden: number;
  /** Draws a page more. */
  reveal: () => void;
  /** Whether one is at the end, from the next drawing on. */
  keepUp: (isAtEnd: boolean) => void;
}

/** Of the older messages and those of the view, which stand below them. */
export function useNewest(older: readonly ViewMessage[], newer: readonly ViewMessage[]): Newest {
  const all = older.length === 0 ? newer : [...older, ...newer];
  const anchor = useRef<string | undefined>(undefined);
  const looking = useRef<Looking>('end');
  const [, draw] = useState(0);
  const from = fromOf(all, anchor.current, looking.current);
  anchor.current = all[from]?.id;
  return {
    first: anchor.current,
    shown: from === 0 ? all : all.slice(from),
    hidden: from,
    reveal: () => {
      looking.current = 'reveal';
      draw((count) => count + 1);
    },
    keepUp: (isAtEnd) => {
      looking.current = isAtEnd ? 'end' : 'up';
    },
  };
}
