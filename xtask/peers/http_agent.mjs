// AG-UI's own HttpAgent (npm @ag-ui/client, unmodified) against POST /v1/agui.
//
//   HttpAgent.runAgent --> fetch --> SSE --> its schemas, its verifier --> messages, callbacks --> what we check
//
// Reads AGENT_HOME (the directory that holds node_modules), GATEWAY_URL (http://host:port) and GATEWAY_TOKEN. Prints one
// `checked: ...` line for each thing that it made sure of. Exit code 0 only if all of them hold.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const DEADLINE_MS = 60_000;

const { AGENT_HOME, GATEWAY_URL, GATEWAY_TOKEN } = process.env;
if (!AGENT_HOME || !GATEWAY_URL || !GATEWAY_TOKEN) {
  console.error('AGENT_HOME, GATEWAY_URL and GATEWAY_TOKEN must be set');
  process.exit(1);
}
const { HttpAgent } = createRequire(pathToFileURL(`${AGENT_HOME}/`))('@ag-ui/client');

// The client says in a warning what it cut out of an event because its protocol does not know it: nothing, of ours.
const warnings = [];
console.warn = (...words) => warnings.push(words.join(' '));
// What it throws at an answer that is an error is expected, and looked at where it is.
console.error = () => {};
setTimeout(() => fail(new Error(`no end within ${DEADLINE_MS} ms`)), DEADLINE_MS).unref();

const agent = (threadId = randomUUID(), path = '/v1/agui', token = GATEWAY_TOKEN) =>
  new HttpAgent({ url: `${GATEWAY_URL}${path}`, threadId, headers: { authorization: `Bearer ${token}` } });
const ask = (who, content) => who.addMessage({ id: randomUUID(), role: 'user', content });

/** Runs, and tells what the callbacks were told. */
async function run(who, parameters = {}, onEvent = () => {}) {
  const heard = { events: [], errors: [], failure: undefined };
  const subscriber = {
    onEvent: ({ event }) => {
      heard.events.push(event);
      onEvent(event);
    },
    onRunErrorEvent: ({ event }) => {
      heard.errors.push(event);
    },
    onRunFailed: ({ error }) => {
      heard.failure = error;
    },
  };
  heard.result = await who.runAgent({ runId: randomUUID(), ...parameters }, subscriber).catch(() => undefined);
  return heard;
}

const kinds = (heard) => heard.events.map((event) => event.type);
const offsets = (heard) => heard.events.map((event) => event.metadata.lychgate.offset);
const text = (who) => who.messages.filter((message) => message.role === 'assistant').at(-1).content;
const checked = (what) => console.log(`checked: ${what}`);

async function textAnswer() {
  const who = agent();
  ask(who, 'hello there');
  const heard = await run(who);
  assert.equal(heard.failure, undefined);
  assert.equal(kinds(heard)[0], 'RUN_STARTED');
  assert.equal(kinds(heard).at(-1), 'RUN_FINISHED');
  assert.equal(text(who), 'You said "hello there", and it came through well.');
  assert.ok(offsets(heard).every((offset, n, all) => n === 0 || offset > all[n - 1]), `${offsets(heard)}`);
  checked('a text answer, its offsets rising');
}

async function toolCall() {
  const who = agent();
  ask(who, 'use a tool please');
  const heard = await run(who);
  assert.equal(heard.failure, undefined);
  const call = who.messages.flatMap((message) => message.toolCalls ?? [])[0];
  assert.equal(call.function.name, 'count_words');
  assert.deepEqual(JSON.parse(call.function.arguments), { text: 'use a tool please' });
  const result = who.messages.find((message) => message.role === 'tool');
  assert.equal(result.toolCallId, call.id);
  assert.equal(result.content, '4');
  checked('a tool call and its result');
}

async function error() {
  const who = agent();
  ask(who, 'an error please');
  const heard = await run(who);
  assert.equal(heard.errors.length, 1);
  assert.equal(kinds(heard).at(-1), 'RUN_ERROR');
  assert.ok(heard.errors[0].code && heard.errors[0].message, JSON.stringify(heard.errors));
  checked(`an error in the middle of an answer (${heard.errors[0].code})`);
}

async function twoRuns() {
  const who = agent();
  ask(who, 'the first question');
  await run(who);
  ask(who, 'the second one');
  const heard = await run(who);
  assert.equal(heard.failure, undefined);
  assert.deepEqual(who.messages.map((message) => message.role), ['user', 'assistant', 'user', 'assistant']);
  assert.deepEqual(heard.events[0].input.messages.map((message) => message.content), ['the second one']);
  checked('two runs on one thread: what is known is not added again');
}

async function refusals() {
  const stranger = agent(randomUUID(), '/v1/agui', 'not.a.token');
  ask(stranger, 'hello');
  assert.equal((await run(stranger)).failure.status, 401);
  const misled = agent(randomUUID(), '/v1/agui/no-such-agent');
  ask(misled, 'hello');
  const { failure } = await run(misled);
  assert.deepEqual([failure.status, failure.payload.code], [502, 'agent_unavailable']);
  const known = agent(randomUUID(), '/v1/agui/demo');
  ask(known, 'hello');
  assert.equal((await run(known)).failure, undefined);
  checked('a bad token and an unknown agent are statuses with a reason, an agent is found by its name');
}

async function abort() {
  const threadId = randomUUID();
  const runId = randomUUID();
  const first = agent(threadId);
  ask(first, 'a question whose answer takes longer than its first reader stays');
  const cut = await run(first, { runId }, (event) => {
    if (event.type === 'TEXT_MESSAGE_CONTENT') first.abortRun();
  });
  assert.ok(!kinds(cut).includes('RUN_FINISHED'), 'the first reader went before the end');

  const busy = agent(threadId);
  ask(busy, 'another question meanwhile');
  const { failure } = await run(busy);
  assert.deepEqual([failure.status, failure.payload.code], [409, 'busy']);
  assert.ok(failure.payload.retry_in > 0);
  checked('a thread that answers is busy, and says when to come back');

  const second = agent(threadId);
  second.setMessages(first.messages.filter((message) => message.role === 'user'));
  const heard = await run(second, { runId });
  assert.equal(heard.failure, undefined);
  assert.equal(kinds(heard).at(-1), 'RUN_FINISHED');
  assert.match(text(second), /^You said "a question .* stays", and it came through well\.$/);
  checked('a reader that goes stops nothing: a second one gets the whole answer');

  const third = agent(threadId);
  const again = await run(third, { runId });
  assert.equal(again.failure, undefined);
  assert.equal(text(third), text(second));
  checked('a run that is over is told again');
}

function fail(reason) {
  process.stderr.write(`HttpAgent FAILED: ${reason.stack}\n${warnings.join('\n')}\n`);
  process.exit(1);
}

try {
  for (const story of [textAnswer, toolCall, error, twoRuns, refusals, abort]) await story();
  assert.deepEqual(warnings, []);
  checked('nothing of it made the client warn');
} catch (reason) {
  fail(reason);
}
