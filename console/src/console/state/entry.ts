/**
 * Who is at the console: nobody yet, or an operator.
 *
 * ```text
 *  asking ─► in  (the key of this tab, or a login's cookie, counts)
 *     └────► out (neither) ──key, login──► asking
 * ```
 *
 * The key lies in sessionStorage alone: it goes with the tab, no other page of the browser sees it, and no address
 * shows it.
 */

import { signal } from '@preact/signals';
import { asker, failureSentence, type Answer, type Asker } from '../ask';
import type { Me } from '../wire';

/** Where operators may log in (docs/login.md). */
export interface LoginOffer {
  providers: { name: string; title: string; url: string; retry_in?: number }[];
}

/** How long a log-out may take. */
const LOGOUT_WITHIN_MS = 10_000;

const STORED = 'lychgate.operator-key';

export type Entry =
  | { phase: 'asking' }
  | { phase: 'out'; why: string | undefined; offer: LoginOffer }
  | { phase: 'in'; me: Me; key: string | undefined; ask: Asker };

const NOBODY: LoginOffer = { providers: [] };

export class Door {
  readonly entry = signal<Entry>({ phase: 'asking' });

  /** With what this tab holds: at the start, and after a login came back. */
  async knock(): Promise<void> {
    const key = stored();
    const offer = key === undefined ? await offered() : NOBODY;
    // Nobody can have come by a login here: a question without a key would only be an attempt in the audit log.
    if (key === undefined && offer.providers.length === 0) return this.#leaveOut(undefined, offer);
    const known = await this.#ask(key);
    if (known.ok) return this.#letIn(known.value, key);
    const refused = known.failure.kind === 'refused' && known.failure.status === 401;
    // A key that was refused is forgotten: the next load would only be refused again.
    if (refused) forget();
    const held = key === undefined ? undefined : 'The key that this tab held is not accepted any more.';
    this.#leaveOut(refused ? held : failureSentence(known.failure), key === undefined ? offer : await offered());
  }

  /** With a key that somebody typed. Answers why not, or nothing. */
  async enter(typed: string): Promise<string | undefined> {
    const key = typed.trim();
    if (key === '') return 'Paste the key that lychgate admin-key printed.';
    if (!/^[\x21-\x7e]+$/.test(key)) return 'That is no key: a key has letters, digits, - and _ alone.';
    const known = await this.#ask(key);
    if (known.ok) {
      keep(key);
      this.#letIn(known.value, key);
      return undefined;
    }
    const { failure } = known;
    if (failure.kind === 'refused' && failure.status === 401)
      return 'This node does not know that key. Keys are made with lychgate admin-key.';
    return failureSentence(failure);
  }

  /** Forgets the key, or ends the login of this browser. Answers why he is still logged in, or nothing. */
  async leave(): Promise<string | undefined> {
    const { value } = this.entry;
    if (value.phase === 'in' && value.key === undefined) {
      const ended = await loggedOut();
      // The cookie would let in whoever sits down here next: a page that looks signed out must be.
      if (!ended) return 'You are still logged in: the node did not end the login. Sign out again in a moment.';
    }
    forget();
    this.#leaveOut(undefined, await offered());
    return undefined;
  }

  /** The node refuses what it accepted before. */
  async turnedAway(): Promise<void> {
    if (this.entry.value.phase !== 'in') return;
    forget();
    this.#leaveOut('The node does not accept this key or login any more.', await offered());
  }

  #ask(key: string | undefined): Promise<Answer<Me>> {
    return asker(key, () => undefined).look<Me>('/v1/admin/me');
  }

  #letIn(me: Me, key: string | undefined): void {
    this.entry.value = { phase: 'in', me, key, ask: asker(key, () => void this.turnedAway()) };
  }

  #leaveOut(why: string | undefined, offer: LoginOffer): void {
    this.entry.value = { phase: 'out', why, offer };
  }
}

/** The providers that operators may log in at; none without admin.public_url, where the route is not there. */
async function offered(): Promise<LoginOffer> {
  const offer = await asker(undefined, () => undefined).look<LoginOffer>('/v1/login');
  return offer.ok ? offer.value : NOBODY;
}

/** Ends the login that the browser's cookie stands for. */
async function loggedOut(): Promise<boolean> {
  try {
    const answer = await fetch('/v1/logout', { method: 'POST', signal: AbortSignal.timeout(LOGOUT_WITHIN_MS) });
    return answer.ok;
  } catch {
    return false;
  }
}

function stored(): string | undefined {
  try {
    return sessionStorage.getItem(STORED) ?? undefined;
  } catch {
    return undefined;
  }
}

function keep(key: string): void {
  try {
    sessionStorage.setItem(STORED, key);
  } catch {
    // A browser that keeps nothing asks again after a reload.
  }
}

function forget(): void {
  try {
    sessionStorage.removeItem(STORED);
  } catch {
    // Nothing was kept.
  }
}
