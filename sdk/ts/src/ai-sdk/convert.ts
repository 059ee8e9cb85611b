// Messages of the AI SDK's UI and messages of AG-UI, one made of the other.

import { type UIMessage, isToolUIPart } from 'ai';
import type { Part, ViewMessage } from '../messages.js';
import type { Message } from '../wire.js';
import { readOutput } from './chunks.js';

/**
 * What the page has said since the last answer: the results of its own tools in that answer, and what was typed after
 * it. The rest the gateway has.
 */
export function toAgui(messages: readonly UIMessage[]): Message[] {
  const last = messages.findLastIndex((message) => message.role === 'assistant');
  const answer = messages[last];
  return [...(answer ? toolResults(answer) : []), ...messages.slice(last + 1).map(toMessage)];
}

function toMessage({ id, role, parts }: UIMessage): Message {
  const content = parts.flatMap((part): unknown[] => {
    switch (part.type) {
      case 'text':
        return [{ type: 'text', text: part.text }];
      case 'file':
        return [toFile(part)];
      default:
        return [];
    }
  });
  const isText = parts.every((part) => part.type !== 'file');
  const joined = parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('');
  return { id, role, content: isText ? joined : content };
}

function toFile({ url, mediaType, filename }: { url: string; mediaType: string; filename?: string }): unknown {
  const [, base64] = /^data:[^,]*;base64,(.*)$/s.exec(url) ?? [];
  const source =
    base64 === undefined
      ? { type: 'url', value: url, mimeType: mediaType }
      : { type: 'data', value: base64, mimeType: mediaType };
  const kind = /^(image|audio|video)\//.exec(mediaType)?.[1] ?? 'document';
  return { type: kind, source, ...(filename !== undefined && { metadata: { filename } }) };
}

function toolResults({ parts }: UIMessage): Message[] {
  return parts.flatMap((part): Message[] => {
    if (!isToolUIPart(part) || part.providerExecuted) return [];
    const result = { id: `result-${part.toolCallId}`, role: 'tool', toolCallId: part.toolCallId };
    switch (part.state) {
      case 'output-available':
        return [{ ...result, content: typeof part.output === 'string' ? part.output : JSON.stringify(part.output) }];
      case 'output-error':
        return [{ ...result, content: part.errorText, error: part.errorText }];
      default:
        return [];
    }
  });
}

/** The messages of a view as `useChat` shows them: what answers one question is one message. */
export function toUi(messages: readonly ViewMessage[]): UIMessage[] {
  return messages.reduce<UIMessage[]>((all, message) => {
    const parts = message.parts.flatMap((part) => toUiPart(part));
    if (message.role === 'user' || message.role === 'system')
      return [...all, { id: message.id, role: message.role, parts }];
    const before = all.at(-1);
    if (before?.role !== 'assistant') return [...all, { id: message.id, role: 'assistant', parts }];
    return [...all.slice(0, -1), { ...before, parts: [...before.parts, ...parts] }];
  }, []);
}

type UiPart = UIMessage['parts'][number];

function toUiPart(part: Part): UiPart[] {
  switch (part.type) {
    case 'text':
    case 'reasoning':
      return [{ type: part.type, text: part.text, state: part.done ? 'done' : 'streaming' }];
    case 'file':
      return part.url === undefined
        ? []
        : [
            {
              type: 'file',
              url: part.url,
              mediaType: part.mediaType ?? 'application/octet-stream',
              ...named(part.name),
            },
          ];
    case 'tool': {
      const call = { type: `tool-${part.name}` as const, toolCallId: part.id, input: readOutput(part.args) };
      if (part.error !== undefined) return [{ ...call, state: 'output-error', errorText: part.error }];
      if (part.result === undefined) return [{ ...call, state: 'input-available' }];
      return [{ ...call, state: 'output-available', output: readOutput(part.result), providerExecuted: true }];
    }
  }
}

function named(filename: string | undefined): { filename?: string } {
  return filename === undefined ? {} : { filename };
}
