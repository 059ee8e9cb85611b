// What the page around us does, where there is one. Node has none: nothing is ever told there.

/** Names of the page's own events. */
const EVENTS = ['pointerdown', 'keydown', 'visibilitychange', 'online', 'offline', 'pagehide', 'pageshow'] as const;

export type Signal = (typeof EVENTS)[number];

export interface Page {
  /** Whether a person sees it; undefined where nobody could. */
  readonly visible: boolean | undefined;
  /** What the device says, which may be wrong either way: it decides what we say, never whether we try. */
  readonly offline: boolean;
  /** Begins to tell; what it returns ends it. */
  listen(told: (signal: Signal) => void): () => void;
}

/** The page, worker or process that this runs in. */
export function thisPage(): Page {
  const { document, addEventListener, navigator } = globalThis as Partial<typeof globalThis>;
  return {
    get visible() {
      return document && !document.hidden;
    },
    get offline() {
      return navigator?.onLine === false;
    },
    listen(told) {
      const ending = new AbortController();
      const options = { capture: true, signal: ending.signal };
      for (const type of EVENTS) addEventListener?.(type, () => told(type), options);
      return () => ending.abort();
    },
  };
}
