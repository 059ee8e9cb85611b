// The golden path with a client that is not ours: npm `ws`, as it comes.
//
//   subprotocols lychgate.v1 + lychgate.bearer.<JWT> -> hello -> open -> run -> events until the run is over -> close
//
// Reads WS_HOME (the directory that holds node_modules), GATEWAY_URL and GATEWAY_TOKEN. Exit code 0 only if the
// transcript is what the protocol promises.

import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { faults, isOver } from './transcript.mjs';

const DEADLINE_MS = 30_000;
const MESSAGES_AT_MOST = 100_000;

const { WS_HOME, GATEWAY_URL, GATEWAY_TOKEN } = process.env;
if (!WS_HOME || !GATEWAY_URL || !GATEWAY_TOKEN) {
  fail('WS_HOME, GATEWAY_URL and GATEWAY_TOKEN must be set');
}
const { WebSocket } = createRequire(pathToFileURL(`${WS_HOME}/`))('ws');

const asked = { thread: `golden-${randomUUID()}`, run: randomUUID(), message: { id: randomUUID(), role: 'user', content: 'hello' } };
const frames = [];
const begin = performance.now();
let firstWordMs;

const socket = new WebSocket(GATEWAY_URL, ['lychgate.v1', `lychgate.bearer.${GATEWAY_TOKEN}`]);
const deadline = setTimeout(() => fail(`no end within ${DEADLINE_MS} ms`), DEADLINE_MS);

socket.on('open', () => send({ type: 'hello', sdk: 'npm-ws' }));
socket.on('error', (error) => fail(`the socket failed: ${error.message}`));
socket.on('message', (data, isBinary) => {
  if (isBinary) fail('a binary frame: the protocol has text frames alone');
  if (frames.length >= MESSAGES_AT_MOST) fail('the answer does not end');
  receive(JSON.parse(data.toString()));
});
socket.on('close', (code) => {
  clearTimeout(deadline);
  const found = faults(asked, socket.protocol, frames);
  if (code !== 1000) found.push(`closed with ${code}, not with the 1000 that we sent`);
  if (found.length > 0) fail(found.join('\n'));
  const events = frames.filter((frame) => frame.type === 'event').length;
  console.log(`golden path with npm ws: ${events} events, first word after ${firstWordMs} ms, offsets rise, closed with 1000`);
});

function receive(frame) {
  frames.push(frame);
  switch (frame.type) {
    case 'hello':
      return send({ type: 'open', thread: asked.thread });
    case 'opened':
      return send({ type: 'run', thread: asked.thread, run: asked.run, input: { messages: [asked.message] } });
    case 'ping':
      return send({ type: 'ack' });
    case 'event':
      if (frame.event.type === 'TEXT_MESSAGE_CONTENT') firstWordMs ??= Math.round(performance.now() - begin);
      if (isOver(frame, asked.run)) socket.close(1000);
      return undefined;
    case 'error':
    case 'closed':
      return socket.close(1000);
    default:
      // Unknown server frames and notices are ignored, as the protocol asks of a client.
      return undefined;
  }
}

function send(frame) {
  socket.send(JSON.stringify(frame));
}

function fail(text) {
  console.error(`golden path with npm ws FAILED: ${text}`);
  for (const frame of frames.slice(-20)) console.error(`  ${JSON.stringify(frame)}`);
  process.exit(1);
}
