/**
 * What the worker of a page runs: `import { serve } from '@lychgate/client/worker'; serve();`
 *
 * @module
 */

import type { Port } from './port.js';
import { Switchboard } from './switchboard.js';

/** The part of a SharedWorker's global scope that is needed. */
interface SharedScope {
  onconnect: ((event: { ports: readonly Port[] }) => void) | null;
}

/**
 * Serves every tab that connects to this SharedWorker. Call it once, at the top of the worker's file.
 */
export function serve(): void {
  const board = new Switchboard({});
  // In a SharedWorker the global scope has `onconnect`; nothing in the types of a page says so.
  (globalThis as unknown as SharedScope).onconnect = ({ ports: [port] }) => port && board.connect(port);
}
