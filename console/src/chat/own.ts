// What this browser keeps for one user over reloads: a bounded list below one key of localStorage.

interface Kept {
  user: string;
  items: unknown[];
}

/**
 * A list of one user. Another user of the same browser never sees it: whoever comes second begins with none. Where
 * nothing may be stored, or the storage is full, the list is empty after a reload, and nothing fails.
 */
export class Own<T> {
  #isClosed = false;

  constructor(
    private readonly key: string,
    private readonly user: string,
    private readonly isItem: (value: unknown) => value is T,
    private readonly storage: Storage | undefined,
  ) {}

  /** What is kept; nothing where somebody else wrote there. */
  load(): T[] {
    try {
      const kept: unknown = JSON.parse(this.storage?.getItem(this.key) ?? 'null');
      return isKept(kept) && kept.user === this.user ? kept.items.filter(this.isItem) : [];
    } catch {
      return [];
    }
  }

  save(items: readonly T[]): void {
    if (this.#isClosed) return;
    try {
      if (items.length === 0) this.storage?.removeItem(this.key);
      else this.storage?.setItem(this.key, JSON.stringify({ user: this.user, items }));
    } catch {
      // A full or forbidden storage costs the list at a reload, and nothing else.
    }
  }

  /**
   * Forgets all of it and keeps nothing from now on: somebody logged out who may share this browser, and what is
   * written while the page is taken down would stay for whoever comes next.
   */
  forget(): void {
    this.#isClosed = true;
    try {
      this.storage?.removeItem(this.key);
    } catch {
      // Nothing was stored then.
    }
  }
}

const LOGGED_OUT = 'lychgate.logged-out';

/** Tells the other tabs of this browser that this user logged out. */
export function tellLoggedOut(user: string): void {
  try {
    window.localStorage.setItem(LOGGED_OUT, user);
    window.localStorage.removeItem(LOGGED_OUT);
  } catch {
    // Where nothing may be stored the other tabs store nothing either.
  }
}

/** Calls back when this user logs out in another tab of this browser, until what comes back is called. */
export function onLoggedOut(user: string, listener: () => void): () => void {
  const told = ({ key, newValue }: StorageEvent) => {
    if (key === LOGGED_OUT && newValue === user) listener();
  };
  window.addEventListener('storage', told);
  return () => window.removeEventListener('storage', told);
}

function isKept(value: unknown): value is Kept {
  if (typeof value !== 'object' || value === null || !('user' in value) || !('items' in value)) return false;
  return typeof value.user === 'string' && Array.isArray(value.items);
}

/** localStorage, or nothing where the browser forbids it. */
export function browserStorage(): Storage | undefined {
  try {
    return window.localStorage;
  } catch {
    return undefined;
  }
}
