// The useChat transport: its chunks through the AI SDK's own reader, and whole chats (what useChat draws) against a
// real gateway, with lines that are cut, a page that reloads and a person who stops the answer.

import { randomUUID } from 'node:crypto';
import { Chat } from '@ai-sdk/react';
import { type UIMessage, type UIMessageChunk, readUIMessageStream } from 'ai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { LychgateChatTransport } from '../src/ai-sdk.js';
import { Chunks } from '../src/ai-sdk/chunks.js';
import { toAgui, toUi } from '../src/ai-sdk/convert.js';
import { type AguiEvent, type Client, connect } from '../src/index.js';
import { type View, emptyView, fold } from '../src/messages.js';
import { SEEDS, conversation, finished, runsOf, started, user } from './conversation.js';
import { Gateway, token, until } from './gateway.js';
import { Proxy } from './proxy.js';

/** What the AI SDK makes of the events of one run. */
async function read(events: readonly AguiEvent[]): Promise<UIMessage | undefined> {
  const chunks = new Chunks();
  const stream = new ReadableStream<UIMessageChunk>({
    start: (controller) => {
      for (const event of events) for (const chunk of chunks.of(event)) controller.enqueue(chunk);
      controller.close();
    },
  });
  let last: UIMessage | undefined;
  for await (const message of readUIMessageStream({ stream, terminateOnError: true })) last = message;
  return last;
}

type UiPart = UIMessage['parts'][number];
const isSaid = (part: UiPart) => part.type === 'text' || part.type === 'reasoning' || part.type.startsWith('tool-');
/** What a part says, less its place among the others: a history has the text of a message before its calls. */
const said = (parts: readonly UiPart[]) =>
  parts
    .filter((part) => isSaid(part) && !('text' in part && part.text === ''))
    .map((part) =>
      'text' in part ? [part.type, part.text, part.state] : [part.type, 'output' in part ? part.output : undefined],
    )
    .map((part) => JSON.stringify(part))
    .sort();

describe('chunks', () => {
  it('are a stream that the AI SDK reads without a complaint, and say what the view says', async () => {
    for (const seed of SEEDS) {
      for (const run of runsOf(conversation(seed))) {
        const view = run.reduce<View>((all, event, offset) => fold(all, { type: 'event', offset, event }), emptyView);
        const shown = toUi(view.messages).filter((message) => message.role === 'assistant');
        const streamed = await read(run);
        const parts = shown.flatMap((message) => message.parts);
        expect(said(streamed?.parts ?? []), `seed ${seed}`).toEqual(said(parts));
      }
    }
  });

  it('close what a cut answer left open, and say the error', async () => {
    const chunks = new Chunks();
    const events: AguiEvent[] = [
      started('r'),
      { type: 'REASONING_MESSAGE_CHUNK', messageId: 'g', delta: 'hm' },
      { type: 'TEXT_MESSAGE_START', messageId: 'm' },
      { type: 'TOOL_CALL_START', toolCallId: 'c', toolCallName: 'f' },
      { type: 'TOOL_CALL_ARGS', toolCallId: 'c', delta: '{"a"' },
      { type: 'RUN_ERROR', message: 'gone', code: 'agent_eof' },
    ];
    const all = events.flatMap((event) => chunks.of(event));
    expect(all.slice(-4).map((chunk) => chunk.type)).toEqual([
      'reasoning-end',
      'text-end',
      'tool-input-error',
      'error',
    ]);
    expect(all.at(-1)).toEqual({ type: 'error', errorText: 'gone' });
  });

  it('leave the calls of tools that the page offered to the page', () => {
    const chunks = new Chunks();
    const start = { ...started('r'), input: { messages: [], tools: [{ name: 'pick' }] } };
    const calls = (name: string): AguiEvent => ({ type: 'TOOL_CALL_START', toolCallId: name, toolCallName: name });
    const all = [start, calls('pick'), calls('search')].flatMap((event) => chunks.of(event));
    expect(all.slice(2)).toEqual([
      { type: 'tool-input-start', toolCallId: 'pick', toolName: 'pick' },
      { type: 'tool-input-start', toolCallId: 'search', toolName: 'search', providerExecuted: true },
    ]);
  });

  it('tell interrupts, steps and custom events as data', () => {
    const chunks = new Chunks();
    const interrupts = [{ id: 'i', reason: 'approval' }];
    const all = [
      { type: 'STEP_STARTED', stepName: 's' },
      { type: 'CUSTOM', name: 'n', value: 1 },
      { type: 'STEP_FINISHED', stepName: 's' },
      finished('r', { outcome: { type: 'interrupt', interrupts } }),
    ].flatMap((event) => chunks.of(event));
    expect(all).toEqual([
      { type: 'data-step', id: 'step s', data: { name: 's', status: 'running' } },
      { type: 'data-custom', data: { name: 'n', value: 1 }, transient: true },
      { type: 'data-step', id: 'step s', data: { name: 's', status: 'done' } },
      { type: 'data-interrupt', data: interrupts },
      { type: 'finish-step' },
      { type: 'finish', finishReason: 'tool-calls' },
    ]);
  });
});

