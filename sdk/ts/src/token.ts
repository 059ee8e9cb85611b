import type { ErrorFrame, TokenSource } from './types.js';

/** Asks for a token; undefined where the login's cookie is the proof. Rejected with what the function failed with. */
export async function askToken(
  source: TokenSource | undefined,
  why: 'connect' | 'refresh',
): Promise<string | undefined> {
  if (typeof source !== 'function') return source;
  return (await source(why)) || Promise.reject('no token');
}

/** Without what no connection comes up, as an error like those of the gateway. */
export function lacking(code: string, error: unknown): ErrorFrame {
  return { type: 'error', code, message: String(error) };
}
