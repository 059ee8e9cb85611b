/**
 * The list of users as the page looks at it: asks for the rows in view, one request at a time, and again now and then.
 *
 * ```text
 *  look(rows) ─► wanted? ─► GET /v1/admin/users ─► arrived ─► wanted? ...     refresh() ─► the pages in view again
 * ```
 */

import { signal } from '@preact/signals';
import type { Asker, Failure } from '../ask';
import type { UserPage } from '../wire';
import { arrived, noPages, PAGE_ROWS, touching, wanted, type Want } from './pages';
import type { UserOrder } from './route';

export class UserList {
  readonly pages = signal(noPages);
  readonly failure = signal<Failure | undefined>(undefined);
  readonly #over = new AbortController();
  #looking = { first: 0, last: 0 };
  #again: number[] = [];
  #busy = false;

  constructor(
    readonly ask: Asker,
    readonly search: string,
    readonly sort: UserOrder,
  ) {}

  /** The rows in view; those beyond the end are not there. */
  look(first: number, last: number): void {
    this.#looking = { first, last };
    void this.#pump();
  }

  /** Asks for what is in view anew. While the way to it is still being found that is not needed. */
  refresh(): void {
    if (this.#busy) return;
    this.failure.value = undefined;
    const { first, last } = this.#looking;
    this.#again = [...touching(this.pages.value, first, last)];
    void this.#pump();
  }

  /** Nothing is asked any more. */
  close(): void {
    this.#over.abort();
  }

  async #pump(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (let want = this.#next(); want !== undefined; want = this.#next()) {
      const asked = new URLSearchParams({ sort: this.sort, limit: String(PAGE_ROWS) });
      if (this.search !== '') asked.set('search', this.search);
      if (want.after !== undefined) asked.set('after', want.after);
      const page = await this.ask.look<UserPage>(`/v1/admin/users?${asked}`, this.#over.signal);
      if (this.#over.signal.aborted) return;
      if (!page.ok) {
        // Told, and left to the next refresh: a node that is down is not asked in a circle.
        this.failure.value = page.failure;
        this.#again = [];
        break;
      }
      this.failure.value = undefined;
      this.pages.value = arrived(this.pages.value, want, page.value, this.#looking.first);
    }
    this.#busy = false;
  }

  #next(): Want | undefined {
    const index = this.#again.shift();
    const page = index === undefined ? undefined : this.pages.value.pages[index];
    if (index !== undefined && page !== undefined) return { index, after: page.after };
    return wanted(this.pages.value, this.#looking.first, this.#looking.last);
  }
}