describe('what the page said', () => {
  it('is what came after the last answer, and what its own tools gave in that answer', () => {
    const answer: UIMessage = {
      id: 'a',
      role: 'assistant',
      parts: [
        { type: 'tool-pick', toolCallId: 'c1', state: 'output-available', input: {}, output: { n: 1 } },
        { type: 'tool-pick', toolCallId: 'c2', state: 'output-error', input: {}, errorText: 'no' },
        { type: 'tool-f', toolCallId: 'c3', state: 'output-available', input: {}, output: 'x', providerExecuted: true },
      ],
    };
    const image = {
      type: 'file',
      url: 'data:image/png;base64,AAAA',
      mediaType: 'image/png',
      filename: 'a.png',
    } as const;
    const next: UIMessage = { id: 'u2', role: 'user', parts: [{ type: 'text', text: 'and this' }, image] };
    const first: UIMessage = { id: 'u1', role: 'user', parts: [{ type: 'text', text: 'hello' }] };
    expect(toAgui([first])).toEqual([user('u1', 'hello')]);
    expect(toAgui([first, answer, next])).toEqual([
      { id: 'result-c1', role: 'tool', toolCallId: 'c1', content: '{"n":1}' },
      { id: 'result-c2', role: 'tool', toolCallId: 'c2', content: 'no', error: 'no' },
      user('u2', [
        { type: 'text', text: 'and this' },
        {
          type: 'image',
          source: { type: 'data', value: 'AAAA', mimeType: 'image/png' },
          metadata: { filename: 'a.png' },
        },
      ]),
    ]);
  });
});

