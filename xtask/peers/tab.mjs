// A tab over npm `ws` as a careful client writes it: it remembers what it has processed and goes on from there.

const DEADLINE_MS = 60_000;

/** One tab of one thread. `events` are those of the run that was asked for last, as they came. */
export class Tab {
  constructor(home, thread) {
    Object.assign(this, { ...home, thread, events: [], messages: undefined, resets: 0, after: 0, unanswered: undefined });
  }

  /** Connects and opens: from where it left off, or from nothing. Asks again what nobody answered. */
  async join() {
    const socket = new this.WebSocket(this.url, ['lychgate.v1', `lychgate.bearer.${this.token}`]);
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('message', (data) => socket === this.socket && this.#receive(JSON.parse(data.toString())));
    socket.on('open', () => {
      const place = this.epoch === undefined ? {} : { after: this.after, epoch: this.epoch };
      this.#send({ type: 'hello', sdk: 'npm-ws', heartbeat: 'app', ...(Math.random() < 0.5 && { prev: this.prev }) });
      this.#send({ type: 'open', thread: this.thread, ...place });
    });
    this.isOpen = false;
    await this.#until('opened', () => this.isOpen);
    if (this.unanswered) this.#send(this.unanswered);
  }

  /** Loses its socket, and with it what was on its way. */
  cut() {
    const socket = this.socket;
    this.socket = undefined;
    socket.terminate();
  }

  /** Starts a run with one message of the user. */
  ask(run, text, agent) {
    this.begin();
    const input = { messages: [{ id: `${run}-u`, role: 'user', content: text }] };
    this.unanswered = { type: 'run', thread: this.thread, run, input, agent };
    this.#send(this.unanswered);
  }

  stop(run) {
    this.#send({ type: 'stop', thread: this.thread, run });
  }

  /** Forgets the events of the run before. */
  begin() {
    this.events = [];
  }

  /** Waits for so many more events, or for the end of the run. */
  async hear(more = Infinity) {
    const wanted = this.events.length + more;
    await this.#until(`${more} more events`, () => this.events.length >= wanted || this.isOver());
  }

  isOver() {
    return ['RUN_FINISHED', 'RUN_ERROR'].includes(this.events.at(-1)?.type);
  }

  #receive(frame) {
    switch (frame.type) {
      case 'hello':
        this.prev = frame.connection;
        break;
      case 'opened':
        this.#opened(frame);
        break;
      case 'event':
        if (!(frame.offset > this.after)) throw new Error(`offset ${frame.offset} follows ${this.after}`);
        this.after = frame.offset;
        this.unanswered = undefined;
        this.events.push(frame.event);
        this.#send({ type: 'ack', at: { [this.thread]: frame.offset } });
        break;
      case 'ping':
        this.#send({ type: 'ack' });
        break;
      case 'error':
        throw new Error(`${frame.code}: ${frame.message}`);
      default:
      // Unknown server frames and notices are ignored, as the protocol asks of a client.
    }
    this.wake?.();
  }

  #opened(frame) {
    if (frame.reset) {
      this.resets += 1;
      this.messages = frame.messages;
      this.events = [];
    } else if (frame.after !== this.after) {
      throw new Error(`resumed at ${frame.after}, not at ${this.after}`);
    }
    this.after = frame.after;
    this.epoch = frame.epoch;
    this.isOpen = true;
  }

  #send(frame) {
    if (this.socket?.readyState === this.WebSocket.OPEN) this.socket.send(JSON.stringify(frame));
  }

  async #until(what, holds) {
    const late = setTimeout(() => {
      throw new Error(`${what} did not come within ${DEADLINE_MS} ms`);
    }, DEADLINE_MS);
    while (!holds()) await new Promise((resolve) => (this.wake = resolve));
    clearTimeout(late);
  }
}
