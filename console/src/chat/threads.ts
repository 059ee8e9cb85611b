// The user's conversations at the side: page by page, the one that was active last first, asked for again when
// something happened or while an answer is being written somewhere.

import { signal } from '@preact/signals';
import { type Api, ApiError, type ThreadRow } from './api';

const PAGE = 40;
/** Rows that are kept at most: beyond it the oldest are asked for again by whoever scrolls there. */
const MOST = 2_000;
const MOST_QUESTIONS = 64;
const TITLE_CHARACTERS = 80;
/** How often is looked again while a run is in flight, so that its sign goes out. */
const LOOK_AGAIN_MS = 5_000;

/** What stands below the rows. */
export type Reach = { phase: 'loading' } | { phase: 'more' } | { phase: 'end' } | { phase: 'failed'; why: string };

export class ThreadList {
  readonly rows = signal<readonly ThreadRow[]>([]);
  readonly reach = signal<Reach>({ phase: 'loading' });

  #next: number | undefined;
  #asking: Promise<void> | undefined;
  #again = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * First questions of conversations that the gateway has no title for yet: it makes one when their first run is
   * over.
   */
  readonly #questions = signal<ReadonlyMap<string, string>>(new Map());

  constructor(
    private readonly api: Api,
    /** The login does not count any more. */
    private readonly onOut: () => void,
  ) {}

  /** Reads the newest page again. Asked for while it is under way, it is read once more afterwards and not oftener. */
  refresh(): void {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = this.#readFirst().finally(() => {
      this.#asking = undefined;
      if (this.#again) {
        this.#again = false;
        this.refresh();
      }
    });
  }

  /** What a conversation is called: by the gateway, or by its first question that this page saw. */
  titleOf(thread: string, row = this.rows.value.find((row) => row.thread === thread)): string | undefined {
    return row?.title || this.#questions.value.get(thread);
  }

  /** The first question of a conversation was seen. */
  asked(thread: string, question: string): void {
    if (question === '' || this.titleOf(thread) !== undefined) return;
    const questions = new Map(this.#questions.value).set(thread, question.slice(0, TITLE_CHARACTERS));
    // No more than there are rows at the side of one evening; the gateway has titles for the rest.
    for (const oldest of questions.keys()) {
      if (questions.size <= MOST_QUESTIONS) break;
      questions.delete(oldest);
    }
    this.#questions.value = questions;
  }

  /** Reads the page below. */
  async more(): Promise<void> {
    if (this.reach.value.phase === 'loading' || this.reach.value.phase === 'end') return;
    const before = this.#next;
    if (before === undefined) return this.refresh();
    this.reach.value = { phase: 'loading' };
    try {
      const page = await this.api.threads(before, PAGE);
      this.#next = page.next;
      this.rows.value = merge(this.rows.value, page.threads);
      this.reach.value = this.#below();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Looks no further. */
  close(): void {
    clearTimeout(this.#timer);
  }

  async #readFirst(): Promise<void> {
    try {
      const page = await this.api.threads(undefined, PAGE);
      if (this.rows.value.length === 0) this.#next = page.next;
      this.rows.value = merge(this.rows.value, page.threads);
      if (this.reach.value.phase !== 'more') this.reach.value = this.#below();
      this.#lookAgain();
    } catch (error) {
      this.#failed(error);
    }
  }

  #below(): Reach {
    return this.#next === undefined || this.rows.value.length >= MOST ? { phase: 'end' } : { phase: 'more' };
  }

  #failed(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.reach.value = { phase: 'failed', why };
    if (error instanceof ApiError && error.kind === 'out') this.onOut();
  }

  #lookAgain(): void {
    clearTimeout(this.#timer);
    if (!this.rows.value.some(({ run }) => run !== undefined)) return;
    this.#timer = setTimeout(() => {
      if (document.visibilityState === 'visible') this.refresh();
      else this.#lookAgain();
    }, LOOK_AGAIN_MS);
  }
}

/** Fresh rows in the place of known ones; a row that did not change stays the same value, and is not drawn again. */
export function merge(known: readonly ThreadRow[], fresh: readonly ThreadRow[]): readonly ThreadRow[] {
  const rows = new Map(known.map((row) => [row.thread, row]));
  for (const row of fresh) {
    const before = rows.get(row.thread);
    if (!before || JSON.stringify(before) !== JSON.stringify(row)) rows.set(row.thread, row);
  }
  return [...rows.values()].sort((one, other) => other.written - one.written).slice(0, MOST);
}
