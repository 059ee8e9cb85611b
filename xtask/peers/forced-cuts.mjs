// What a WebSocket client holds after forced cuts, judged by the AG-UI project's own client: npm `@ag-ui/client`.
//
//   a tab that is cut 20 times per run --.
//   a tab that is not                  --+--> verifier --> reducer --> messages: all equal, and equal to what
//   a tab that came in the middle      --'                             a fresh tab is told in `opened`
//
// Reads WS_HOME and AGUI_HOME (the directories that hold node_modules), GATEWAY_URL and GATEWAY_TOKEN. Prints
// `checked: ...` for everything that it made sure of.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Tab } from './tab.mjs';

const CUTS = 20;

const { WS_HOME, AGUI_HOME, GATEWAY_URL, GATEWAY_TOKEN } = process.env;
if (!WS_HOME || !AGUI_HOME || !GATEWAY_URL || !GATEWAY_TOKEN) {
  throw new Error('WS_HOME, AGUI_HOME, GATEWAY_URL and GATEWAY_TOKEN must be set');
}
const { WebSocket } = createRequire(pathToFileURL(`${WS_HOME}/`))('ws');
const agui = createRequire(pathToFileURL(`${AGUI_HOME}/node_modules/@ag-ui/client/`));
const { AbstractAgent } = agui('@ag-ui/client');
const { from } = agui('rxjs');

/** The client's whole pipeline (chunks, schema, verifier, reducer), fed with what a tab received. */
class Replay extends AbstractAgent {
  run() {
    return from(this.events);
  }

  async take(events, runId) {
    this.events = structuredClone(events);
    await this.runAgent({ runId });
  }
}

const stories = [
  { name: 'text', text: `say ${Array.from({ length: 40 }, (_, n) => n).join(' ')}`, agent: 'demo', end: 'RUN_FINISHED' },
  { name: 'a tool call', text: 'use a tool please', agent: 'demo', end: 'RUN_FINISHED' },
  { name: 'an error', text: 'make an error please', agent: 'demo', end: 'RUN_ERROR' },
  { name: 'reasoning and text', text: 'reason about it', end: 'RUN_FINISHED' },
  { name: 'two tool calls with long arguments', text: 'call both', end: 'RUN_FINISHED' },
  { name: 'an answer that breaks', text: 'break it', end: 'RUN_ERROR' },
  { name: 'a run that is stopped', text: 'stall for ever', agent: 'demo', end: 'RUN_FINISHED', isStopped: true },
];

const home = { WebSocket, url: GATEWAY_URL, token: GATEWAY_TOKEN };
const thread = `cuts-${randomUUID()}`;
const open = async () => {
  const tab = new Tab(home, thread);
  await tab.join();
  return tab;
};
const [whole, cut] = [await open(), await open()];
const replays = { whole: new Replay({ threadId: thread }), cut: new Replay({ threadId: thread }) };

for (const story of stories) {
  const run = randomUUID();
  whole.begin();
  cut.ask(run, story.text, story.agent);
  await whole.hear(4);
  const late = await open();
  const resets = cut.resets;
  for (let n = 0; n < CUTS; n += 1) {
    // An answer that stalls has only so much to hear.
    await cut.hear(story.isStopped ? Number(cut.after < whole.after) : Math.floor(Math.random() * 4));
    cut.cut();
    await cut.join();
    if (n === CUTS / 2) {
      late.cut();
      await late.join();
      if (story.isStopped) whole.stop(run);
    }
  }
  await Promise.all([whole, cut, late].map((tab) => tab.hear()));
  assert.equal(whole.events.at(-1).type, story.end, story.name);
  assert.equal(cut.resets, resets, 'what the log still holds is never a reset');

  await replays.whole.take(whole.events, run);
  await replays.cut.take(cut.events, run);
  assert.deepEqual(replays.cut.messages, replays.whole.messages);
  console.log(`checked: ${story.name}, cut ${CUTS} times, passes the verifier and makes the messages of an uncut tab`);

  assert.equal(late.events[0].type, 'RUN_STARTED', 'a reset is cut at a boundary of runs');
  const joined = new Replay({ threadId: thread, initialMessages: late.messages });
  await joined.take(late.events, run);
  assert.deepEqual(joined.messages, replays.whole.messages);
  late.socket.close(1000);
  const fresh = await open();
  assert.deepEqual(fresh.messages, replays.whole.messages);
  fresh.socket.close(1000);
  console.log(`checked: ${story.name}, for a tab that came in the middle and for one that came after`);
}

// The judge bites: what a client must never be given is found, one event at a time.
const loud = console.error;
console.error = () => {};
const sound = cut.events;
for (const [fault, events] of [
  ['the beginning is missing', sound.slice(1)],
  ['the start of the message is missing', sound.filter(({ type }) => type !== 'TEXT_MESSAGE_START')],
  ['the end comes twice', [...sound, sound.at(-1)]],
  ['the end of the message comes twice', sound.flatMap((event) => (event.type === 'TEXT_MESSAGE_END' ? [event, event] : [event]))],
]) {
  await assert.rejects(new Replay({ threadId: thread }).take(events, 'r'), undefined, fault);
}
const doubled = new Replay({ threadId: thread });
await doubled.take(sound.flatMap((event) => (event.type === 'TEXT_MESSAGE_CONTENT' ? [event, event] : [event])), 'r');
assert.notDeepEqual(doubled.messages.at(-1), replays.whole.messages.at(-1));
console.error = loud;
console.log('checked: streams that are not whole are refused by this judge');
for (const tab of [whole, cut]) tab.socket.close(1000);
