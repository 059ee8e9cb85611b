// An AG-UI agent over the gateway's socket: what `HttpAgent` is over HTTP, for CopilotKit and every other front end
// that takes an `AbstractAgent`. A cut socket in the middle of an answer is not seen here: it goes on where it was.
//
//   runAgent --> run(input) --> thread.run --> events --> @ag-ui/client's schemas, verifier, apply --> agent.messages

import {
  AbstractAgent,
  type AgentCapabilities,
  type AgentConfig,
  type AgentSubscriber,
  type BaseEvent,
  type RunAgentInput,
  type RunAgentParameters,
  type RunAgentResult,
  enforceOutgoingInput,
} from '@ag-ui/client';
import { Observable } from 'rxjs';
import { Follower } from './follow.js';
import { type Reset, type RunListener, type RunReading, joinRun, startRun } from './reading.js';
import type { Client } from './types.js';
import type { AguiEvent, Message, RunInput } from './wire.js';

/** What `HttpAgent` takes, with a client in place of a URL and headers. */
export interface LychgateAgentConfig extends AgentConfig {
  /** From `connect` or `connectShared`; one for the whole page. */
  client: Client;
  /** Which agent behind the gateway answers; its default one without. */
  agent?: string;
}

/** What `runAgent` takes, as of `HttpAgent`. */
export interface LychgateRunParameters extends RunAgentParameters {
  abortController?: AbortController;
}

/**
 * Runs on the thread `threadId` of the client's user; the thread stays open after the run, for the next one
 * (`client.thread(threadId).leave()` gives its slot back). Of `messages` the gateway gets those that it does not have.
 *
 * A run fails with a `LychgateError` (`busy`, `rate_limited`, `agent_unavailable`, ...) where the gateway refused it.
 * A run that ended while nobody was connected for so long that the gateway has no events of it any more ends with a
 * MESSAGES_SNAPSHOT of the whole conversation and RUN_FINISHED.
 */
export class LychgateAgent extends AbstractAgent {
  client: Client;
  agent: string | undefined;
  // No private names (#) here: AbstractAgent clones by prototype, and a clone would lack them.
  private reading: RunReading | undefined;
  /** Stopped since `runAgent` was called, which may be before anything is read. */
  private isStopped = false;

  constructor({ client, agent, ...config }: LychgateAgentConfig) {
    super(config);
    this.client = client;
    this.agent = agent;
  }

  /** As of AbstractAgent. `abortController` stops the run, as `abortRun` does. */
  override async runAgent(parameters?: LychgateRunParameters, subscriber?: AgentSubscriber): Promise<RunAgentResult> {
    const { abortController, ...rest } = parameters ?? {};
    const stop = () => this.abortRun();
    this.isStopped = abortController?.signal.aborted ?? false;
    abortController?.signal.addEventListener('abort', stop);
    try {
      return await super.runAgent(rest, subscriber);
    } finally {
      abortController?.signal.removeEventListener('abort', stop);
    }
  }

  /** The events of one run. Unsubscribing reads no further and stops nothing: `abortRun` does. */
  override run(input: RunAgentInput): Observable<BaseEvent> {
    return this.observe((listener) => {
      const follower = this.follow(input.threadId);
      const asked = toRunInput(enforceOutgoingInput(input));
      const reading = startRun(follower, input.threadId, asked, this.options(input), listener);
      if (this.isStopped) reading.stop();
      return reading;
    });
  }

  /** The conversation as it is, and after it the run in flight, if there is one. */
  protected override connect(input: RunAgentInput): Observable<BaseEvent> {
    return this.observe((listener) =>
      joinRun(this.follow(input.threadId), input.threadId, {
        ...listener,
        history: (reset) => historyRun(input, reset).forEach(listener.event),
      }),
    );
  }

  /** Asks the agent to stop: the run ends with RUN_FINISHED, outcome cancelled. */
  override abortRun(): void {
    this.isStopped = true;
    this.reading?.stop();
    super.abortRun();
  }

  /** An agent like this one, over the same client. It does not stop the runs of this one. */
  override clone(): LychgateAgent {
    const cloned: LychgateAgent = super.clone();
    cloned.client = this.client;
    cloned.agent = this.agent;
    return cloned;
  }

  override getCapabilities(): Promise<AgentCapabilities> {
    return Promise.resolve({ transport: { streaming: true, websocket: true, resumable: true } });
  }

  private follow(threadId: string): Follower {
    return Follower.of(this.client, threadId);
  }

  private options(input: RunAgentInput): { id: string; agent?: string } {
    return { id: input.runId, ...(this.agent !== undefined && { agent: this.agent }) };
  }

  private observe(begin: (listener: RunListener) => RunReading): Observable<BaseEvent> {
    return new Observable((subscriber) => {
      const reading = begin({
        // The gateway passes AG-UI's own events on, and @ag-ui/client checks each of them against its schemas next.
        event: (event) => subscriber.next(event as AguiEvent & BaseEvent),
        end: () => subscriber.complete(),
        fail: (error) => subscriber.error(error),
      });
      this.reading = reading;
      return () => {
        reading.detach();
        if (this.reading === reading) this.reading = undefined;
      };
    });
  }
}

/** What a run is, less what the frame around it says already. */
function toRunInput({ messages, tools, context, state, forwardedProps, resume }: RunAgentInput): RunInput {
  return {
    // Types of AG-UI's messages are closed and ours are open: every one of theirs is one of ours.
    messages: messages satisfies readonly { id: string; role: string }[] as Message[],
    tools,
    context,
    ...(state !== undefined && { state }),
    ...(forwardedProps !== undefined && { forwardedProps }),
    ...(resume !== undefined && { resume }),
  };
}

/** The history as a run of its own, because the verifier wants RUN_STARTED before anything else. */
function historyRun({ threadId, runId }: RunAgentInput, { messages, state }: Reset): AguiEvent[] {
  return [
    { type: 'RUN_STARTED', threadId, runId },
    { type: 'MESSAGES_SNAPSHOT', messages },
    ...(state === undefined ? [] : [{ type: 'STATE_SNAPSHOT', snapshot: state }]),
    { type: 'RUN_FINISHED', threadId, runId },
  ];
}
