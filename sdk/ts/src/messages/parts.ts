// Messages made of parts: how a whole AG-UI message becomes one, how a streamed one grows. Nothing is changed in
// place; what an event does not touch stays the same object, so that a page draws again only what is new.
//
//   assistant { content, toolCalls }  -->  [ text, tool, tool, ... ]     the text is first, however it was streamed
//   tool { toolCallId, content }      -->  the result of that tool part
//   reasoning { content }             -->  [ reasoning ]
//   user { content: [...] }           -->  [ text, file, ... ]

import { list, record, text } from './read.js';

/** One message as it can be shown. An answer that only called tools has no text part. */
export interface ViewMessage {
  readonly id: string;
  /** `user`, `assistant`, `reasoning`, `system`, `developer`; `tool` only for the result of an unknown call. */
  readonly role: string;
  readonly parts: readonly Part[];
}

/** A piece of a message. `done`: no more of it comes (of a tool: its arguments are complete). */
export type Part =
  | { readonly type: 'text'; readonly text: string; readonly done: boolean }
  | { readonly type: 'reasoning'; readonly text: string; readonly done: boolean }
  | ToolPart
  | FilePart;

/** A call. `args` is JSON, and only a piece of it until `done`; `error` is there where the call failed. */
export interface ToolPart {
  readonly type: 'tool';
  readonly id: string;
  readonly name: string;
  readonly args: string;
  readonly result?: string;
  readonly error?: string;
  readonly done: boolean;
}

/** Something else than text. No `url`: the file lies with the model's provider under `name`. */
export interface FilePart {
  readonly type: 'file';
  /** `data:` or what the message said; not to be trusted as a link without a look at its scheme. */
  readonly url?: string;
  readonly mediaType?: string;
  readonly name?: string;
}

type Messages = readonly ViewMessage[];
type TextPart = Part & { type: 'text' | 'reasoning' };

/** Messages that replace `old`; those that are as they were stay the same objects. */
export function replaceMessages(old: Messages, messages: readonly unknown[]): Messages {
  const known = new Map(old.map((message) => [message.id, message]));
  return addMessages([], messages).map((message) => {
    const before = known.get(message.id);
    return before && JSON.stringify(before) === JSON.stringify(message) ? before : message;
  });
}

/**
 * Adds whole messages, those with a known id excepted. Made in one copy and with two indexes: a reset brings thousands
 * of them, and a search and a copy for each would be felt.
 */
export function addMessages(messages: Messages, added: readonly unknown[]): Messages {
  const all = [...messages];
  const known = new Set(messages.map(({ id }) => id));
  /** Where the message with this call stands. */
  const calls = new Map<string, number>();
  const index = ({ parts }: ViewMessage, at: number) => {
    for (const part of parts) if (part.type === 'tool') calls.set(part.id, at);
  };
  messages.forEach(index);
  let isSame = true;
  for (const value of added) {
    const message = record(value);
    const [id, role] = [text(message?.id), text(message?.role)];
    if (!message || id === undefined || role === undefined || role === 'activity' || known.has(id)) continue;
    const call = text(message.toolCallId);
    const at = role === 'tool' && call !== undefined ? calls.get(call) : undefined;
    const asking = at === undefined ? undefined : all[at];
    const answer = { message: id, call, ...message };
    if (at !== undefined && asking) {
      for (const answered of addResult([asking], answer)) all[at] = answered;
      isSame &&= all[at] === asking;
      continue;
    }
    // To no call that is known: a message of its own, if it is one.
    const whole = role === 'tool' ? addResult([], answer) : [wholeMessage(id, role, message)];
    for (const one of whole) {
      index(one, all.length);
      known.add(id);
      all.push(one);
      isSame = false;
    }
  }
  return isSame ? messages : all;
}

function wholeMessage(id: string, role: string, message: Record<string, unknown>): ViewMessage {
  const calls = (list(message.toolCalls) ?? []).flatMap(wholeCall);
  return { id, role, parts: [...wholeContent(role, message.content), ...calls] };
}

function wholeContent(role: string, content: unknown): Part[] {
  const type = textType(role);
  if (typeof content === 'string') return content === '' ? [] : [{ type, text: content, done: true }];
  return (list(content) ?? []).flatMap((value): Part[] => {
    const part = record(value);
    if (!part) return [];
    const said = text(part.text);
    return said === undefined ? wholeFile(part) : [{ type, text: said, done: true }];
  });
}

function wholeFile(part: Record<string, unknown>): FilePart[] {
  const source = record(part.source);
  const value = text(source?.value);
  if (value === undefined) return [];
  const mediaType = text(source?.mimeType);
  const metadata = record(part.metadata);
  const name = text(metadata?.filename) ?? text(metadata?.name) ?? (source?.type === 'file' ? value : undefined);
  const url = source?.type === 'data' ? `data:${mediaType ?? ''};base64,${value}` : value;
  return [
    {
      type: 'file',
      ...(source?.type !== 'file' && { url }),
      ...(mediaType !== undefined && { mediaType }),
      ...(name !== undefined && { name }),
    },
  ];
}

function wholeCall(value: unknown): ToolPart[] {
  const call = record(value);
  const [id, called] = [text(call?.id), record(call?.function)];
  if (id === undefined) return [];
  return [{ type: 'tool', id, name: text(called?.name) ?? '', args: text(called?.arguments) ?? '', done: true }];
}

