/**
 * One socket for all tabs of an origin: a SharedWorker has it, and every tab speaks with the worker.
 *
 * @module
 */

import { alarm } from './alarm.js';
import { backoff } from './backoff.js';
import { Conversations } from './client.js';
import { type Carrier, Connection, type ConnectionOptions, type Passenger } from './connection.js';
import { over, lost } from './closing.js';
import { uuid } from './id.js';
import { type Signal, thisPage } from './page.js';
import { hold, type Locks, type Port, type ToTab, type ToWorker, VERSION } from './port.js';
import { settings } from './settings.js';
import { askToken, lacking } from './token.js';
import type { Client, ClientState, ConnectOptions, Said } from './types.js';

export type * from './index.js';

/** A worker that does not answer for so long is broken, or is not ours. */
const WELCOME_MS = 3_000;
/** A token function that never answers must not keep the tab from ever trying again. */
const TOKEN_MS = 30_000;
/** A worker that died so often was not unlucky. */
const MAX_WORKERS = 3;

export interface SharedOptions extends ConnectOptions {
  /**
   * As for `connect`. Needed where the login's cookie is the proof: a page cannot read that, and whoever logs in next must
   * not be shown the conversations of tabs that are still there. Without it such a tab has a socket of its own.
   */
  who?: string;
  /**
   * Makes the worker: `() => new SharedWorker(new URL('./lychgate-worker.js', import.meta.url), { type: 'module' })`,
   * where that file of yours says `import { serve } from '@lychgate/client/worker'; serve();`.
   */
  worker: () => { readonly port: unknown; addEventListener?(type: 'error', listener: () => void): void };
  /** `navigator.locks` where it is not given. */
  locks?: Locks;
}

export interface SharedClient extends Client {
  /** Whether the socket is the worker's. It is not where SharedWorker or Web Locks are missing, or the worker fails. */
  readonly shared: boolean;
}

/**
 * As `connect`, with one socket for all tabs of this origin that are the same user at the same gateway; a tab whose
 * browser has no SharedWorker has one of its own.
 * @throws TypeError as `connect` does
 */
export function connectShared(options: SharedOptions): SharedClient {
  const page = thisPage();
  const locks = options.locks ?? (globalThis.navigator as Partial<Navigator> | undefined)?.locks;
  const fixed = settings(options, page);
  let carrier: Boarding | undefined;
  const conversations = new Conversations(page, (passenger) => {
    carrier = new Boarding({ ...fixed, locks, worker: options.worker }, passenger);
    return carrier;
  }, options.maxMessageBytes);
  const shared = { get: () => carrier?.isShared ?? false };
  // The compiler does not see the property that is defined here.
  return Object.defineProperty(conversations, 'shared', shared) as Conversations & { readonly shared: boolean };
}

interface Boarded extends ConnectionOptions {
  locks: Locks | undefined;
  worker: SharedOptions['worker'];
}

/** Carried by the worker, or, once that proved impossible, by a connection of its own. */
class Boarding implements Carrier {
  #state: ClientState = { phase: 'connecting', attempt: 0 };
  #port: Port | undefined;
  #own: Carrier | undefined;
  #isReady = false;
  #workers = 0;
  #release: (() => void) | undefined;
  readonly #name = uuid();
  /** Times that we attached, or were detached: what belongs to an earlier one does nothing. */
  #round = 0;
  /** Times that there was no token. */
  #attempt = 0;
  readonly #timer = alarm();

