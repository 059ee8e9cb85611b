/**
 * Questions and orders to the admin listener of this page's own origin. Nothing else is ever asked.
 *
 * The key travels in the header alone: not in an address, which logs and histories keep.
 */

import type { Error as Refusal } from './wire';
import { span } from './words';

/** How long a question may take. The slowest order answers within 30 s. */
const WITHIN_MS = 35_000;

/** Why there is no answer. */
export type Failure =
  /** Nobody answered. */
  | { kind: 'unreachable' }
  /** Answered with a refusal. */
  | { kind: 'refused'; status: number; code: string; message: string; retryIn?: number; request?: string };

export type Answer<T> = { ok: true; value: T; request?: string } | { ok: false; failure: Failure };

export interface Asker {
  /** Reads a route. */
  look: <T>(path: string, signal?: AbortSignal) => Promise<Answer<T>>;
  /** A counter of `/metrics`, all its labels together; none where it cannot be read. */
  counter: (name: string) => Promise<number | undefined>;
  /** Changes something; the same `once` again is done once. */
  order: <T>(method: 'POST' | 'PUT' | 'DELETE', path: string, body: unknown, once: string) => Promise<Answer<T>>;
}

/** An asker with this key; without one the browser's login counts. `onUnauthorized` is told of every 401. */
export function asker(key: string | undefined, onUnauthorized: () => void): Asker {
  const identity: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const ask = async <T>(path: string, init: RequestInit): Promise<Answer<T>> => {
    const answer = await fetched<T>(path, init);
    if (!answer.ok && answer.failure.kind === 'refused' && answer.failure.status === 401) onUnauthorized();
    return answer;
  };
  return {
    look: (path, signal) => ask(path, { headers: identity, ...(signal && { signal }) }),
    counter: (name) => counted(name, identity),
    order: (method, path, body, once) =>
      ask(path, {
        method,
        headers: { ...identity, 'content-type': 'application/json', 'idempotency-key': once },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
  };
}

/** What was not answered, in words that say what would be right. */
export function failureSentence(failure: Failure): string {
  switch (failure.kind) {
    case 'unreachable':
      return 'The node did not answer. It may be restarting, or the network is away.';
    case 'refused': {
      const later = failure.retryIn === undefined ? '' : ` Try again in ${span(failure.retryIn)}.`;
      return `${failure.message}${later}`;
    }
  }
}

/**
 * A key by which an order is done once: 128 random bits, also where the page is no secure context and has no
 * randomUUID.
 */
export function once(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function counted(name: string, headers: Record<string, string>): Promise<number | undefined> {
  try {
    const response = await fetch('/metrics', { headers, signal: AbortSignal.timeout(WITHIN_MS), cache: 'no-store' });
    return response.ok ? sumOf(name, await response.text()) : undefined;
  } catch {
    return undefined;
  }
}

/** The sum of a counter over its labels in an exposition of OpenMetrics; none where it is not told. */
export function sumOf(name: string, exposition: string): number | undefined {
  const lines = exposition.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  if (lines.length === 0) return undefined;
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

async function fetched<T>(path: string, init: RequestInit): Promise<Answer<T>> {
  const deadline = AbortSignal.timeout(WITHIN_MS);
  const signal = init.signal ? AbortSignal.any([init.signal, deadline]) : deadline;
  try {
    const response = await fetch(path, { ...init, signal, cache: 'no-store', redirect: 'error' });
    const request = response.headers.get('x-request-id') ?? undefined;
    const named = request === undefined ? {} : { request };
    const body: unknown = await response.json().catch(() => undefined);
    // The gateway's own answer to this path, whose shape wire.ts holds.
    if (response.ok && body !== undefined) return { ok: true, value: body as T, ...named };
    const said = errorBody(body);
    const message = said?.message ?? `The node answered with the status ${response.status}.`;
    const retryIn = said?.retry_in === undefined ? {} : { retryIn: said.retry_in };
    const failure = {
      kind: 'refused',
      status: response.status,
      code: said?.code ?? 'unknown',
      message,
      ...retryIn,
      ...named,
    } as const;
    return { ok: false, failure };
  } catch {
    return { ok: false, failure: { kind: 'unreachable' } };
  }
}

function errorBody(body: unknown): Omit<Refusal, 'type'> | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  if (!('code' in body) || typeof body.code !== 'string') return undefined;
  if (!('message' in body) || typeof body.message !== 'string') return undefined;
  const later = 'retry_in' in body && typeof body.retry_in === 'number' ? { retry_in: body.retry_in } : {};
  return { code: body.code, message: body.message, ...later };
}