/**
 * START, CONTENT or CHUNK of a text: each opens the message where it is missing, and adds what it carries. Without an
 * id it goes on with the last message. A chunk has no end of its own: it is over when its run is.
 */
export function addText(messages: Messages, id: string | undefined, role: string, delta: string | undefined): Messages {
  const index = id === undefined ? messages.length - 1 : indexOf(messages, id);
  const message = messages[index];
  if (!message) {
    if (id === undefined) return messages;
    return [...messages, { id, role, parts: [{ type: textType(role), text: delta ?? '', done: false }] }];
  }
  const at = message.parts.findIndex(isText);
  const part = message.parts[at];
  if (!part || !isText(part)) {
    const opened: TextPart = { type: textType(message.role), text: delta ?? '', done: false };
    return messages.with(index, { ...message, parts: [opened, ...message.parts] });
  }
  const grown = { ...part, text: part.text + (delta ?? ''), done: false };
  return messages.with(index, { ...message, parts: message.parts.with(at, grown) });
}

/** END of a text. One that said nothing leaves no part: a history has none either. */
export function closeText(messages: Messages, id: string | undefined): Messages {
  const index = id === undefined ? -1 : indexOf(messages, id);
  const message = messages[index];
  if (!message?.parts.some((part) => isText(part) && !part.done)) return messages;
  return messages.with(index, {
    ...message,
    parts: message.parts.flatMap((part) => (isText(part) ? closed(part) : [part])),
  });
}

/** START of a call. Without a parent that is known, the call gets an assistant message named after it. */
export function openCall(
  messages: Messages,
  call: string | undefined,
  name: string | undefined,
  parent: string | undefined,
): Messages {
  if (call === undefined || name === undefined || findCall(messages, call)) return messages;
  const part: ToolPart = { type: 'tool', id: call, name, args: '', done: false };
  const id = parent ?? call;
  const index = indexOf(messages, id);
  const message = messages[index];
  if (!message) return [...messages, { id, role: 'assistant', parts: [part] }];
  return messages.with(index, { ...message, parts: [...message.parts, part] });
}

/** Arguments of a call; without an id, of the last one. */
export function addCallArgs(messages: Messages, call: string | undefined, delta: string | undefined): Messages {
  return delta === undefined ? messages : changeCall(messages, call, (part) => ({ ...part, args: part.args + delta }));
}

/** END of a call's arguments. */
export function closeCall(messages: Messages, call: string | undefined): Messages {
  return call === undefined
    ? messages
    : changeCall(messages, call, (part) => (part.done ? part : { ...part, done: true }));
}

/** What a call gave. The first answer stands; one to an unknown call is a message of its own. */
export function addResult(
  messages: Messages,
  answer: { message?: string | undefined; call?: string | undefined; content?: unknown; error?: unknown },
): Messages {
  const { message: id, call } = answer;
  const result = flat(answer.content);
  if (id === undefined || call === undefined || result === undefined || indexOf(messages, id) >= 0) return messages;
  if (!findCall(messages, call))
    return [...messages, { id, role: 'tool', parts: [{ type: 'text', text: result, done: true }] }];
  const error = text(answer.error);
  return changeCall(messages, call, (part) =>
    part.result === undefined ? { ...part, result, ...(error !== undefined && { error }), done: true } : part,
  );
}

/** Ends whatever is open. */
export function closeParts(messages: Messages): Messages {
  const isOpen = (part: Part) => part.type !== 'file' && !part.done;
  if (!messages.some((message) => message.parts.some(isOpen))) return messages;
  return messages.map((message) =>
    message.parts.some(isOpen) ? { ...message, parts: message.parts.flatMap(closed) } : message,
  );
}

function closed(part: Part): Part[] {
  switch (part.type) {
    case 'file':
      return [part];
    case 'text':
    case 'reasoning':
      return part.text === '' ? [] : [{ ...part, done: true }];
    case 'tool':
      return [{ ...part, done: true }];
  }
}

/** The text of a result; what is no text in it cannot be shown as one and is left out. */
function flat(content: unknown): string | undefined {
  if (typeof content === 'string') return content;
  return list(content)
    ?.flatMap((part) => text(record(part)?.text) ?? [])
    .join('');
}

function textType(role: string): 'text' | 'reasoning' {
  return role === 'reasoning' ? 'reasoning' : 'text';
}

function isText(part: Part): part is TextPart {
  return part.type === 'text' || part.type === 'reasoning';
}

/** Searched from the end: events speak of what is new. */
function indexOf(messages: Messages, id: string): number {
  return messages.findLastIndex((message) => message.id === id);
}

function findCall(messages: Messages, call: string | undefined): { index: number; at: number } | undefined {
  const isCall = (part: Part) => part.type === 'tool' && (call === undefined || part.id === call);
  const index = messages.findLastIndex((message) => message.parts.some(isCall));
  return index < 0 ? undefined : { index, at: (messages[index]?.parts ?? []).findLastIndex(isCall) };
}

function changeCall(messages: Messages, call: string | undefined, change: (part: ToolPart) => ToolPart): Messages {
  const found = findCall(messages, call);
  const message = found && messages[found.index];
  const part = message?.parts[found?.at ?? -1];
  if (!found || !message || part?.type !== 'tool') return messages;
  const changed = change(part);
  return changed === part
    ? messages
    : messages.with(found.index, { ...message, parts: message.parts.with(found.at, changed) });
}
