// LychgateAgent through @ag-ui/client's own runAgent: its schemas, its verifier, its messages, against a real gateway.
// The stories are those of xtask/peers/http_agent.mjs, which HttpAgent tells over HTTP, and those of a socket alone.

import { randomUUID } from 'node:crypto';
import type { AgentSubscriber, BaseEvent, Message, RunErrorEvent } from '@ag-ui/client';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import { LychgateAgent, type LychgateRunParameters } from '../src/ag-ui.js';
import { type Client, LychgateError, connect } from '../src/index.js';
import { Gateway, token, until } from './gateway.js';
import { Proxy } from './proxy.js';

let gateway: Gateway;
let slow: Gateway;
const clients: Client[] = [];
beforeAll(async () => {
  gateway = await Gateway.start();
  slow = await Gateway.start({ 'agents.demo': { delay: '40ms' } });
}, 30_000);
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));
afterAll(() => Promise.all([gateway.stop(), slow.stop()]), 30_000);

// It says in a warning what it cut out of an event because its protocol does not know it: nothing, of ours.
const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
// What it throws at a run that fails is expected, and looked at where it is.
vi.spyOn(console, 'error').mockImplementation(() => undefined);
afterEach(() => expect(warned).not.toHaveBeenCalled());

function clientOf(url: string, user = 'agent'): Client {
  const client = connect({ url, WebSocket, token: () => token(user) });
  clients.push(client);
  return client;
}
const agentOf = (client: Client, threadId: string = randomUUID(), rest: { agent?: string } = {}) =>
  new LychgateAgent({ client, threadId, ...rest });
const ask = (agent: LychgateAgent, content: string) => agent.addMessage({ id: randomUUID(), role: 'user', content });

interface Heard {
  readonly events: BaseEvent[];
  readonly errors: RunErrorEvent[];
  failure: Error | undefined;
}

/** Runs, and tells what the callbacks were told. */
async function run(
  agent: LychgateAgent,
  parameters: LychgateRunParameters = {},
  onEvent = (_: BaseEvent) => {},
): Promise<Heard> {
  const { heard, subscriber } = ear(onEvent);
  await agent.runAgent({ runId: randomUUID(), ...parameters }, subscriber).catch(() => undefined);
  return heard;
}

function ear(onEvent = (_: BaseEvent) => {}): { heard: Heard; subscriber: AgentSubscriber } {
  const heard: Heard = { events: [], errors: [], failure: undefined };
  const subscriber: AgentSubscriber = {
    onEvent: ({ event }) => {
      heard.events.push(event);
      onEvent(event);
    },
    onRunErrorEvent: ({ event }) => void heard.errors.push(event),
    onRunFailed: ({ error }) => {
      heard.failure = error;
    },
  };
  return { heard, subscriber };
}

const kinds = (heard: Heard) => heard.events.map((event) => String(event.type));
const answer = (agent: LychgateAgent) =>
  agent.messages.filter((message) => message.role === 'assistant').at(-1)?.content;
const roles = (agent: LychgateAgent) => agent.messages.map((message) => message.role);
const isContent = (event: BaseEvent) => String(event.type) === 'TEXT_MESSAGE_CONTENT';

it('a text answer comes through the schemas and the verifier', async () => {
  const agent = agentOf(clientOf(gateway.url));
  ask(agent, 'hello there');
  const heard = await run(agent);
  expect(heard.failure).toBeUndefined();
  expect([kinds(heard)[0], kinds(heard).at(-1)]).toEqual(['RUN_STARTED', 'RUN_FINISHED']);
  expect(answer(agent)).toBe('You said "hello there", and it came through well.');
});

it('a tool call and its result are messages of the agent', async () => {
  const agent = agentOf(clientOf(gateway.url));
  ask(agent, 'use a tool please');
  expect((await run(agent)).failure).toBeUndefined();
  const calls = agent.messages.flatMap((message) => (message.role === 'assistant' ? (message.toolCalls ?? []) : []));
  expect(calls.map(({ function: { name, arguments: args } }) => [name, args])).toEqual([
    ['count_words', '{"text":"use a tool please"}'],
  ]);
  const results = agent.messages.flatMap((message) => (message.role === 'tool' ? [message] : []));
  expect(results).toMatchObject([{ toolCallId: calls[0]?.id, content: '4' }]);
});

it('an error in the middle of an answer ends the run, and says which', async () => {
  const agent = agentOf(clientOf(gateway.url));
  ask(agent, 'an error please');
  const heard = await run(agent);
  expect(kinds(heard).at(-1)).toBe('RUN_ERROR');
  expect(heard.errors).toMatchObject([{ code: expect.stringMatching(/^agent_/), message: expect.any(String) }]);
});

it('two runs on one thread: what the gateway has is not sent again', async () => {
  const agent = agentOf(clientOf(gateway.url));
  ask(agent, 'the first question');
  await run(agent);
  ask(agent, 'the second one');
  const heard = await run(agent);
  expect(roles(agent)).toEqual(['user', 'assistant', 'user', 'assistant']);
  const [begun] = heard.events;
  expect(begun).toMatchObject({ input: { messages: [{ content: 'the second one' }] } });
});

