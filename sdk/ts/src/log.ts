// Where a thread's stream stands, and what of it each reader still lacks (docs/protocol.md, rules 4 and 5).
//
// A thread may be told anew from the beginning of its run while readers already have a part of that, because another
// reader joined late. The gateway joins adjacent pieces of one text for whoever catches up, so an event may hold both
// what a reader has and what he lacks:
//
//   told before:   5 "Hel"  6 "lo, "                  a reader stands at 6
//   told anew:              7 "Hello, world"          he gets 7 "world": nothing twice, nothing lost
//
import type { AguiEvent } from './wire.js';

/** A place in the log, and the text that is being told there. */
export interface Place {
  offset: number;
  /** Kind and id of its adjacent pieces; undefined between texts. */
  of?: string;
  /** How much of it came before that place; -Infinity where its beginning was not seen. */
  length: number;
}

/** A place at a boundary of the log, such as that of a reset. */
export function placeAt(offset: number): Place {
  return { offset, length: 0 };
}

/** A place that may be in the middle of a text. */
export function placeInside(offset: number): Place {
  return { offset, length: -Infinity };
}

/** The place behind the event at `offset`, which follows on `place`. */
export function behind(place: Place, offset: number, event: AguiEvent): Place {
  const piece = pieceOf(event);
  if (!piece) return placeAt(offset);
  // More kinds have pieces than are ever joined; those are only counted.
  const of = `${event.type} ${event['messageId'] ?? event['toolCallId']}`;
  const goesOn = of === place.of || place.length < 0;
  return { offset, of, length: (goesOn ? place.length : 0) + piece.length };
}

/**
 * What a reader at `reader` lacks of the event at `offset`, which follows on `place` of the stream.
 * @returns the event or the rest of it; `nothing`; or `unknown` where it cannot be told apart: then only a reset helps
 */
export function lacking(
  reader: Place,
  place: Place,
  offset: number,
  event: AguiEvent,
): AguiEvent | 'nothing' | 'unknown' {
  if (offset <= reader.offset) return 'nothing';
  if (reader.offset <= place.offset) return event;
  const { of, length } = behind(place, offset, event);
  const piece = pieceOf(event);
  const rest = length - reader.length;
  const isKnown = of === reader.of && rest > 0 && rest <= piece.length;
  return isKnown ? { ...event, delta: piece.slice(-rest) } : 'unknown';
}

function pieceOf({ delta }: AguiEvent): string {
  return typeof delta === 'string' ? delta : '';
}
