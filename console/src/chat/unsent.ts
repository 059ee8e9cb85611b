// Messages that were sent with Enter and that no conversation has yet, over reloads and while another conversation is
// shown: in localStorage, for one user.
//
// A message keeps its id and the id of its run, by which the gateway knows it: sent twice it is there once.

import { Own, browserStorage } from './own';

const KEY = 'lychgate.unsent';
const MOST = 50;
/** Of all of them together. Browsers give an origin about 5 MB. */
const MOST_CHARACTERS = 1_000_000;

/** A message that the gateway has not taken into the conversation yet. `id` is its own, `run` that of its answer. */
export type Pending =
  | { phase: 'sending'; id: string; run: string; text: string; behind: 'nothing' | 'an answer' }
  | { phase: 'refused'; id: string; run: string; text: string; why: string };

type Row = [thread: string, message: Pending];

/** The unsent messages of one user. */
export class Unsent {
  readonly #own: Own<Row>;

  constructor(user: string, storage: Storage | undefined = browserStorage()) {
    this.#own = new Own(KEY, user, isRow, storage);
  }

  /** Those of a conversation, the oldest first. */
  read(thread: string): Pending[] {
    return this.#own.load().flatMap(([id, message]) => (id === thread ? [message] : []));
  }

  /** Keeps a message, in its place if it is known. Beyond the bounds the oldest go. */
  put(thread: string, message: Pending): void {
    const rows = this.#own.load();
    const at = rows.findIndex(([, { id }]) => id === message.id);
    const next: Row[] = at < 0 ? [...rows, [thread, message]] : rows.with(at, [thread, message]);
    let left = MOST_CHARACTERS;
    const fits = next.slice(-MOST).reverse();
    const until = fits.findIndex(([, { text }]) => (left -= text.length) < 0);
    this.#own.save((until < 0 ? fits : fits.slice(0, until)).reverse());
  }

  /** The conversation has it, or nobody wants it any more. */
  drop(id: string): void {
    const rows = this.#own.load();
    const others = rows.filter(([, message]) => message.id !== id);
    if (others.length < rows.length) this.#own.save(others);
  }

  /** Forgets all of them; nothing is kept afterwards. */
  forget(): void {
    this.#own.forget();
  }
}

function isRow(value: unknown): value is Row {
  return Array.isArray(value) && typeof value[0] === 'string' && isPending(value[1]);
}

function isPending(value: unknown): value is Pending {
  if (typeof value !== 'object' || value === null) return false;
  const { phase, id, run, text, why, behind }: Partial<Record<string, unknown>> = { ...value };
  const isMessage = [id, run, text].every((field) => typeof field === 'string');
  return isMessage && (phase === 'sending' ? typeof behind === 'string' : phase === 'refused' && typeof why === 'string');
}
