/** An answer that is asked for again and again while somebody looks at it. */

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { Failure } from '../ask';
import { useDesk } from './desk';

export type Polled<T> =
  | { phase: 'loading' }
  | { phase: 'failed'; failure: Failure }
  /** Asked for at `at` (ms since 1970). `failure`: the last try failed, and this is what was known then. */
  | { phase: 'here'; value: T; at: number; failure?: Failure };

/**
 * Asks for `path` now and `everyMs` after each answer, never twice at once, and not while the page is hidden. Another
 * path begins anew; an answer to the path before is ignored. The second value asks at once.
 */
export function usePolled<T>(path: string, everyMs: number): [Polled<T>, () => void] {
  const desk = useDesk();
  const [held, hold] = useState<{ path: string; polled: Polled<T> }>({ path, polled: { phase: 'loading' } });
  const again = useRef<() => void>(() => undefined);
  useEffect(() => {
    const over = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let busy = false;
    const ask = async () => {
      clearTimeout(timer);
      if (busy) return;
      if (document.hidden) {
        timer = setTimeout(ask, everyMs);
        return;
      }
      busy = true;
      const at = Date.now();
      const answer = await desk.ask.look<T>(path, over.signal);
      busy = false;
      if (over.signal.aborted) return;
      hold(({ path: before, polled }) => {
        if (answer.ok) return { path, polled: { phase: 'here', value: answer.value, at } };
        const { failure } = answer;
        return {
          path,
          polled: before === path && polled.phase === 'here' ? { ...polled, failure } : { phase: 'failed', failure },
        };
      });
      timer = setTimeout(ask, everyMs);
    };
    again.current = () => void ask();
    void ask();
    return () => {
      over.abort();
      clearTimeout(timer);
    };
  }, [desk, path, everyMs]);
  const now = useCallback(() => again.current(), []);
  return [held.path === path ? held.polled : { phase: 'loading' }, now];
}
