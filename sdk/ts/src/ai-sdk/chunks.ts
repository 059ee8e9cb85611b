// AG-UI events of one run in, chunks of a UI message stream (npm `ai`) out.
//
//   RUN_STARTED        start, start-step          TOOL_CALL_START  tool-input-start
//   TEXT_MESSAGE_*     text-start, -delta, -end   TOOL_CALL_ARGS   tool-input-delta
//   REASONING_*        reasoning-*                TOOL_CALL_END    tool-input-available, or tool-input-error
//   RUN_FINISHED       finish-step, finish        TOOL_CALL_RESULT tool-output-available
//   RUN_ERROR          error                      STEP_*, CUSTOM   data-step, data-custom
//
// A step of AG-UI is a named phase of the agent and may lie in a text; a step of the AI SDK is one call of a model, at
// whose end every text is over. So the whole run is one step of theirs, and steps of the agent are `data-step` parts.

import type { UIMessageChunk } from 'ai';
import { list, record, text } from '../messages/read.js';
import type { AguiEvent } from '../wire.js';

interface Call {
  readonly name: string;
  args: string;
  isClosed: boolean;
}

/** Turns events into chunks, one run per instance. */
export class Chunks {
  /** What streams: `text m1`, `reasoning m1`. Chunk events have no end of their own, and name their message once. */
  readonly #open = new Map<string, UIMessageChunk & { type: 'text-end' | 'reasoning-end' }>();
  readonly #calls = new Map<string, Call>();
  readonly #lastOf = new Map<string, string>();
  /** Tools that the page itself offered; all others are the agent's, which runs them too. */
  #pageTools: ReadonlySet<unknown> = new Set();

  /** The chunks that this event amounts to; none for what a UI message has no part for. */
  of(event: AguiEvent): UIMessageChunk[] {
    switch (event.type) {
      case 'RUN_STARTED': {
        const messageId = text(event.runId);
        const tools = list(record(event.input)?.tools) ?? [];
        this.#pageTools = new Set(tools.map((tool) => record(tool)?.name));
        return [{ type: 'start', ...(messageId !== undefined && { messageId }) }, { type: 'start-step' }];
      }
      case 'TEXT_MESSAGE_START':
      case 'TEXT_MESSAGE_CONTENT':
      case 'TEXT_MESSAGE_CHUNK':
        return this.#say('text', text(event.messageId), text(event.delta));
      case 'REASONING_MESSAGE_START':
      case 'REASONING_MESSAGE_CONTENT':
      case 'REASONING_MESSAGE_CHUNK':
        return this.#say('reasoning', text(event.messageId), text(event.delta));
      case 'TEXT_MESSAGE_END':
        return this.#endText('text', text(event.messageId));
      case 'REASONING_MESSAGE_END':
        return this.#endText('reasoning', text(event.messageId));
      case 'TOOL_CALL_START':
      case 'TOOL_CALL_ARGS':
      case 'TOOL_CALL_CHUNK':
        return this.#call(text(event.toolCallId), text(event.toolCallName), text(event.delta));
      case 'TOOL_CALL_END':
        return this.#endCall(text(event.toolCallId));
      case 'TOOL_CALL_RESULT':
        return this.#result(text(event.toolCallId), event.content);
      case 'STEP_STARTED':
      case 'STEP_FINISHED':
        return step(text(event.stepName), event.type === 'STEP_FINISHED' ? 'done' : 'running');
      case 'CUSTOM':
        return [{ type: 'data-custom', data: { name: event.name, value: event.value }, transient: true }];
      case 'RUN_FINISHED':
        return [...this.#endAll(), ...finish(record(event.outcome))];
      case 'RUN_ERROR':
        return [
          ...this.#endAll(),
          { type: 'error', errorText: text(event.message) ?? 'The answer ended with an error.' },
        ];
      default:
        return [];
    }
  }

  #say(kind: 'text' | 'reasoning', named: string | undefined, delta: string | undefined): UIMessageChunk[] {
    const id = named ?? this.#lastOf.get(kind);
    if (id === undefined) return [];
    this.#lastOf.set(kind, id);
    const key = `${kind} ${id}`;
    const chunks: UIMessageChunk[] = this.#open.has(key) ? [] : [{ type: `${kind}-start`, id }];
    this.#open.set(key, { type: `${kind}-end`, id });
    return delta ? [...chunks, { type: `${kind}-delta`, id, delta }] : chunks;
  }