  constructor(
    readonly options: Boarded,
    readonly passenger: Passenger,
  ) {
    // Not before the client that we carry for is whole.
    queueMicrotask(() => void this.#attach());
  }

  get state(): ClientState {
    return this.#own?.state ?? this.#state;
  }

  get isReady(): boolean {
    return this.#own?.isReady ?? this.#isReady;
  }

  get isShared(): boolean {
    return this.#own === undefined;
  }

  send(frame: Said): void {
    if (this.#own) this.#own.send(frame);
    else this.#say({ type: 'frame', frame });
  }

  wake(): void {
    if (this.#own) this.#own.wake();
    else if (this.#state.phase === 'waiting' && !this.#port) this.#retry();
    else this.#say({ type: 'wake' });
  }

  onPage(signal: Signal): void {
    if (this.#own) return this.#own.onPage(signal);
    this.#say({ type: 'page', signal });
  }

  async close(): Promise<void> {
    this.#say({ type: 'bye' });
    this.#leaveWorker();
    this.#state = { phase: 'ended', why: over('done') };
    if (this.#own) await this.#own.close();
    else this.passenger.onState(this.#state);
  }

  async #attach(): Promise<void> {
    const { token, locks, who } = this.options;
    const round = ++this.#round;
    // Cookies are the origin's, and may change hands while tabs are open.
    const isUnknown = who === undefined && token === undefined;
    if (!locks || isUnknown || this.#workers >= MAX_WORKERS) return this.#fallBack();
    let key: string;
    try {
      key = await this.#key();
    } catch (error) {
      if (round === this.#round) this.#wait(error);
      return;
    }
    try {
      const release = await hold(locks, `lychgate.tab ${round} ${this.#name}`);
      if (round !== this.#round) return release();
      this.#release = release;
      this.#board(key, `lychgate.tab ${round} ${this.#name}`);
    } catch {
      this.#fallBack();
    }
  }

  /** What tabs must have in common to share a connection. */
  async #key(): Promise<string> {
    const { token, who } = this.options;
    if (who !== undefined) return JSON.stringify(['who', who]);
    const late = new Promise<never>((_, fail) => this.#timer(TOKEN_MS, () => fail('no token in time')));
    return whose(await Promise.race([askToken(token, 'connect'), late]));
  }

  #board(key: string, lock: string): void {
    const { url, token, client, worker, page, who } = this.options;
    this.#workers += 1;
    const made = worker();
    made.addEventListener?.('error', () => this.#fallBack());
    // What a SharedWorker has is a MessagePort.
    const port = made.port as Port;
    this.#port = port;
    port.addEventListener('message', ({ data }) => port === this.#port && this.#onTold(data as ToTab));
    port.start();
    this.#say({
      type: 'attach',
      version: VERSION,
      url,
      key,
      lock,
      asks: typeof token === 'function',
      ...(typeof token === 'string' && { token }),
      ...(client !== undefined && { client }),
      ...(who !== undefined && { who }),
    });
    this.#say({ type: 'seen', visible: page.visible ?? false });
    this.#timer(WELCOME_MS, () => this.#fallBack());
  }

  /** A login service that is away for a moment is no reason for a socket of our own. */
  #wait(error: unknown): void {
    const ms = backoff(this.#attempt++, Math.random());
    this.passenger.onFrame(lacking('token', error));
    this.#timer(ms, () => this.#retry());
    this.#set({ phase: 'waiting', retryAt: Date.now() + ms, attempt: this.#attempt, why: lost('token') });
  }

  #retry(): void {
    this.#set({ phase: 'connecting', attempt: this.#attempt });
    void this.#attach();
  }

  #set(state: ClientState): void {
    this.#state = state;
    this.passenger.onState(state);
  }

  #onTold(told: ToTab): void {
    switch (told.type) {
      case 'welcome':
        this.#timer();
        this.#attempt = 0;
        this.#isReady = true;
        void this.options.locks?.request(told.lock, () => this.#onWorkerGone());
        return this.passenger.onReady();
      case 'refused':
        return this.#fallBack();
      case 'state':
        return this.#set(told.state);
      case 'frame':
        return this.passenger.onFrame(told.frame);
      case 'ask':
        return void this.#answer(told.id, told.why);
    }
  }

  async #answer(id: number, why: 'connect' | 'refresh'): Promise<void> {
    try {
      const token = await askToken(this.options.token, why);
      this.#say({ type: 'token', id, ...(token !== undefined && { token }) });
    } catch (error) {
      this.#say({ type: 'token', id, error: error instanceof Error ? error.message : String(error) });
    }
  }

  /** It crashed, or the browser ended it: another one goes on where it was. */
  #onWorkerGone(): void {
    if (!this.#port) return;
    this.#leaveWorker();
    void this.#attach();
  }

  #leaveWorker(): void {
    this.#round += 1;
    this.#timer();
    this.#isReady = false;
    this.#release?.();
    this.#release = undefined;
    this.#port?.close();
    this.#port = undefined;
  }

  #fallBack(): void {
    if (this.#own || this.#state.phase === 'ended') return;
    this.#leaveWorker();
    this.#own = new Connection(this.options, this.passenger);
  }

  #say(message: ToWorker): void {
    this.#port?.postMessage(message);
  }
}

/**
 * Whose token it is, so that tabs of two users never share a connection. It proves nothing and need not: the gateway
 * checks what it is shown. A token that does not say it is shared with nobody.
 */
function whose(token = ''): string {
  try {
    const claims: unknown = JSON.parse(atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')));
    // The cast says no more than that fields may be asked for.
    const { iss, sub, plan } = claims as Record<string, unknown>;
    if (typeof sub === 'string') return JSON.stringify([iss, sub, plan]);
  } catch {
    // No JWT.
  }
  return uuid();
}
