// Where to connect, and with what: options are checked once, and a wrong one is named.

import type { ConnectOptions, WebSocketConstructor } from './types.js';

export const SUBPROTOCOL = 'lychgate.v1';
const BEARER = 'lychgate.bearer.';
/** Characters of a JWT; longer ones go into `hello`, because servers bound the header of a request. */
const FITS = /^[\w.~+-]{1,4096}$/;

/** @throws TypeError always, naming the option */
export function wrong(option: string, says: string): never {
  throw new TypeError(`connect: \`${option}\` ${says}.`);
}

/**
 * The address of the socket.
 * @throws TypeError where there is none to take, or it is none of a gateway, or carries a credential
 */
export function socketUrl(given: ConnectOptions['url']): string {
  try {
    // A page and a worker have a `location`; Node has none.
    const url = new URL(given ?? '/', (globalThis.location as Location | undefined)?.href);
    if (url.pathname === '/') url.pathname = '/v1/ws';
    const href = url.href.replace(/^http/, 'ws').replace(/#.*/, '');
    // Addresses end up in logs: a credential must not stand in one.
    if (/^wss?:/.test(href) && !/@|token=/.test(href)) return href;
  } catch {
    // It is no address, and is told like one that is none of ours.
  }
  return wrong('url', 'must be like wss://host, and carry no token');
}

/** @throws TypeError where there is none, as in Node 20 */
export function webSocketOf(given: WebSocketConstructor | undefined): WebSocketConstructor {
  return (
    given ??
    (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket ??
    wrong('WebSocket', 'is missing: npm install ws')
  );
}

/** Where a token goes: into a subprotocol, which is checked before the socket is one, or else into `hello`. */
export function placed(token: string | undefined): { protocols: string[]; inHello: string | undefined } {
  const fits = FITS.test(token ?? '');
  return { protocols: fits ? [SUBPROTOCOL, BEARER + token] : [SUBPROTOCOL], inHello: fits ? undefined : token };
}