describe('a chat', () => {
  let gateway: Gateway;
  const clients: Client[] = [];
  beforeAll(async () => void (gateway = await Gateway.start({ 'agents.demo': { delay: '30ms' } })), 30_000);
  afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));
  afterAll(() => gateway.stop(), 30_000);

  function transportOf(url = gateway.url): LychgateChatTransport {
    const client = connect({ url, WebSocket, token: () => token('chat') });
    clients.push(client);
    return new LychgateChatTransport({ client });
  }
  const chatOf = (transport: LychgateChatTransport, id: string = randomUUID(), messages: UIMessage[] = []) =>
    new Chat<UIMessage>({ id, transport, messages });
  const texts = (chat: Chat<UIMessage>) =>
    chat.messages.map(({ parts }) => parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join(''));
  const isAnswering = (chat: Chat<UIMessage>) => (texts(chat).at(-1) ?? '').startsWith('You said');

  it('streams an answer, and then another one to the next question', async () => {
    const chat = chatOf(transportOf());
    await chat.sendMessage({ text: 'hello there' });
    expect([chat.status, chat.error]).toEqual(['ready', undefined]);
    await chat.sendMessage({ text: 'and again' });
    expect(texts(chat)).toEqual([
      'hello there',
      'You said "hello there", and it came through well.',
      'and again',
      'You said "and again", and it came through well.',
    ]);
  });

  it('shows a tool call with its input and output, and the step that it was', async () => {
    const chat = chatOf(transportOf());
    await chat.sendMessage({ text: 'use a tool please' });
    expect(chat.messages.at(-1)?.parts).toMatchObject([
      { type: 'step-start' },
      { type: 'data-step', data: { name: 'count_words', status: 'done' } },
      { type: 'tool-count_words', state: 'output-available', input: { text: 'use a tool please' }, output: '4' },
      { type: 'text', state: 'done', text: 'I counted: your message has 4 words.' },
    ]);
  });

  it('says an error of the agent, and goes on after it', async () => {
    const chat = chatOf(transportOf());
    await chat.sendMessage({ text: 'an error please' });
    expect([chat.status, chat.error?.message]).toEqual([
      'error',
      expect.stringContaining('the error that you asked for'),
    ]);
    await chat.sendMessage({ text: 'and now' });
    expect(chat.status).toBe('ready');
  });

  it('stops when the person stops it, and takes the next question at once', async () => {
    const chat = chatOf(transportOf());
    const sent = chat.sendMessage({ text: 'please stall' });
    await until('the answer to begin', () => (texts(chat).at(-1) ?? '').includes('stall,'));
    await chat.stop();
    await sent;
    expect([chat.status, chat.error]).toEqual(['ready', undefined]);
    await chat.sendMessage({ text: 'thank you' });
    expect(texts(chat).at(-1)).toBe('You said "thank you", and it came through well.');
  });

  it('that reloads in mid-answer shows the question at once, and the whole answer', async () => {
    const question = 'a question whose answer outlives the page';
    const first = chatOf(transportOf());
    void first.sendMessage({ text: question });
    await until('the answer to begin', () => isAnswering(first));

    const transport = transportOf();
    const messages = await transport.messages(first.id);
    expect(messages).toMatchObject([{ role: 'user', parts: [{ type: 'text', text: question }] }]);
    const second = chatOf(transport, first.id, messages);
    await second.resumeStream();
    expect(texts(second)).toEqual([question, `You said "${question}", and it came through well.`]);

    const again = await transportOf().messages(first.id);
    expect(again.map(({ role }) => role)).toEqual(['user', 'assistant']);
  });

  it('that reloaded in mid-answer can stop it too', async () => {
    const first = chatOf(transportOf());
    void first.sendMessage({ text: 'please stall' });
    await until('the answer to begin', () => (texts(first).at(-1) ?? '').includes('stall,'));
    const second = chatOf(transportOf(), first.id);
    const resumed = second.resumeStream();
    await until('the answer to be there again', () => (texts(second).at(-1) ?? '').includes('stall,'));
    await second.stop();
    await resumed;
    await second.sendMessage({ text: 'thank you' });
    expect(texts(second).at(-1)).toBe('You said "thank you", and it came through well.');
  });

  it('in which nothing is in flight has nothing to resume', async () => {
    const transport = transportOf();
    expect(await transport.reconnectToStream({ chatId: randomUUID() })).toBeNull();
  });

  it('does not see that its line is cut in mid-answer', async () => {
    const line = await Proxy.start(gateway.port);
    try {
      const chat = chatOf(transportOf(line.url));
      const question = `say this: ${'one two three '.repeat(4)}`.trim();
      const sent = chat.sendMessage({ text: question });
      await until('the answer to begin', () => isAnswering(chat));
      line.cut();
      await sent;
      expect([chat.status, texts(chat).at(-1)]).toEqual(['ready', `You said "${question}", and it came through well.`]);
    } finally {
      await line.stop();
    }
  });

  it('that is refused says why', async () => {
    const transport = transportOf();
    const [first, second] = [chatOf(transport, 'one'), chatOf(transport, 'one')];
    const sent = first.sendMessage({ text: 'a question with an answer of some words' });
    await until('the answer to begin', () => isAnswering(first));
    await second.sendMessage({ text: 'meanwhile' });
    expect(second.error).toMatchObject({ code: 'busy' });
    await sent;
  });
});