it('a gateway that has lost the conversation is told all of it again', async () => {
  const agent = agentOf(clientOf(gateway.url));
  ask(agent, 'the first question');
  await run(agent);
  agent.threadId = randomUUID();
  ask(agent, 'the second one');
  const heard = await run(agent);
  expect(heard.failure).toBeUndefined();
  expect(heard.events[0]).toMatchObject({
    input: { messages: [{ role: 'user' }, { role: 'assistant' }, { role: 'user' }] },
  });
});

it('what a front end passes reaches the run: tools, context, state, properties, answers to interrupts', async () => {
  const agent = agentOf(clientOf(gateway.url));
  ask(agent, 'hello');
  agent.setState({ step: 1 });
  const tools = [{ name: 'pick', description: 'Picks one.', parameters: { type: 'object' } }];
  const context = [{ description: 'the page', value: '/orders' }];
  const resume = [{ interruptId: 'i1', status: 'resolved' as const, payload: { ok: true } }];
  const heard = await run(agent, { tools, context, forwardedProps: { tone: 'plain' }, resume });
  expect(heard.failure).toBeUndefined();
  expect(heard.events[0]).toMatchObject({
    input: { tools, context, state: { step: 1 }, forwardedProps: { tone: 'plain' }, resume },
  });
});

it('refusals have a code: a busy thread, an agent that nobody knows', async () => {
  const client = clientOf(slow.url);
  const [first, second] = [agentOf(client, 'busy'), agentOf(client, 'busy')];
  ask(first, 'a question whose answer takes a while');
  const stopped = run(first, {}, (event) => {
    if (!isContent(event)) return;
    ask(second, 'another one meanwhile');
    void run(second).then(({ failure }) => {
      expect(failure).toMatchObject({ code: 'busy', retryIn: expect.any(Number) });
      first.abortRun();
    });
  });
  await stopped;
  const misled = agentOf(client, randomUUID(), { agent: 'nobody' });
  ask(misled, 'hello');
  const { failure } = await run(misled);
  expect(failure).toBeInstanceOf(LychgateError);
  expect(failure).toMatchObject({ code: 'agent_unavailable' });
  const known = agentOf(client, randomUUID(), { agent: 'demo' });
  ask(known, 'hello');
  expect((await run(known)).failure).toBeUndefined();
});

it('a token that proves nothing fails the run, and says so', async () => {
  const client = connect({ url: gateway.url, WebSocket, token: 'not.a.token', prev: null });
  clients.push(client);
  const agent = agentOf(client);
  ask(agent, 'hello');
  const { failure } = await run(agent);
  expect(failure).toMatchObject({ name: 'LychgateError', code: 'unauthorized' });
  expect(failure?.message).not.toContain('not.a.token');
  expect((await run(agent)).failure).toMatchObject({ code: 'unauthorized' });
});

it('abort is a stop: the run ends cancelled, and the next one begins', async () => {
  const agent = agentOf(clientOf(slow.url));
  ask(agent, 'a question whose answer takes longer than anybody waits');
  const abortController = new AbortController();
  const heard = await run(agent, { abortController }, (event) => {
    if (isContent(event)) abortController.abort();
  });
  expect(heard.failure).toBeUndefined();
  expect(heard.events.at(-1)).toMatchObject({ type: 'RUN_FINISHED', outcome: { type: 'cancelled' } });
  ask(agent, 'next');
  expect((await run(agent)).failure).toBeUndefined();
});

it('an abort before the run is sent ends it, and nothing is asked: in the same turn, or before it was called', async () => {
  const agent = agentOf(clientOf(slow.url));
  ask(agent, 'never to be answered');
  const early = run(agent);
  agent.abortRun();
  const stopped = await run(agent, { abortController: aborted() });
  for (const heard of [await early, stopped]) expect(kinds(heard)).not.toContain('TEXT_MESSAGE_CONTENT');
  expect(agent.client.thread(agent.threadId).inFlight).toBeUndefined();
  expect(roles(agent)).toEqual(['user']);
  expect((await run(agent)).failure).toBeUndefined();
  expect(roles(agent)).toEqual(['user', 'assistant']);
});

function aborted(): AbortController {
  const controller = new AbortController();
  controller.abort();
  return controller;
}

it('a reader that goes stops nothing: another one connects and gets the whole answer', async () => {
  const client = clientOf(slow.url);
  const first = agentOf(client);
  ask(first, 'a question whose answer outlives its first reader');
  const { heard, subscriber } = ear((event) => {
    if (isContent(event)) void first.detachActiveRun();
  });
  await first.runAgent({}, subscriber);
  expect(kinds(heard)).not.toContain('RUN_FINISHED');

  const second = agentOf(clientOf(slow.url), first.threadId);
  const again = ear();
  await second.connectAgent({}, again.subscriber);
  expect(again.heard.failure).toBeUndefined();
  expect(roles(second)).toEqual(['user', 'assistant']);
  expect(answer(second)).toMatch(/^You said "a question .* reader", and it came through well\.$/);
});

