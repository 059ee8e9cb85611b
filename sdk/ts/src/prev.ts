// Where the id of a connection waits for the reload of its page (docs/protocol.md, rule 3).
//
// It is in memory while the page lives, in sessionStorage only between `pagehide` and the next load. A tab that is
// cloned meanwhile copies an empty storage: it never takes its original's sessions away (R6).

import type { PrevStore } from './types.js';

/** In sessionStorage, under a key of this gateway's own; where that is missing, forbidden or full, nowhere. */
export function sessionPrev(url: string): PrevStore {
  const key = `lychgate.prev ${url}`;
  return {
    take: () =>
      attempt(() => {
        const found: string | undefined = sessionStorage[key];
        delete sessionStorage[key];
        return found;
      }),
    write: (connection) => attempt(() => (sessionStorage[key] = connection)),
  };
}

/** Without it a reload costs a slot for the linger, and nothing else. */
function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}
