// What a tab and the shared worker say to each other: the frames of lychgate.v1, and little beside them.
//
//   tab --attach--> worker --welcome--> tab --frames, wake, page, seen--> worker
//    ^                '--refused--> a socket of its own       |
//    '--------------- frames, state, ask --------------'
//
import type { Frame } from './line.js';
import type { Signal } from './page.js';
import type { ClientState, Said } from './types.js';

/** A worker outlives deploys: one that speaks another version is left alone, and the tab has a socket of its own. */
export const VERSION = 2;

export type ToWorker =
  | Attach
  | { type: 'frame'; frame: Said }
  | { type: 'wake' }
  | { type: 'page'; signal: Signal }
  | { type: 'seen'; visible: boolean }
  | { type: 'token'; id: number; token?: string; error?: string }
  | { type: 'bye' };

/** The first message. */
export interface Attach {
  type: 'attach';
  version: number;
  url: string;
  /** Tabs with another one get another connection. */
  key: string;
  /** The user, where the page knows. */
  who?: string;
  /** Held by the tab for as long as it lives. */
  lock: string;
  /** Whether it can be asked for a token. */
  asks: boolean;
  /** The token, where it is always the same. */
  token?: string;
  client?: string;
}

export type ToTab =
  /** `lock` is held by the worker for as long as it lives. */
  | { type: 'welcome'; lock: string }
  | { type: 'refused'; version: number }
  | { type: 'state'; state: ClientState }
  | { type: 'frame'; frame: Frame }
  | { type: 'ask'; id: number; why: 'connect' | 'refresh' };

/** What is needed of a MessagePort. */
export interface Port {
  postMessage(message: ToWorker | ToTab): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
  start(): void;
  close(): void;
}

/** What is needed of `navigator.locks`: a lock that is waited for is granted when its holder dies. */
export interface Locks {
  request(name: string, granted: () => Promise<unknown> | void): Promise<unknown>;
}

/** Holds a lock until the end of this page or worker, or until the answer is called. */
export function hold(locks: Locks, name: string): Promise<() => void> {
  return new Promise((held, failed) => {
    locks.request(name, () => new Promise<void>((release) => held(release))).catch(failed);
  });
}
