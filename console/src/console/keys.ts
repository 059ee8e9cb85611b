/**
 * The keyboard: `g` and a letter opens a page, `/` goes to the search, `p` stops the charts, `?` lists it all.
 *
 * Single letters get in the way of people who speak to their computer, so they can be switched off (WCAG 2.1.4).
 */

import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Desk } from './state/desk';
import { PAGES } from './state/route';

const STORED = 'lychgate.shortcuts';

/** How long `g` waits for its letter. */
const PAIR_WITHIN_MS = 1_500;

/** Whether keys do anything. */
export const listening = signal(stored());

export function listen(choice: 'on' | 'off'): void {
  listening.value = choice === 'on';
  try {
    localStorage.setItem(STORED, choice);
  } catch {
    // Holds for this page.
  }
}

/** What `?` lists. */
export const SHORTCUTS: readonly { keys: string; does: string }[] = [
  ...PAGES.map(({ key, title }) => ({ keys: `g ${key}`, does: `Open ${title}` })),
  { keys: '/', does: 'Go to the search of this page' },
  { keys: 'p', does: 'Stop the charts, or the stream of decisions, and go on' },
  { keys: 't', does: 'Try to be live again now' },
  { keys: '?', does: 'List these keys' },
];

/** Listens as long as the console is there. `onHelp` opens the list. */
export function useShortcuts(desk: Desk, onHelp: () => void): void {
  useEffect(() => {
    let went = 0;
    const pressed = (event: KeyboardEvent) => {
      if (!listening.value || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const paired = went !== 0 && event.timeStamp - went < PAIR_WITHIN_MS;
      went = 0;
      const page = paired ? PAGES.find(({ key }) => key === event.key) : undefined;
      if (page !== undefined) location.hash = page.href;
      else if (event.key === 'g') went = event.timeStamp;
      else if (!acts(event.key, desk, onHelp)) return;
      event.preventDefault();
    };
    document.addEventListener('keydown', pressed);
    return () => document.removeEventListener('keydown', pressed);
  }, [desk, onHelp]);
}

function acts(key: string, desk: Desk, onHelp: () => void): boolean {
  switch (key) {
    case '/':
      document.querySelector<HTMLInputElement>('main input[type="search"]')?.focus();
      return true;
    case 'p':
      desk.pause();
      return true;
    case 't':
      desk.wake();
      return true;
    case '?':
      onHelp();
      return true;
    default:
      return false;
  }
}

/** In a field, and in a dialog, keys are text and answers. */
function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('input, textarea, select, dialog, [contenteditable]') !== null;
}

function stored(): boolean {
  try {
    return localStorage.getItem(STORED) !== 'off';
  } catch {
    return true;
  }
}
