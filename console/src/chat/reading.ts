// Where one reads: at the end, which is followed, or further up, which is left alone; and what happens above.
//
// Following ends with the first scroll upwards and begins again at the end. Older messages that come in above move
// nothing that is in view: the distance to the end stays what it was.

import type { RefObject } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

/** So near to the end counts as at it: half a line, rounding, zoom. */
const NEAR_PX = 32;
/** So near to the top older messages are asked for. */
const TOP_PX = 200;

export interface Shown {
  view: unknown;
  /** What stands first; another one: something came or went above. */
  first: string | undefined;
  /** How many messages wait to be sent. */
  pending: number;
  /** The top comes into view. */
  onTop: () => void;
}

export interface Reading {
  /** `end`: at the end; `seen`: further up, nothing new below; `new`: further up, and something came. */
  below: 'end' | 'seen' | 'new';
  onScroll: () => void;
  toEnd: () => void;
}

export function useReading(log: RefObject<HTMLElement | null>, { view, first, pending, onTop }: Shown): Reading {
  const [below, setBelow] = useState<Reading['below']>('end');
  const follows = useRef(true);
  const last = useRef({ height: 0, top: 0, first, pending });

  const toEnd = () => {
    follows.current = true;
    setBelow('end');
    if (log.current) log.current.scrollTop = log.current.scrollHeight;
  };

  const onScroll = () => {
    const element = log.current;
    if (!element) return;
    const left = element.scrollHeight - element.scrollTop - element.clientHeight;
    // Content that grew is no scroll of a person: only a smaller top than before is.
    if (left <= NEAR_PX) follows.current = true;
    else if (element.scrollTop < last.current.top) follows.current = false;
    last.current.top = element.scrollTop;
    setBelow((before) => (left <= NEAR_PX || follows.current ? 'end' : before === 'new' ? 'new' : 'seen'));
    if (element.scrollTop < TOP_PX && !follows.current) onTop();
  };

  useLayoutEffect(() => {
    const element = log.current;
    if (!element) return;
    const before = last.current;
    // Who sends a message wants to see it, wherever he read.
    if (pending > before.pending) follows.current = true;
    if (follows.current) {
      element.scrollTop = element.scrollHeight;
      setBelow('end');
    } else if (first !== before.first) {
      element.scrollTop += element.scrollHeight - before.height;
    } else if (element.scrollHeight > before.height) {
      setBelow('new');
    }
    last.current = { height: element.scrollHeight, top: element.scrollTop, first, pending };
  }, [view, first, pending]);

  useLayoutEffect(() => {
    const element = log.current;
    if (!element) return undefined;
    // The field below grew, or the window changed: the end stays in view.
    const watch = new ResizeObserver(() => follows.current && (element.scrollTop = element.scrollHeight));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  return { below, onScroll, toEnd };
}
