type Listeners<Events> = { [K in keyof Events]?: Set<(event: Events[K]) => void> };

/** Typed listeners. One that throws is reported as an uncaught error, and keeps no other one from its event. */
export class Emitter<Events> {
  readonly #listeners: Listeners<Events> = {};

  on<K extends keyof Events>(type: K, listener: (event: Events[K]) => void): () => void {
    const listeners = (this.#listeners[type] ??= new Set());
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  emit<K extends keyof Events>(type: K, event: Events[K]): void {
    for (const listener of this.#listeners[type] ?? []) guarded(() => listener(event));
  }
}

/** Runs foreign code: what it throws must not end the handling of a frame half way. */
export function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
