// The HTTP routes that the chat page asks: who is logged in and how one logs in, conversations, older messages.
//
// Each call answers a value or throws an ApiError whose message is a sentence for people. Calls end after 15 s: a
// request without an end would leave the page saying "loading" for ever.

import type { Limits, Message } from '@lychgate/client';

const PATIENCE_MS = 15_000;

/**
 * What went wrong. `out`: the login does not count (any more); `refused`: the gateway said no; `unreachable`: nobody
 * answered.
 */
export class ApiError extends Error {
  constructor(
    readonly kind: 'out' | 'refused' | 'unreachable',
    message: string,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** Somebody who vouches for users; `url` begins a login. */
export interface Provider {
  name: string;
  title: string;
  url: string;
  /** Milliseconds until it is asked again, if it did not answer lately. */
  retry_in?: number;
}

/** How one logs in here. */
export interface Doors {
  providers: Provider[];
  /** Whether a name alone suffices. */
  demo: boolean;
}

/** Who is logged in. */
export interface Me {
  user: string;
  plan?: string;
  /** Seconds. */
  expires_in?: number;
  limits: Limits;
}

/** A conversation, as the list at the side shows it. Times are milliseconds since 1970. */
export interface ThreadRow {
  thread: string;
  title?: string;
  created: number;
  written: number;
  messages: number;
  head: number;
  /** The run in flight. */
  run?: string;
}

export interface ThreadPage {
  threads: ThreadRow[];
  /** Asks for the page after this one; absent at the end. */
  next?: number;
}

export interface MessagePage {
  /** The oldest first. */
  messages: Message[];
  next?: string;
}

/** Asks as the user of this token, or, without one, as the one of the login's cookie. */
export class Api {
  constructor(private readonly token?: string) {}

  doors(): Promise<Doors> {
    return this.#ask<Doors>('GET', '/v1/login');
  }

  me(): Promise<Me> {
    return this.#ask<Me>('GET', '/v1/me');
  }

  /** The demonstration's login: the cookie comes with the answer. */
  async logInAs(name: string): Promise<void> {
    await this.#send('POST', '/v1/login/demo', JSON.stringify({ name }));
  }

  async logOut(): Promise<void> {
    await this.#send('POST', '/v1/logout');
  }

  /** A page of conversations, the one that was active last first. */
  threads(before: number | undefined, limit: number): Promise<ThreadPage> {
    const from = before === undefined ? '' : `&before=${before}`;
    return this.#ask<ThreadPage>('GET', `/v1/threads?limit=${limit}${from}`);
  }

  /** The messages before this one. */
  messages(thread: string, before: string, limit: number): Promise<MessagePage> {
    const query = `before=${encodeURIComponent(before)}&limit=${limit}`;
    return this.#ask<MessagePage>('GET', `/v1/threads/${encodeURIComponent(thread)}/messages?${query}`);
  }

  async #ask<T>(method: string, path: string): Promise<T> {
    const response = await this.#send(method, path);
    try {
      // What it holds is promised by docs/http.md and checked by the gateway's own tests.
      return (await response.json()) as T;
    } catch {
      throw new ApiError('refused', 'The server answered something that is not JSON. Please reload the page.');
    }
  }

  async #send(method: string, path: string, body?: string): Promise<Response> {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (this.token !== undefined) headers['authorization'] = `Bearer ${this.token}`;
    // With a token the cookie stays at home: a page that was given a token must not act as somebody else.
    const credentials = this.token === undefined ? 'same-origin' : 'omit';
    let response: Response;
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      response = await fetch(path, { method, headers, credentials, signal, ...(body === undefined ? {} : { body }) });
    } catch {
      throw new ApiError('unreachable', 'The server did not answer. Your network may be down.');
    }
    if (response.ok) return response;
    throw new ApiError(response.status === 401 ? 'out' : 'refused', await sentence(response));
  }
}

/** The gateway's own words, or the status where something in between answered. */
async function sentence(response: Response): Promise<string> {
  try {
    const frame: unknown = await response.json();
    if (typeof frame === 'object' && frame !== null && 'message' in frame && typeof frame.message === 'string') {
      return frame.message;
    }
  } catch {
    // Not the gateway's answer: a proxy's page.
  }
  return `The server answered with the status ${response.status}. Please try again.`;
}
