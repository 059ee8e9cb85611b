// What was typed and not sent, per conversation, over reloads: in localStorage, for one user, 50 texts at most.

import { Own, browserStorage } from './own';

const KEY = 'lychgate.drafts';
const MOST = 50;
const LONGEST = 20_000;

/** By conversation, '' for a new one; the one that was written last stands last. */
type Draft = [thread: string, text: string];

/** The drafts of one user. */
export class Drafts {
  readonly #own: Own<Draft>;

  constructor(user: string, storage: Storage | undefined = browserStorage()) {
    this.#own = new Own(KEY, user, isDraft, storage);
  }

  /** What was typed there, or nothing. */
  read(thread: string | undefined): string {
    return this.#own.load().find(([id]) => id === (thread ?? ''))?.[1] ?? '';
  }

  /** Keeps a text, or forgets it if it is empty. Where nothing may be stored it lives as long as the page. */
  write(thread: string | undefined, text: string): void {
    const id = thread ?? '';
    const others = this.#own.load().filter(([other]) => other !== id);
    const drafts: Draft[] = text === '' ? others : [...others, [id, text.slice(0, LONGEST)]];
    this.#own.save(drafts.slice(-MOST));
  }

  /** Forgets all of them; nothing is kept afterwards. */
  forget(): void {
    this.#own.forget();
  }
}

function isDraft(value: unknown): value is Draft {
  return Array.isArray(value) && typeof value[0] === 'string' && typeof value[1] === 'string';
}
