// An AG-UI agent whose pace a test decides: what it answers depends on a word of the question, and at `hold` it waits
// until it is told to go on.
//
//   hold    "Before the pause. " -- release() --> "After the pause."
//   reason  thoughts, hold, thoughts, then words           tool    a step with a tool call, hold, its result, words
//   break   words, then an error                           markup  a list, code and links
//   bulk    40,000 characters
//   long    many paragraphs                                count N N numbered words, one every 5 ms

import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';

interface Asked {
  threadId: string;
  runId: string;
  messages: { role: string; content?: unknown }[];
}

type Step = { event: Record<string, unknown> } | 'hold' | { wait: number };

export class Agent {
  #waiting: (() => void)[] = [];

  private constructor(private readonly server: Server) {}

  static async start(): Promise<Agent> {
    const server = createServer((request, response) => void agent.#answer(request, response));
    const agent = new Agent(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return agent;
  }

  get url(): string {
    const address = this.server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the agent is stopped');
    return `http://127.0.0.1:${address.port}/`;
  }

  /** How many answers wait for `release`. */
  get held(): number {
    return this.#waiting.length;
  }

  /** Every answer that waits goes on. */
  release(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  async stop(): Promise<void> {
    this.release();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    // The gateway's own tests hold it to RunAgentInput.
    const asked = JSON.parse(body) as Asked;
    const question = String(asked.messages.findLast(({ role }) => role === 'user')?.content ?? '');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const say = (event: object) => response.write(`data: ${JSON.stringify(event)}\n\n`);
    say({ type: 'RUN_STARTED', threadId: asked.threadId, runId: asked.runId });
    for (const step of script(question, asked.runId)) {
      if (response.destroyed) break;
      if (step === 'hold') await new Promise<void>((go) => this.#hold(go, response));
      else if ('wait' in step) await new Promise((resolve) => setTimeout(resolve, step.wait));
      else say(step.event);
    }
    if (!/\bbreak\b/.test(question)) say({ type: 'RUN_FINISHED', threadId: asked.threadId, runId: asked.runId });
    response.end();
  }

  #hold(go: () => void, response: ServerResponse): void {
    this.#waiting.push(go);
    // Stopped meanwhile: nobody waits any more.
    response.on('close', () => {
      this.#waiting = this.#waiting.filter((other) => other !== go);
      go();
    });
  }
}

const MARKUP = `Two ways, of which the first is shorter:

1. Read the whole file with \`readFile\`.
2. Read it in pieces:
   - each piece has a bound
   - nothing is kept

\`\`\`ts
for await (const piece of file) {
  count += piece.length;
}
\`\`\`

More stands in [the manual](https://example.org/manual), and <script>alert(1)</script> stays text.`;

function* script(question: string, run: string): Generator<Step> {
  const has = (word: string) => new RegExp(`\\b${word}\\b`).test(question);
  const count = Number(/\bcount (\d+)/.exec(question)?.[1] ?? 0);
  if (has('reason')) yield* reason(run);
  if (has('tool')) yield* tool(run);
  yield* message(`${run}-m1`, function* (text) {
    if (has('hold')) {
      yield text('Before the pause. ');
      yield 'hold';
      yield text('After the pause.');
    } else if (has('break')) {
      yield text('This answer will not be ');
    } else if (has('markup')) {
      for (const piece of MARKUP.split(/(?<=\s)/)) yield text(piece);
    } else if (has('long')) {
      for (let at = 1; at <= 40; at += 1)
        yield text(`Paragraph ${at} is here to be read, and to be longer than one line of a phone.\n\n`);
    } else if (has('bulk')) {
      yield text('All work and no play. '.repeat(2_000));
    } else if (count > 0) {
      for (let at = 1; at <= count; at += 1) {
        yield text(`${at} `);
        yield { wait: 5 };
      }
    } else {
      for (const word of `You asked: ${question}`.split(/(?<=\s)/)) yield text(word);
    }
  });
  if (has('break')) yield { event: { type: 'RUN_ERROR', message: 'the model went away', code: 'model_gone' } };
}

function* message(id: string, body: (text: (delta: string) => Step) => Generator<Step>): Generator<Step> {
  yield { event: { type: 'TEXT_MESSAGE_START', messageId: id, role: 'assistant' } };
  yield* body((delta) => ({ event: { type: 'TEXT_MESSAGE_CONTENT', messageId: id, delta } }));
  yield { event: { type: 'TEXT_MESSAGE_END', messageId: id } };
}

function* reason(run: string): Generator<Step> {
  const id = `${run}-r1`;
  const think = (delta: string): Step => ({ event: { type: 'REASONING_MESSAGE_CONTENT', messageId: id, delta } });
  yield { event: { type: 'REASONING_START', messageId: id } };
  yield { event: { type: 'REASONING_MESSAGE_START', messageId: id, role: 'reasoning' } };
  yield think('The question has two parts. ');
  yield 'hold';
  yield think('The second one is the harder.');
  yield { event: { type: 'REASONING_MESSAGE_END', messageId: id } };
  yield { event: { type: 'REASONING_END', messageId: id } };
}

function* tool(run: string): Generator<Step> {
  const toolCallId = `${run}-c1`;
  const event = (fields: Record<string, unknown>): Step => ({ event: fields });
  yield event({ type: 'STEP_STARTED', stepName: 'look up the weather' });
  yield event({ type: 'TOOL_CALL_START', toolCallId, toolCallName: 'weather', parentMessageId: `${run}-m0` });
  yield event({ type: 'TOOL_CALL_ARGS', toolCallId, delta: '{"place":"Bergen","days":2}' });
  yield event({ type: 'TOOL_CALL_END', toolCallId });
  yield 'hold';
  yield event({
    type: 'TOOL_CALL_RESULT',
    toolCallId,
    messageId: `${run}-t1`,
    role: 'tool',
    content: '{"today":"rain","tomorrow":"rain"}',
  });
  yield event({ type: 'STEP_FINISHED', stepName: 'look up the weather' });
}
