/**
 * The few things of a page that the client listens to, in a process that has none. A browser's own are tried by the
 * tests of the chat page.
 */

import { onTestFinished, vi } from 'vitest';

export interface Window {
  /** What sessionStorage holds. */
  stored: Record<string, string>;
  /** Fires an event at the page. */
  fire(type: string, fields?: Record<string, unknown>): void;
  see(visibility: 'visible' | 'hidden'): void;
  network(state: 'online' | 'offline'): void;
}

/** From here to the end of the test this process is a page. */
export function aPage(): Window {
  const target = new EventTarget();
  const stored: Record<string, string> = {};
  const document = { hidden: false };
  const navigator = { onLine: true };
  const fire = (type: string, fields = {}) => void target.dispatchEvent(Object.assign(new Event(type), fields));
  vi.stubGlobal('addEventListener', target.addEventListener.bind(target));
  vi.stubGlobal('document', document);
  vi.stubGlobal('navigator', navigator);
  vi.stubGlobal('sessionStorage', stored);
  onTestFinished(() => void vi.unstubAllGlobals());
  return {
    stored,
    fire,
    see(visibility) {
      document.hidden = visibility === 'hidden';
      fire('visibilitychange');
    },
    network(state) {
      navigator.onLine = state === 'online';
      fire(state);
    },
  };
}
