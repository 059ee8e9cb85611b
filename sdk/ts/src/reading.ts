// One run, read by somebody who wants each piece of it once and its end: the stream of an agent or of a transport.
//
//   startRun --run--> gateway          joinRun: history, then the run in flight
//       '--> event, event, ... end | fail <--'        stop: asked for, and the core says it until it is heard

import { LychgateError } from './errors.js';
import { type Follower, type Listener, overError } from './follow.js';
import { RunReader } from './run-reader.js';
import type { RunEnd, RunOptions, ThreadEvent } from './types.js';
import type { AguiEvent, RunInput } from './wire.js';

/** Who wants to be told of one run. After `end` or `fail` nothing more comes. */
export interface RunListener {
  event(event: AguiEvent): void;
  end(): void;
  /** The run was refused, the thread closed, or (an `AbortError`) it was stopped while nobody could hear it. */
  fail(error: Error): void;
}

/** A run that is being read. */
export interface RunReading {
  /** Asks for the end, which is told like any other; at once where the gateway cannot be asked. */
  stop(): void;
  /** Reads no further. The run goes on. */
  detach(): void;
}

/** Starts a run with what the gateway does not have yet of `input.messages`, and reads it. */
export function startRun(
  follower: Follower,
  thread: string,
  input: RunInput,
  options: RunOptions & { id: string },
  listener: RunListener,
): RunReading {
  const reader = new RunReader(thread, options.id);
  const reading = read(follower, reader, listener);
  let isSent = false;
  void begin();
  return {
    stop: () => (isSent ? reading.stop() : reading.fail(aborted())),
    detach: reading.detach,
  };

  /** The first `opened` tells what the gateway has; a run before it would send all of it again. */
  async function begin(): Promise<void> {
    try {
      await follower.whenOpen();
      if (reading.isOver) return;
      isSent = true;
      const run = follower.thread.run({ ...input, messages: follower.unknown(input.messages) }, options);
      settle(await run.done);
    } catch (error) {
      reading.fail(toError(error));
    }
  }

  function settle(end: RunEnd): void {
    if (reading.isOver) return;
    if (end.outcome === 'error') reading.fail(new LychgateError(end.code ?? 'internal', end.message, end.retryIn));
    else reading.finish();
  }
}

/** What a thread was when somebody joined it. */
export type Reset = Extract<ThreadEvent, { type: 'reset' }>;

/** Who wants the run in flight, and first of all what was before it. */
export interface JoinListener extends RunListener {
  /** `reset.run` is what follows; without one, `end` is next. */
  history(reset: Reset): void;
}

/** Reads the run in flight from its beginning: a new reader of a thread is told all of it, from a reset on. */
export function joinRun(follower: Follower, thread: string, listener: JoinListener): RunReading {
  const opened = follower.thread;
  let isFirst = true;
  const reading = read(follower, new RunReader(thread), listener, (tell) =>
    opened.on('event', (told) => {
      if (isFirst && told.type === 'reset') {
        isFirst = false;
        listener.history(told);
        if (told.run === undefined) return reading.finish();
      }
      tell(told);
    }),
  );
  return reading;
}

interface OpenReading extends RunReading {
  readonly isOver: boolean;
  fail(error: Error): void;
  /** The run is over: ends it where its end was not told. */
  finish(): void;
}

function read(
  follower: Follower,
  reader: RunReader,
  listener: RunListener,
  listen: (listener: Listener) => () => void = (listener) => follower.listen(listener),
): OpenReading {
  const { thread } = follower;
  follower.keep();
  let isOver = false;
  let history: Reset = { type: 'reset', messages: [], more: false };
  const offEvent = listen((told) => {
    if (told.type === 'reset') history = told;
    pass(reader.read(told));
  });
  const offEnd = follower.onEnd((why) => fail(overError(why)));

  function close(): boolean {
    if (isOver) return false;
    isOver = true;
    offEvent();
    offEnd();
    return true;
  }
  function pass(events: readonly AguiEvent[]): void {
    for (const event of events) if (!isOver) listener.event(event);
    if (reader.hasEnded && close()) listener.end();
  }
  function fail(error: Error): void {
    if (close()) listener.fail(error);
  }
  return {
    get isOver() {
      return isOver;
    },
    fail,
    finish: () => {
      if (reader.run !== undefined) pass(reader.end(history));
      else if (close()) listener.end();
    },
    detach: () => void close(),
    stop: () => {
      if (isOver) return;
      thread.stop(reader.run);
      if (!follower.isReachable) fail(aborted());
    },
  };
}

function aborted(): Error {
  return new DOMException('The run was stopped.', 'AbortError');
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
