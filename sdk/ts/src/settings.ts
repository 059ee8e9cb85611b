import type { ConnectionOptions } from './connection.js';
import type { Page } from './page.js';
import { sessionPrev } from './prev.js';
import { socketUrl, webSocketOf, wrong } from './target.js';
import type { ConnectOptions } from './types.js';

/**
 * What somebody asked for, checked and filled up.
 * @throws TypeError that names the option that is wrong, or missing here
 */
export function settings(options: ConnectOptions, page: Page): ConnectionOptions {
  const url = socketUrl(options.url);
  const { token = ' ' } = options;
  if (!token || !/^(str|fun)/.test(typeof token)) wrong('token', 'must be text or a function');
  return { prev: sessionPrev(url), ...options, url, page, WebSocket: webSocketOf(options.WebSocket) };
}
