// What a thread's events amount to: messages to show, the shared state, how the run goes. Pure, without a socket.
//
//   reset ---------------------> the messages and the state anew
//   RUN_STARTED.input.messages > the question            TEXT_MESSAGE_*  REASONING_* > text and reasoning parts
//   TOOL_CALL_* and its RESULT > tool parts              STATE_*  STEP_*  RUN_*      > state, steps, run
//
// The gateway folds the same events into the messages of a reset (crates/server/src/journal/fold.rs), and both must
// come to the same: a tab that reloads shows what the tab beside it shows. What the gateway keeps no trace of
// (activities, raw and custom events, encrypted reasoning) leaves none here either.

import {
  type FilePart,
  type Part,
  type ToolPart,
  type ViewMessage,
  addCallArgs,
  addMessages,
  addResult,
  addText,
  closeCall,
  closeParts,
  closeText,
  openCall,
  replaceMessages,
} from './messages/parts.js';
import { patchState, readState } from './messages/state.js';
import { list, record, text } from './messages/read.js';
import type { ThreadEvent } from './types.js';
import type { AguiEvent, Message } from './wire.js';

export type { AguiEvent, FilePart, Message, Part, ThreadEvent, ToolPart, ViewMessage };

/** A thread as it can be shown. Immutable: a fold makes a new one, in which unchanged messages are the same objects. */
export interface View {
  /** Oldest first. A tool's result stands in the part of its call, not in a message of its own. */
  readonly messages: readonly ViewMessage[];
  /** What agent and front end share; absent until an agent told it. */
  readonly state?: unknown;
  /** The run in flight, or the last one of which the end was seen. A reset knows of runs in flight only. */
  readonly run?: RunView;
  /** Of `run`, in the order in which they began. */
  readonly steps: readonly Step[];
  /** There are older messages than these, to be had by HTTP (docs/http.md). */
  readonly more: boolean;
}

/** One step that the agent announced. */
export interface Step {
  readonly name: string;
  readonly done: boolean;
}

/** How a run goes. `interrupted`: the agent waits for answers to `interrupts`, as `resume` of the next run. */
export type RunView =
  | { readonly id: string; readonly status: 'running' }
  | { readonly id: string; readonly status: 'finished'; readonly result?: unknown }
  | { readonly id: string; readonly status: 'interrupted'; readonly interrupts: readonly Interrupt[] }
  | { readonly id: string; readonly status: 'cancelled' }
  | {
      readonly id: string;
      readonly status: 'error';
      readonly error: { readonly code?: string; readonly message: string };
    };

/** A question of the agent that ends a run, as AG-UI 1.0 has it; more fields may stand beside these. */
export interface Interrupt {
  readonly id: string;
  readonly reason: string;
  readonly message?: string;
  readonly [field: string]: unknown;
}

/** A thread of which nothing is known yet. */
export const emptyView: View = { messages: [], steps: [], more: false };

/**
 * The view after one more event. The same view comes back where the event changes nothing: an unknown type, a field of
 * the wrong shape, an end of what is not open. Never throws.
 */
export function fold(view: View, threadEvent: ThreadEvent): View {
  switch (threadEvent.type) {
    case 'reset':
      return reset(view, threadEvent);
    case 'event':
      return foldEvent(view, threadEvent.event);
  }
}

function reset(view: View, { messages, state, more, run }: ThreadEvent & { type: 'reset' }): View {
  return {
    messages: replaceMessages(view.messages, messages),
    ...(state !== undefined && { state }),
    ...(run !== undefined && { run: { id: run, status: 'running' } }),
    steps: [],
    more,
  };
}

function foldEvent(view: View, event: AguiEvent): View {
  switch (event.type) {
    case 'RUN_STARTED':
      return runStarted(view, event);
    case 'RUN_FINISHED':
      return runEnded(view, finished(text(event.runId) ?? view.run?.id ?? '', event));
    case 'RUN_ERROR':
      return runEnded(view, failed(view.run?.id ?? '', event));
    case 'STEP_STARTED':
      return stepStarted(view, text(event.stepName));
    case 'STEP_FINISHED':
      return stepFinished(view, text(event.stepName));
    case 'STATE_SNAPSHOT':
      return 'snapshot' in event ? withState(view, readState(event.snapshot)) : view;
    case 'STATE_DELTA':
      return withState(view, patchState(view.state, event.delta));
    default:
      return withMessages(view, foldMessages(view.messages, event));
  }
}

