/**
 * The client of Lychgate: one WebSocket that comes back by itself, and conversations that go on where they were.
 *
 * @module
 */

import { Conversations } from './client.js';
import { Connection } from './connection.js';
import { thisPage } from './page.js';
import { settings } from './settings.js';
import type { Client, ConnectOptions } from './types.js';

export { LychgateError } from './errors.js';
export type * from './types.js';
export type { AguiEvent, Limits, Message, Notice, Opened, Reconnect, RunInput } from './wire.js';

/**
 * Connects, and keeps connected until `close`. It returns at once and never fails because of a network: what happens is
 * told by `state`.
 * @throws TypeError that names the option that is wrong, or missing here
 */
export function connect(options: ConnectOptions = {}): Client {
  const page = thisPage();
  const fixed = settings(options, page);
  return new Conversations(page, (passenger) => new Connection(fixed, passenger), options.maxMessageBytes);
}
