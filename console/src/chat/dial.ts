// The way to the gateway: one socket for all tabs of this browser where it has shared workers, else one of this tab's
// own.

import { type Client, connect } from '@lychgate/client';
import { connectShared } from '@lychgate/client/shared';

/**
 * Connects by this token, or by the login's cookie, which is that of `user`: tabs share a socket with tabs of the same
 * user alone, also where the cookie changed hands since the others connected (I8). `?socket=own` keeps a tab to itself: for tests, and to find out
 * whether sharing is at fault.
 */
export function dial(user: string, token: string | undefined): Client {
  const options = { who: user, ...(token === undefined ? {} : { token }) };
  if (new URLSearchParams(location.search).get('socket') === 'own') return connect(options);
  // The address is written out where the worker is made: the bundler finds it there.
  const worker = () => new SharedWorker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'lychgate' });
  return connectShared({ ...options, worker });
}
