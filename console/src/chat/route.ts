// Which conversation the address names. Only `/` is served, so it is a parameter: `/?thread=ID`.

import { signal } from '@preact/signals';

/** The conversation that is shown; none: a new one. */
export const route = signal<string | undefined>(named());

/** Follows the browser's back and forward. Called once. */
export function followRoute(): void {
  window.addEventListener('popstate', () => {
    route.value = named();
  });
}

/** Shows another conversation, as a step that one can go back from. */
export function show(thread: string | undefined): void {
  if (thread === route.value) return;
  history.pushState(null, '', addressOf(thread));
  route.value = thread;
}

/** The same step under another name: the new conversation has an id now, or (none) the named one is not ours. */
export function rename(thread: string | undefined): void {
  history.replaceState(null, '', addressOf(thread));
  route.value = thread;
}

/** The address of a conversation, as a link has it. Other parameters stay. */
export function addressOf(thread: string | undefined): string {
  const query = new URLSearchParams(location.search);
  if (thread === undefined) query.delete('thread');
  else query.set('thread', thread);
  const text = query.toString();
  return text === '' ? '/' : `/?${text}`;
}

function named(): string | undefined {
  return new URLSearchParams(location.search).get('thread') || undefined;
}