  #endText(kind: 'text' | 'reasoning', id: string | undefined): UIMessageChunk[] {
    const key = `${kind} ${id}`;
    const end = this.#open.get(key);
    this.#open.delete(key);
    return end ? [end] : [];
  }

  #call(named: string | undefined, toolName: string | undefined, delta: string | undefined): UIMessageChunk[] {
    const id = named ?? this.#lastOf.get('call');
    if (id === undefined) return [];
    this.#lastOf.set('call', id);
    const chunks: UIMessageChunk[] = [];
    if (toolName !== undefined && !this.#calls.has(id)) {
      this.#calls.set(id, { name: toolName, args: '', isClosed: false });
      chunks.push({ type: 'tool-input-start', toolCallId: id, toolName, ...this.#executed(toolName) });
    }
    const call = this.#calls.get(id);
    if (!call || call.isClosed || !delta) return chunks;
    call.args += delta;
    return [...chunks, { type: 'tool-input-delta', toolCallId: id, inputTextDelta: delta }];
  }

  #endCall(toolCallId: string | undefined): UIMessageChunk[] {
    const call = this.#calls.get(toolCallId ?? '');
    if (!call || toolCallId === undefined || call.isClosed) return [];
    call.isClosed = true;
    const whole = { toolCallId, toolName: call.name, ...this.#executed(call.name) };
    const input = parse(call.args === '' ? '{}' : call.args);
    if (input) return [{ type: 'tool-input-available', ...whole, input: input.value }];
    return [
      { type: 'tool-input-error', ...whole, input: call.args, errorText: 'The arguments of this call are no JSON.' },
    ];
  }

  #result(toolCallId: string | undefined, content: unknown): UIMessageChunk[] {
    if (toolCallId === undefined || !this.#calls.has(toolCallId)) return [];
    return [...this.#endCall(toolCallId), { type: 'tool-output-available', toolCallId, output: readOutput(content) }];
  }

  /** What a cut answer left open: a text that streams for ever would keep a page's cursor blinking. */
  #endAll(): UIMessageChunk[] {
    const ends = [...this.#open.values()];
    this.#open.clear();
    return [...ends, ...[...this.#calls.keys()].flatMap((id) => this.#endCall(id))];
  }

  #executed(toolName: string): { providerExecuted?: true } {
    return this.#pageTools.has(toolName) ? {} : { providerExecuted: true };
  }
}

function step(name: string | undefined, status: 'running' | 'done'): UIMessageChunk[] {
  return name === undefined ? [] : [{ type: 'data-step', id: `step ${name}`, data: { name, status } }];
}

function finish(outcome: Record<string, unknown> | undefined): UIMessageChunk[] {
  switch (outcome?.type) {
    case 'cancelled':
      return [{ type: 'finish-step' }, { type: 'abort' }];
    case 'interrupt':
      return [
        { type: 'data-interrupt', data: outcome.interrupts },
        { type: 'finish-step' },
        { type: 'finish', finishReason: 'tool-calls' },
      ];
    default:
      return [{ type: 'finish-step' }, { type: 'finish', finishReason: 'stop' }];
  }
}

/** A result as a page wants it: what was an object before it became text is one again, and text stays text. */
export function readOutput(content: unknown): unknown {
  if (typeof content !== 'string') return content;
  const parsed = /^\s*[[{]/.test(content) ? parse(content) : undefined;
  return parsed ? parsed.value : content;
}

function parse(json: string): { value: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return { value };
  } catch {
    return undefined;
  }
}