function foldMessages(messages: readonly ViewMessage[], event: AguiEvent): readonly ViewMessage[] {
  const message = text(event.messageId);
  const call = text(event.toolCallId);
  const delta = text(event.delta);
  switch (event.type) {
    case 'TEXT_MESSAGE_START':
    case 'TEXT_MESSAGE_CONTENT':
    case 'TEXT_MESSAGE_CHUNK':
      return addText(messages, message, text(event.role) ?? 'assistant', delta);
    case 'REASONING_MESSAGE_START':
    case 'REASONING_MESSAGE_CONTENT':
    case 'REASONING_MESSAGE_CHUNK':
      return addText(messages, message, text(event.role) ?? 'reasoning', delta);
    case 'TEXT_MESSAGE_END':
    case 'REASONING_MESSAGE_END':
      return closeText(messages, message);
    case 'TOOL_CALL_START':
    case 'TOOL_CALL_ARGS':
    case 'TOOL_CALL_CHUNK': {
      const opened = openCall(messages, call, text(event.toolCallName), text(event.parentMessageId));
      return addCallArgs(opened, call, delta);
    }
    case 'TOOL_CALL_END':
      return closeCall(messages, call);
    case 'TOOL_CALL_RESULT':
      return addResult(messages, { message, call, content: event.content });
    case 'MESSAGES_SNAPSHOT': {
      const snapshot = list(event.messages);
      return snapshot ? replaceMessages(messages, snapshot) : messages;
    }
    default:
      return messages;
  }
}

function runStarted(view: View, event: AguiEvent): View {
  const asked = list(record(event.input)?.messages) ?? [];
  const messages = addMessages(closeParts(view.messages), asked);
  return { ...view, messages, run: { id: text(event.runId) ?? '', status: 'running' }, steps: [] };
}

/** What a cut answer left open is closed with its run, as the gateway closes it: nothing blinks for ever. */
function runEnded(view: View, run: RunView): View {
  const steps = view.steps.some((step) => !step.done)
    ? view.steps.map((step) => ({ ...step, done: true }))
    : view.steps;
  return { ...view, messages: closeParts(view.messages), run, steps };
}

function finished(id: string, event: AguiEvent): RunView {
  const outcome = record(event.outcome);
  switch (outcome?.type) {
    case 'cancelled':
      return { id, status: 'cancelled' };
    case 'interrupt':
      return { id, status: 'interrupted', interrupts: (list(outcome.interrupts) ?? []).flatMap(interrupt) };
    default:
      return { id, status: 'finished', ...(event.result !== undefined && { result: event.result }) };
  }
}

function interrupt(value: unknown): Interrupt[] {
  const fields = record(value);
  const [id, reason] = [text(fields?.id), text(fields?.reason)];
  return id === undefined || reason === undefined ? [] : [{ ...fields, id, reason }];
}

function failed(id: string, event: AguiEvent): RunView {
  const code = text(event.code);
  const message = text(event.message) ?? '';
  return { id, status: 'error', error: code === undefined ? { message } : { code, message } };
}

function stepStarted(view: View, name: string | undefined): View {
  return name === undefined ? view : { ...view, steps: [...view.steps, { name, done: false }] };
}

function stepFinished(view: View, name: string | undefined): View {
  const index = view.steps.findLastIndex((step) => step.name === name && !step.done);
  if (name === undefined || index < 0) return view;
  return { ...view, steps: view.steps.with(index, { name, done: true }) };
}

function withState(view: View, state: unknown): View {
  if (state === view.state) return view;
  const { state: _, ...rest } = view;
  return state === undefined ? rest : { ...rest, state };
}

function withMessages(view: View, messages: readonly ViewMessage[]): View {
  return messages === view.messages ? view : { ...view, messages };
}
