// A model of the OpenAI protocol that takes its time: what it says depends on one word of the last question.
//
//   reason -> thoughts, then words     call -> words, then two tool calls with arguments in pieces     break -> an error in the middle
//
// Prints where it listens, and ends when it is told to.

import { createServer } from 'node:http';

const PIECE_EVERY_MS = 3;
const PIECES = 120;

const say = (delta) => ({ choices: [{ index: 0, delta }] });
const numbered = (count, of) => Array.from({ length: count }, (_, n) => of(`${n + 1} `));
const words = (count) => numbered(count, (text) => say({ content: text }));

function* calls() {
  const names = ['weather', 'time'];
  for (const [index, name] of names.entries()) {
    yield say({ tool_calls: [{ index, id: `call-${process.hrtime.bigint()}`, type: 'function', function: { name, arguments: '' } }] });
  }
  for (const text of ['{"where":[', ...numbered(30, (number) => `"${number.trim()}",`), '"here"]}']) {
    for (const index of names.keys()) yield say({ tool_calls: [{ index, function: { arguments: text } }] });
  }
  yield { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] };
}

function answer(question) {
  if (/\breason\b/.test(question)) return [...numbered(PIECES, (text) => say({ reasoning_content: text })), ...words(PIECES)];
  if (/\bcall\b/.test(question)) return [...words(20), ...calls()];
  if (/\bbreak\b/.test(question)) return [...words(PIECES), { error: { message: 'broken on purpose', type: 'server_error' } }];
  return words(PIECES);
}

const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const question = JSON.parse(body).messages.findLast(({ role }) => role === 'user').content;
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const piece of answer(question)) {
    response.write(`data: ${JSON.stringify(piece)}\n\n`);
    await new Promise((resolve) => setTimeout(resolve, PIECE_EVERY_MS));
  }
  response.end('data: [DONE]\n\n');
});
server.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}/v1`));
process.on('SIGTERM', () => process.exit(0));
