// The inside of the shared worker: tabs on one side, one client per user and gateway on the other.
//
//   tab --port--> Tab --.                                .-- thread t1 <-- readers of the tabs that show it
//   tab --port--> Tab ---+--> Hub (url, user): one client +-- thread t2
//   tab --port--> Tab --'                                '-- ...
//
import { Conversations } from './client.js';
import { type Carrier, Connection, type ConnectionOptions, type Passenger } from './connection.js';
import { uuid } from './id.js';
import { type Attach, hold, type Locks, type Port, type ToTab, type ToWorker, VERSION } from './port.js';
import { Tab } from './tab.js';
import { webSocketOf } from './target.js';
import type { ClientState, WebSocketConstructor } from './types.js';
import type { Frame, Hello } from './line.js';
import type { OpenThread } from './thread.js';

/** A thread that no tab shows any more is kept for so long: a reload costs no slot. The gateway lingers for longer. */
const GRACE_MS = 3_000;
/** A tab that is frozen answers nothing; then the next one is asked. */
const TOKEN_MS = 5_000;

/** What is taken from the worker's scope where it is not given. */
export interface SwitchboardOptions {
  WebSocket?: WebSocketConstructor;
  locks?: Locks;
}

export class Switchboard {
  readonly #hubs = new Map<string, Hub>();
  readonly #locks: Locks;
  readonly #lock = `lychgate.worker ${uuid()}`;
  readonly #held: Promise<unknown>;

  constructor(readonly options: SwitchboardOptions) {
    this.#locks = options.locks ?? navigator.locks;
    this.#held = hold(this.#locks, this.#lock);
  }

  /** Takes a tab in. */
  connect(port: Port): void {
    let tab: Tab | undefined;
    const say = (message: ToTab) => port.postMessage(message);
    port.addEventListener('message', ({ data }) => {
      // Only our own pages, of this origin, speak with this worker; their version is checked first.
      const message = data as ToWorker;
      if (message.type !== 'attach') return tab?.onTold(message);
      if (message.version !== VERSION) return say({ type: 'refused', version: VERSION });
      const hub = this.#hub(message);
      const attached = new Tab(hub, port, message.asks);
      tab = attached;
      void this.#locks.request(message.lock, () => attached.gone(GRACE_MS));
      void this.#held.then(() => {
        say({ type: 'welcome', lock: this.#lock });
        hub.board(attached);
      });
    });
    port.start();
  }

  #hub(attach: Attach): Hub {
    const key = JSON.stringify([attach.url, attach.asks, attach.key]);
    const known = this.#hubs.get(key);
    if (known && !known.isOver) {
      known.bring(attach.token);
      return known;
    }
    const hub = new Hub(
      { ...attach, WebSocket: webSocketOf(this.options.WebSocket) },
      (ended) => void (this.#hubs.get(key) === ended && this.#hubs.delete(key)),
    );
    this.#hubs.set(key, hub);
    return hub;
  }
}

interface HubOptions extends Attach {
  WebSocket: WebSocketConstructor;
}

/** One connection, and the tabs that share it. */
export class Hub {
  readonly client: Conversations;
  readonly #tabs = new Set<Tab>();
  readonly #given: ConnectionOptions;
  #connection: Carrier | undefined;
  #hello: Hello | undefined;
  #asked = 0;
  #end: ReturnType<typeof setTimeout> | undefined;

  constructor(
    options: HubOptions,
    readonly empty: (hub: Hub) => void,
  ) {
    const hub = this;
    const page = {
      get visible() {
        return [...hub.#tabs].some((tab) => tab.isVisible);
      },
      get offline() {
        return globalThis.navigator?.onLine === false;
      },
      // Tabs tell what their pages notice.
      listen: () => () => {},
    };
    const { url, client, who, WebSocket, asks } = options;
    const token = asks ? (why: 'connect' | 'refresh') => this.#token(why) : options.token;
    this.#given = {
      url,
      page,
      WebSocket,
      ...(token !== undefined && { token }),
      ...(client !== undefined && { client }),
      ...(who !== undefined && { who }),
    };
    // Tabs have measured what they send.
    this.client = new Conversations(page, (passenger) => this.#connect(passenger), Number.POSITIVE_INFINITY);
  }

  #connect(passenger: Passenger): Carrier {
    this.#connection = new Connection(this.#given, {
      onState: (state) => {
        passenger.onState(state);
        this.#tell({ type: 'state', state });
      },
      onReady: () => passenger.onReady(),
      onFrame: (frame) => {
        passenger.onFrame(frame);
        if (frame.type === 'hello') {
          this.#hello = frame;
          // Its tabs are one user's, whoever logs in next.
          this.#given.who ??= frame.user;
        }
        if (isCommon(frame)) this.#tell({ type: 'frame', frame });
      },
    });
    return this.#connection;
  }

  get state(): ClientState {
    return this.client.state;
  }

  get carrier(): Carrier | undefined {
    return this.#connection;
  }

  /** It ended, and nothing that a person does brings it back. */
  get isOver(): boolean {
    return this.state.phase === 'ended' && this.state.why.next === 'nothing';
  }

  /** A token that is always the same gets old: that of the page that came last is the newest. */
  bring(token: string | undefined): void {
    if (token !== undefined) this.#given.token = token;
  }

  board(tab: Tab): void {
    if (this.state.phase === 'ended') this.#connection?.wake();
    clearTimeout(this.#end);
    this.#tabs.add(tab);
    tab.say({ type: 'state', state: this.state });
    if (this.#hello) tab.say({ type: 'frame', frame: this.#hello });
  }

  /** A thread that nobody shows is left; a connection that nobody uses is closed. */
  unboard(tab: Tab, threads: Iterable<OpenThread>, graceMs: number): void {
    this.#tabs.delete(tab);
    const left = [...threads];
    setTimeout(() => {
      for (const thread of left) this.leaveIfUnread(thread);
    }, graceMs);
    if (this.#tabs.size > 0) return;
    this.#end = setTimeout(() => {
      this.empty(this);
      void this.client.close();
    }, graceMs);
  }

  leaveIfUnread(thread: OpenThread): void {
    if (![...this.#tabs].some((tab) => tab.shows(thread))) thread.leave();
  }

  #tell(message: ToTab): void {
    for (const tab of this.#tabs) tab.say(message);
  }

  /** Asks one tab after the other: visible ones first, because hidden ones may be frozen. */
  async #token(why: 'connect' | 'refresh'): Promise<string> {
    const tabs = [...this.#tabs].sort((one, two) => Number(two.isVisible) - Number(one.isVisible));
    let failure: unknown = new Error('no tab answered');
    for (const tab of tabs) {
      try {
        return await tab.token(++this.#asked, why, TOKEN_MS);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }
}

/** What concerns no thread concerns every tab. Who waits for a slot hears of that by the state of his thread. */
function isCommon(frame: Frame): boolean {
  if (frame.type === 'notice') return frame.code !== 'queued';
  if (frame.type === 'hello') return true;
  return frame.type === 'error' && frame.thread === undefined && frame.ref === undefined;
}