it('connecting to a thread that rests gives its messages, and a clone has them too', async () => {
  const client = clientOf(gateway.url);
  const first = agentOf(client);
  ask(first, 'use a tool please');
  await run(first);
  const second = agentOf(client, first.threadId);
  const { heard, subscriber } = ear();
  await second.connectAgent({}, subscriber);
  expect(kinds(heard)).toEqual(['RUN_STARTED', 'MESSAGES_SNAPSHOT', 'RUN_FINISHED']);
  const sorted = (messages: Message[]) => messages.map(({ id }) => id).sort();
  expect(sorted(second.messages)).toEqual(sorted(first.messages));
  const third = second.clone();
  ask(third, 'and now');
  expect((await run(third)).failure).toBeUndefined();
  expect(third.messages.length).toBe(second.messages.length + 2);
});

it('a socket that is cut again and again in mid-answer is not seen: nothing is lost, nothing is twice', async () => {
  const line = await Proxy.start(slow.port);
  try {
    const agent = agentOf(clientOf(line.url));
    const question = `please answer all of this though the line breaks: ${'one two three four '.repeat(6)}`.trim();
    ask(agent, question);
    let pieces = 0;
    const heard = await run(agent, {}, (event) => {
      if (isContent(event) && ++pieces % 3 === 0) line.cut();
    });
    expect(heard.failure).toBeUndefined();
    expect(line.taken).toBeGreaterThan(2);
    expect(answer(agent)).toBe(`You said "${question}", and it came through well.`);
    expect(kinds(heard).filter((kind) => kind === 'RUN_STARTED')).toHaveLength(1);
  } finally {
    await line.stop();
  }
});

it('an answer of which the log let go ends with all of the conversation, nothing twice', async () => {
  const journal = { kind: 'memory', max_events_per_thread: 20 };
  const own = await Gateway.start({ 'agents.demo': { delay: '20ms' }, journal });
  const line = await Proxy.start(own.port);
  try {
    const client = clientOf(line.url);
    const agent = agentOf(client);
    const question = 'an answer that goes on while nobody hears it';
    ask(agent, question);
    let isCut = false;
    const heard = await run(agent, {}, (event) => {
      if (!isContent(event) || isCut) return;
      isCut = true;
      line.refuse();
      line.cut();
      const other = clientOf(own.url).thread(agent.threadId);
      void until('the end of the run', async () => (await other.opened) && other.inFlight === undefined)
        .then(() => other.run('something longer that pushes the first answer out of the log').done)
        .then(() => {
          line.accept();
          client.wake();
        });
    });
    expect(heard.failure).toBeUndefined();
    expect(agent.messages[1]?.content).toBe(`You said "${question}", and it came through well.`);
    expect(roles(agent)).toEqual(['user', 'assistant', 'user', 'assistant']);
    expect(kinds(heard).slice(-3)).toEqual(['TEXT_MESSAGE_END', 'MESSAGES_SNAPSHOT', 'RUN_FINISHED']);
  } finally {
    await line.stop();
    await own.stop();
  }
});

it('an answer that the gateway lost ends with an error', async () => {
  const own = await Gateway.start({ 'agents.demo': { delay: '40ms' }, journal: { kind: 'memory' } });
  try {
    const agent = agentOf(clientOf(own.url));
    ask(agent, 'a question that is gone with the gateway');
    let restarted: Promise<void> | undefined;
    const heard = await run(agent, {}, (event) => {
      if (isContent(event)) restarted ??= own.restart();
    });
    await restarted;
    expect(heard.errors).toMatchObject([{ code: 'lost' }]);
  } finally {
    await own.stop();
  }
});

it('a gateway that is killed in mid-answer ends the run with an error when it is back', async () => {
  const own = await Gateway.start({ 'agents.demo': { delay: '40ms' } });
  try {
    const agent = agentOf(clientOf(own.url));
    ask(agent, 'a question whose answer never comes to its end');
    let killed: Promise<void> | undefined;
    const heard = await run(agent, {}, (event) => {
      if (isContent(event)) killed ??= own.restart();
    });
    await killed;
    expect(heard.errors).toMatchObject([{ code: 'gateway_restarted' }]);
  } finally {
    await own.stop();
  }
});

it('a stop while the gateway cannot be reached ends the run here at once, and there as soon as it can', async () => {
  const line = await Proxy.start(slow.port);
  try {
    const client = clientOf(line.url);
    const agent = agentOf(client);
    ask(agent, `please count all of these words: ${'one two three '.repeat(20)}`);
    const heard = await run(agent, {}, (event) => {
      if (!isContent(event)) return;
      line.refuse();
      line.cut();
      void until('the client to notice', () => client.state.phase !== 'online').then(() => agent.abortRun());
    });
    expect(kinds(heard)).not.toContain('RUN_FINISHED');
    line.accept();
    client.wake();
    await until(
      'the run to be over',
      () => client.state.phase === 'online' && client.thread(agent.threadId).inFlight === undefined,
    );
    const reader = agentOf(clientOf(slow.url), agent.threadId);
    await reader.connectAgent();
    expect(String(answer(reader))).not.toContain('came through well');
  } finally {
    await line.stop();
  }
});
