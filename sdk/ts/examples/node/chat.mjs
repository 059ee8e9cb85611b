// Chats from a terminal: one question, its answer as it comes. Ctrl-C once stops the answer, twice leaves.
//
//   export LYCHGATE_TOKEN=...            (`cargo xtask demo` prints one)
//   npm run --workspace sdk/ts example:node -- "use a tool please"
//
// LYCHGATE_URL names another gateway than the demo's, LYCHGATE_THREAD a conversation to go on with.

import { connect } from '@lychgate/client';
import WebSocket from 'ws';

const { LYCHGATE_TOKEN, LYCHGATE_THREAD, LYCHGATE_URL = 'ws://127.0.0.1:8787' } = process.env;
const question = process.argv.slice(2).join(' ') || 'hello';
if (!LYCHGATE_TOKEN) {
  console.error('LYCHGATE_TOKEN is not set: `cargo xtask demo` prints a token.');
  process.exit(1);
}

const client = connect({ url: LYCHGATE_URL, token: LYCHGATE_TOKEN, WebSocket, client: 'example' });
client.on('state', (state) => {
  if (state.phase === 'waiting') console.error(`(connecting again: ${state.why.reason})`);
  if (state.phase === 'ended' && state.why.code !== 1000)
    console.error(`(over: ${state.why.message ?? state.why.reason})`);
});

const thread = client.thread(LYCHGATE_THREAD);
const run = thread.run(question);
process.once('SIGINT', () => run.stop());

// First of all a reset tells what was said before; then events come one by one, those of other tabs as well.
thread.on('event', ({ event }) => {
  switch (event?.type) {
    case 'TEXT_MESSAGE_CONTENT':
      process.stdout.write(String(event.delta));
      break;
    case 'TOOL_CALL_START':
      console.log(`(calls ${event.toolCallName})`);
      break;
    case 'TEXT_MESSAGE_END':
      process.stdout.write('\n');
      break;
  }
});

const end = await run.done;
if (end.outcome !== 'finished') console.error(end.outcome === 'error' ? `(${end.message})` : `(${end.outcome})`);
console.error(`(to go on: LYCHGATE_THREAD=${thread.id})`);
await client.close();
process.exitCode = end.outcome === 'error' ? 1 : 0;
