// The messages of one conversation that it does not have yet: waiting to be sent, or refused.
//
//   send --> sending --seen in the conversation--> gone
//              |  ^
//       refused:  '-- try again, with the same ids
//              v  |
//            refused --discard--> gone
//
// None of them goes away by itself: not with a reload, not with another conversation, not with the next message.

import { signal } from '@preact/signals';
import type { Run, Thread } from '@lychgate/client';
import type { ViewMessage } from '@lychgate/client/messages';
import { freshId } from './id';
import type { Pending, Unsent } from './unsent';

/** So many wait at most: whoever has as many refused ones tries again, or removes some. */
export const MOST_PENDING = 20;

export class Outbox {
  /** The oldest first. */
  readonly pending = signal<readonly Pending[]>([]);
  /** Where they go; none while the conversation is not open here. */
  #thread: Thread | undefined;

  constructor(private readonly unsent: Unsent) {}

  /** Takes up what is kept, of which the conversation may have got some meanwhile. */
  restore(kept: readonly Pending[], messages: readonly ViewMessage[]): void {
    this.pending.value = kept;
    this.seen(messages);
  }

  /** Says everything that waits, to this thread from now on. */
  follow(thread: Thread): void {
    this.#thread = thread;
    for (const message of this.pending.peek()) if (message.phase === 'sending') this.#say(message, thread);
  }

  /** What becomes of runs that are given up with the thread is no refusal: they are said again to the next one. */
  unfollow(): void {
    this.#thread = undefined;
  }

  /** Sends a new message to `thread`, which is the one that is followed. */
  send(text: string, to: string, thread: Thread): void {
    const message: Pending = { phase: 'sending', id: freshId(), run: freshId(), text, behind: 'nothing' };
    this.pending.value = [...this.pending.peek(), message];
    this.unsent.put(to, message);
    this.#say(message, thread, to);
  }

  /** Sends a refused message once more: where the gateway has it after all, the ids keep it from being there twice. */
  tryAgain(id: string, to: string, thread: Thread): void {
    const message = this.pending.peek().find((one) => one.id === id);
    if (message?.phase !== 'refused') return;
    const { run, text } = message;
    const again: Pending = { phase: 'sending', id, run, text, behind: 'nothing' };
    this.#replace(again, to);
    this.#say(again, thread, to);
  }

  /** Gives a refused message up. */
  discard(id: string): void {
    this.pending.value = this.pending.peek().filter((one) => one.id !== id);
    this.unsent.drop(id);
  }

  /** The gateway has it and lets it wait for the answer before it. */
  waitsBehind(run: string): void {
    this.pending.value = this.pending
      .peek()
      .map((one) => (one.phase === 'sending' && one.run === run ? { ...one, behind: 'an answer' } : one));
  }

  /** What the conversation has now waits no more. */
  seen(messages: readonly ViewMessage[]): void {
    const pending = this.pending.peek();
    if (pending.length === 0) return;
    for (const { id } of pending) if (messages.some((message) => message.id === id)) this.discard(id);
  }

  #say(message: Pending, thread: Thread, to = thread.id): void {
    let run: Run;
    try {
      const asked = { messages: [{ id: message.id, role: 'user', content: message.text }] };
      run = thread.run(asked, { id: message.run });
    } catch (error) {
      return this.#refused(message, error, to);
    }
    run.accepted.catch((error: unknown) => {
      if (this.#thread === thread) this.#refused(message, error, to);
    });
    void run.done.then(({ outcome }) => {
      // Over, and so far back that this page does not have it.
      if (outcome !== 'error') this.discard(message.id);
    });
  }

  #refused({ id, run, text }: Pending, error: unknown, to: string | undefined): void {
    const why = error instanceof Error ? error.message : String(error);
    this.#replace({ phase: 'refused', id, run, text, why }, to);
  }

  #replace(message: Pending, to: string | undefined): void {
    const pending = this.pending.peek();
    const at = pending.findIndex(({ id }) => id === message.id);
    if (at < 0) return;
    this.pending.value = pending.with(at, message);
    if (to !== undefined) this.unsent.put(to, message);
  }
}
