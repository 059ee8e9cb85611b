// A transport for `useChat` of the Vercel AI SDK (npm `ai` 6) over the gateway's socket.
//
//   useChat({ id, transport }) --sendMessages--> thread `id` --run--> AG-UI events --> UI message chunks
//                              --reconnectToStream (resume: true)--> the run in flight, from its beginning
//
// The gateway keeps the conversation: of the messages it gets those that came after the last answer. A socket that is
// cut in the middle of an answer is not seen here: the answer goes on where it was.

import type { ChatTransport, UIMessage, UIMessageChunk } from 'ai';
import { Chunks } from './ai-sdk/chunks.js';
import { toAgui, toUi } from './ai-sdk/convert.js';
import { Follower } from './follow.js';
import { type RunListener, type RunReading, joinRun, startRun } from './reading.js';
import { uuid } from './id.js';
import { emptyView, fold } from './messages.js';
import type { Client, ThreadEvent } from './types.js';
import type { RunInput } from './wire.js';

export interface LychgateChatTransportOptions {
  /** From `connect` or `connectShared`; one for the whole page. */
  client: Client;
  /** Which agent behind the gateway answers; its default one without. */
  agent?: string;
  /** Tools that the page offers to the agent, in AG-UI's shape; `onToolCall` and `addToolOutput` answer their calls. */
  tools?: readonly { name: string; description: string; parameters?: unknown }[];
}

type Send<M extends UIMessage> = Parameters<ChatTransport<M>['sendMessages']>[0];
type Reconnect<M extends UIMessage> = Parameters<ChatTransport<M>['reconnectToStream']>[0];

/**
 * `chatId` is the thread. `body` of a request is AG-UI's `forwardedProps`, and so reaches the agent; `headers` mean
 * nothing on a socket. `regenerate` asks for another answer to the same conversation; the gateway keeps the first one.
 *
 * A stream ends with `finish`, `abort` (stopped) or `error`. It fails with a `LychgateError` where the gateway refused
 * the run (`busy`, `rate_limited`, ...), and as an aborted request does where nobody could hear that it was stopped.
 */
export class LychgateChatTransport<M extends UIMessage = UIMessage> implements ChatTransport<M> {
  /** `reconnectToStream` tells the answer from its beginning. */
  readonly resumeStreamIsReplay = true;
  readonly #options: LychgateChatTransportOptions;
  /** Of chats whose answer was stopped: when it has ended. */
  readonly #stopped = new Map<string, Promise<void>>();
  /** Which call for a chat resumed it last. */
  readonly #turns = new Map<string, object>();

  constructor(options: LychgateChatTransportOptions) {
    this.#options = options;
  }

  /** Starts a run. Cancelling the stream reads no further and stops nothing: `abortSignal` does. */
  async sendMessages({ chatId, messages, abortSignal, body }: Send<M>): Promise<ReadableStream<UIMessageChunk>> {
    const { agent, tools } = this.#options;
    const input: RunInput = {
      messages: toAgui(messages),
      ...(tools && { tools: [...tools] }),
      ...(body && { forwardedProps: body }),
    };
    const options = { id: uuid(), ...(agent !== undefined && { agent }) };
    // useChat is done with a stopped answer at once; the thread is when its run has ended.
    await this.#stopped.get(chatId);
    return this.#readable(chatId, abortSignal, (follower, listener) =>
      startRun(follower, chatId, input, options, listener),
    );
  }

  /**
   * The answer in flight, from its beginning; null where none is. `abortSignal` stops it, unless what aborts is another
   * call of this for the same chat: useChat resumes twice in StrictMode, and neither time has anybody pressed stop.
   */
  async reconnectToStream({ chatId, abortSignal }: Reconnect<M>): Promise<ReadableStream<UIMessageChunk> | null> {
    const turn = {};
    this.#turns.set(chatId, turn);
    const follower = this.#follow(chatId);
    await follower.whenOpen();
    if (follower.thread.inFlight === undefined) return null;
    const isReplaced = () => this.#turns.get(chatId) !== turn;
    if (isReplaced()) return null;
    const join: Begin = (joined, listener) => joinRun(joined, chatId, { ...listener, history: () => undefined });
    return this.#readable(chatId, abortSignal, join, isReplaced);
  }

  /**
   * The conversation so far, for `messages` of `useChat`: without an answer in flight, which `resume: true` brings.
   * @throws LychgateError where the thread could not be opened
   */
  async messages(chatId: string): Promise<UIMessage[]> {
    const follower = this.#follow(chatId);
    await follower.whenOpen();
    return new Promise((resolve, reject) => {
      let view = emptyView;
      const reading = joinRun(follower, chatId, {
        history: (reset) => {
          view = fold(view, reset);
          if (reset.run === undefined) resolve(toUi(view.messages));
        },
        // The question of the run in flight comes with its beginning.
        event: (event) => {
          reading.detach();
          resolve(toUi(fold(view, { type: 'event', offset: 0, event } satisfies ThreadEvent).messages));
        },
        end: () => resolve(toUi(view.messages)),
        fail: reject,
      });
    });
  }

  #follow(chatId: string): Follower {
    return Follower.of(this.#options.client, chatId);
  }

  /**
   * A stream of what is read. What a slow page has not taken yet waits in it: that is one answer, as long as the
   * gateway lets one be, and useChat takes each chunk at once.
   */
  #readable(
    chatId: string,
    abortSignal: AbortSignal | undefined,
    begin: Begin,
    isReplaced: () => boolean = () => false,
  ): ReadableStream<UIMessageChunk> {
    const follower = this.#follow(chatId);
    const chunks = new Chunks();
    let reading: RunReading | undefined;
    let isCancelled = false;
    const { promise: ended, resolve: end } = deferred();
    const stop = () => {
      const stopped = ended.then(() => {
        if (this.#stopped.get(chatId) === stopped) this.#stopped.delete(chatId);
      });
      this.#stopped.set(chatId, stopped);
      reading?.stop();
    };
    // Whoever replaces a stream aborts it first: who it was shows at the end of the turn.
    const abort = () => queueMicrotask(() => (isReplaced() ? reading?.detach() : stop()));
    const over = (last: () => void) => {
      abortSignal?.removeEventListener('abort', abort);
      end();
      if (!isCancelled) last();
    };
    return new ReadableStream<UIMessageChunk>({
      start: (controller) => {
        reading = begin(follower, {
          event: (event) => {
            if (!isCancelled) chunks.of(event).forEach((chunk) => controller.enqueue(chunk));
          },
          end: () => over(() => controller.close()),
          fail: (error) => over(() => controller.error(error)),
        });
        if (abortSignal?.aborted) abort();
        else abortSignal?.addEventListener('abort', abort);
      },
      cancel: () => {
        isCancelled = true;
        // A stopped answer is read to its end, which the next question waits for.
        if (!abortSignal?.aborted) reading?.detach();
      },
    });
  }
}

type Begin = (follower: Follower, listener: RunListener) => RunReading;

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
