// Who reads a thread, and how far he has come. What nobody has taken is not acknowledged, so the gateway stops sending
// when its window is full (docs/protocol.md, rule 7): nothing is buffered without end.

import { type Place, placeAt } from './log.js';
import type { ThreadEvent } from './types.js';

/** Events that wait for one reader. More can come than the window holds only if he sleeps through reconnects. */
export const MAX_BEHIND = 1_024;

export interface Reader {
  /** What it has been given. */
  place: Place;
  /** It lacks something that will not come: it gets nothing more until a reset. */
  stale: boolean;
  /** The last offset that it is done with; without it, what it is given is taken. */
  readonly taken?: number;
  /** @param isSameLog of a reset: whether it is of the log that came before it */
  give(event: ThreadEvent, isSameLog?: unknown): void;
  /** The thread is closed for good. */
  end?(): void;
}

/** What a reader needs of its thread. */
export interface Source {
  /** Begins: what is told from now on is given to `reader`; a thread that is closed ends it. */
  read(reader: Reader): void;
  took(): void;
  resync(): void;
  unread(reader: Reader): void;
}

/** Events wait for whoever iterates, until `source` ends him. */
export async function* iterate(source: Source): AsyncGenerator<ThreadEvent, void> {
  /** The offset of what was handed over last. */
  let at = -1;
  let waiting: { value: ThreadEvent; at: number }[] = [];
  let isOver = false;
  let go: (() => void) | undefined;
  const reader: Reader = {
    place: placeAt(-1),
    stale: false,
    get taken() {
      return waiting.length ? at : this.place.offset;
    },
    give(value) {
      const isReset = value.type === 'reset';
      this.stale = !isReset && waiting.length >= MAX_BEHIND;
      // A reset replaces all that was not taken yet.
      if (isReset || this.stale) waiting = [];
      if (!this.stale) waiting.push({ value, at: this.place.offset });
      go?.();
    },
    end() {
      isOver = true;
      go?.();
    },
  };
  source.read(reader);
  try {
    for (;;) {
      const next = waiting.shift();
      if (next) at = next.at;
      // What was handed over is taken; who lost what waited for him asks for it once he is here.
      if (reader.stale) source.resync();
      else source.took();
      if (next) yield next.value;
      else if (isOver) return;
      else await new Promise<void>((resolve) => (go = resolve));
    }
  } finally {
    source.unread(reader);
  }
}
