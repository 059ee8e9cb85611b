// The fold of a thread's events against what the gateway and @ag-ui/client make of the same events.

import { type BaseEvent, type Message as AguiMessage, AbstractAgent } from '@ag-ui/client';
import { Observable, from } from 'rxjs';
import { describe, expect, it } from 'vitest';
import {
  type AguiEvent,
  type Message,
  type Part,
  type ThreadEvent,
  type View,
  emptyView,
  fold,
} from '../src/messages.js';
import { SEEDS, conversation, finished, isStart, runsOf, started, user } from './conversation.js';

const told = (events: readonly AguiEvent[], view: View = emptyView): View =>
  events.reduce((all, event, n) => fold(all, { type: 'event', offset: n + 1, event }), view);
const reset = (
  messages: readonly Message[],
  rest: { state?: unknown; run?: string; more?: boolean } = {},
): ThreadEvent => ({ type: 'reset', messages: [...messages], more: false, ...rest });
const parts = (view: View): readonly (readonly Part[])[] => view.messages.map((message) => message.parts);

describe('messages', () => {
  it('a reset takes time by the number of its messages', () => {
    const many = Array.from({ length: 20_000 }, (_, n): Message[] => [
      { id: `u${n}`, role: 'user', content: 'question' },
      {
        id: `a${n}`,
        role: 'assistant',
        content: '',
        toolCalls: [{ id: `c${n}`, type: 'function', function: { name: 'look', arguments: '{}' } }],
      },
      { id: `t${n}`, role: 'tool', toolCallId: `c${n}`, content: 'found' },
    ]).flat();
    const begin = performance.now();
    const view = fold(emptyView, reset(many));
    // A copy for each of them would take a minute.
    expect(performance.now() - begin).toBeLessThan(3_000);
    expect(view.messages).toHaveLength(40_000);
    expect(parts(view).at(-1)).toMatchObject([{ type: 'tool', id: 'c19999', result: 'found', done: true }]);
  });

  it('a question and its streamed answer become two messages', () => {
    const open = told([
      started('r', user('u', 'hello')),
      { type: 'TEXT_MESSAGE_START', messageId: 'm', role: 'assistant' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta: 'Good ' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta: 'morning' },
    ]);
    expect(open.run).toEqual({ id: 'r', status: 'running' });
    expect(open.messages).toEqual([
      { id: 'u', role: 'user', parts: [{ type: 'text', text: 'hello', done: true }] },
      { id: 'm', role: 'assistant', parts: [{ type: 'text', text: 'Good morning', done: false }] },
    ]);
    const whole = told([{ type: 'TEXT_MESSAGE_END', messageId: 'm' }, finished('r')], open);
    expect(parts(whole)[1]).toEqual([{ type: 'text', text: 'Good morning', done: true }]);
    expect(whole.run).toEqual({ id: 'r', status: 'finished' });
  });

  it('a call, its arguments and its result are one part', () => {
    const view = told([
      { type: 'TEXT_MESSAGE_START', messageId: 'm' },
      { type: 'TOOL_CALL_START', toolCallId: 'c', toolCallName: 'add', parentMessageId: 'm' },
      { type: 'TOOL_CALL_ARGS', toolCallId: 'c', delta: '{"a":' },
      { type: 'TOOL_CALL_CHUNK', delta: '1}' },
      { type: 'TOOL_CALL_END', toolCallId: 'c' },
      { type: 'TOOL_CALL_RESULT', messageId: 't', toolCallId: 'c', content: [{ type: 'text', text: '2' }] },
      { type: 'TOOL_CALL_RESULT', messageId: 't2', toolCallId: 'c', content: 'an answer too late' },
      { type: 'TEXT_MESSAGE_END', messageId: 'm' },
    ]);
    const call = { type: 'tool', id: 'c', name: 'add', args: '{"a":1}', result: '2', done: true };
    expect(view.messages).toEqual([{ id: 'm', role: 'assistant', parts: [call] }]);
  });

  it('chunks open what they name, and the end of the run closes it', () => {
    const view = told([
      started('r'),
      { type: 'REASONING_MESSAGE_CHUNK', messageId: 'g', delta: 'hm' },
      { type: 'TEXT_MESSAGE_CHUNK', messageId: 'm', role: 'assistant', delta: 'a' },
      { type: 'TEXT_MESSAGE_CHUNK', delta: 'b' },
      { type: 'TOOL_CALL_CHUNK', toolCallId: 'c', toolCallName: 'now', parentMessageId: 'm', delta: '{}' },
    ]);
    expect(
      parts(view)
        .flat()
        .map((part) => part.type !== 'file' && part.done),
    ).toEqual([false, false, false]);
    expect(told([{ type: 'RUN_ERROR', message: 'gone', code: 'agent_eof' }], view)).toMatchObject({
      run: { id: 'r', status: 'error', error: { code: 'agent_eof', message: 'gone' } },
      messages: [
        { id: 'g', role: 'reasoning', parts: [{ type: 'reasoning', text: 'hm', done: true }] },
        {
          id: 'm',
          parts: [
            { type: 'text', text: 'ab', done: true },
            { type: 'tool', args: '{}', done: true },
          ],
        },
      ],
    });
  });

  it('files of a question keep what a page needs to show them', () => {
    const content = [
      { type: 'text', text: 'what is this' },
      {
        type: 'image',
        source: { type: 'data', value: 'AAAA', mimeType: 'image/png' },
        metadata: { filename: 'a.png' },
      },
      { type: 'document', source: { type: 'url', value: 'https://example.org/b.pdf' } },
      { type: 'audio', source: { type: 'file', value: 'file-7', mimeType: 'audio/wav' } },
      { type: 'hologram' },
    ];
    expect(parts(fold(emptyView, reset([user('u', content)])))[0]).toEqual([
      { type: 'text', text: 'what is this', done: true },
      { type: 'file', url: 'data:image/png;base64,AAAA', mediaType: 'image/png', name: 'a.png' },
      { type: 'file', url: 'https://example.org/b.pdf' },
      { type: 'file', mediaType: 'audio/wav', name: 'file-7' },
    ]);
  });

  it('a reset replaces all, and what is as it was stays the same object', () => {
    const before = told(
      [started('r', user('u', 'one')), finished('r')],
      fold(emptyView, reset([user('a', 'zero')], { state: 1 })),
    );
    const after = fold(before, reset([user('u', 'one'), user('v', 'two')], { run: 'r2', more: true }));
    expect(after.messages.map((message) => message.id)).toEqual(['u', 'v']);
    expect(after.messages[0]).toBe(before.messages[1]);
    expect(after).toMatchObject({ more: true, run: { id: 'r2', status: 'running' }, steps: [] });
    expect('state' in after).toBe(false);
  });

  it('only what an event touches becomes a new object', () => {
    const before = told([started('r', user('u', 'one')), { type: 'TEXT_MESSAGE_START', messageId: 'm' }]);
    const after = told([{ type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta: 'x' }], before);
    expect(after.messages[0]).toBe(before.messages[0]);
    expect(after.messages[1]).not.toBe(before.messages[1]);
    expect(before.messages[1]?.parts).toEqual([{ type: 'text', text: '', done: false }]);
  });

  it('what is unknown or of the wrong shape changes nothing', () => {
    const before = told([started('r', user('u', 'one'))]);
    const events: AguiEvent[] = [
      { type: 'SOMETHING_NEW', messageId: 'm' },
      { type: 'CUSTOM', name: 'lychgate.test', value: 1 },
      { type: 'RAW', event: {} },
      { type: 'ACTIVITY_SNAPSHOT', messageId: 'a', activityType: 'x', content: {} },
      { type: 'TEXT_MESSAGE_END', messageId: 'nowhere' },
      { type: 'TOOL_CALL_ARGS', toolCallId: 'c', delta: 'x' },
      { type: 'TOOL_CALL_RESULT', toolCallId: 'c' },
      { type: 'TOOL_CALL_END', toolCallId: 5 },
      { type: 'STEP_FINISHED', stepName: 'never begun' },
      { type: 'STATE_DELTA', delta: 'no patch' },
      { type: 'STATE_SNAPSHOT' },
      { type: 'MESSAGES_SNAPSHOT', messages: 'none' },
    ];
    for (const event of events) expect(told([event], before), event.type).toBe(before);
  });
});

describe('run', () => {
  it('says how it ended', () => {
    const interrupts = [{ id: 'i', reason: 'approval', message: 'Send it?' }];
    expect(told([started('r'), finished('r', { outcome: { type: 'cancelled' } })]).run).toEqual({
      id: 'r',
      status: 'cancelled',
    });
    expect(told([started('r'), finished('r', { outcome: { type: 'interrupt', interrupts } })]).run).toEqual({
      id: 'r',
      status: 'interrupted',
      interrupts,
    });
    expect(told([started('r'), finished('r', { outcome: { type: 'success' }, result: 7 })]).run).toEqual({
      id: 'r',
      status: 'finished',
      result: 7,
    });
  });

  it('has its steps until the next one begins', () => {
    const step = (type: string, stepName: string): AguiEvent => ({ type, stepName });
    const open = told([started('r'), step('STEP_STARTED', 'a'), step('STEP_FINISHED', 'a'), step('STEP_STARTED', 'b')]);
    expect(open.steps).toEqual([
      { name: 'a', done: true },
      { name: 'b', done: false },
    ]);
    const over = told([finished('r')], open);
    expect(over.steps).toEqual([
      { name: 'a', done: true },
      { name: 'b', done: true },
    ]);
    expect(told([started('r2')], over).steps).toEqual([]);
  });
});

/** Tells what it was given, so that the real pipeline of @ag-ui/client (chunks, verifier, apply) reads it. */
class Teller extends AbstractAgent {
  events: readonly AguiEvent[] = [];
  override run(): Observable<BaseEvent> {
    // The generator below makes whole AG-UI events; their enum has the same strings.
    return from(this.events as unknown as BaseEvent[]);
  }
}

/** The messages of @ag-ui/client, shown as a reset of them would be. */
async function byAguiClient(events: readonly AguiEvent[]): Promise<View> {
  const agent = new Teller({ threadId: 't' });
  for (const run of runsOf(events)) {
    agent.events = run;
    await agent.runAgent({ runId: String(run[0]?.runId) });
  }
  // Their tool results stand beside the calls, ours in them: both are the same parts.
  return fold(emptyView, reset(agent.messages satisfies AguiMessage[] as readonly Message[], { state: agent.state }));
}

describe('the same conversation, told in another way', () => {
  it('shows the same messages and state that @ag-ui/client makes of it', async () => {
    for (const seed of SEEDS) {
      const events = conversation(seed);
      const [ours, theirs] = [told(events), await byAguiClient(events)];
      expect(ours.messages, `seed ${seed}`).toEqual(theirs.messages);
      expect(ours.state ?? {}, `seed ${seed}`).toEqual(theirs.state);
    }
  });

  it('shows the same after a reset at any boundary of runs', () => {
    for (const seed of SEEDS) {
      const events = conversation(seed);
      const whole = told(events);
      for (const [cut, event] of events.entries()) {
        if (!isStart(event) || cut === 0) continue;
        const front = told(events.slice(0, cut));
        const resumed = told(events.slice(cut), fold(emptyView, reset(asHistory(front), { state: front.state })));
        expect(resumed, `seed ${seed}, cut at ${cut}`).toEqual(whole);
      }
    }
  });
});

/** A view as the gateway would tell it in a reset: AG-UI messages, results beside their calls. */
function asHistory(view: View): Message[] {
  return view.messages.flatMap(({ id, role, parts }): Message[] => {
    const said = parts.flatMap((part) => (part.type === 'text' || part.type === 'reasoning' ? [part.text] : []));
    const calls = parts.flatMap((part) => (part.type === 'tool' ? [part] : []));
    const toolCalls = calls.map((call) => ({
      id: call.id,
      type: 'function',
      function: { name: call.name, arguments: call.args },
    }));
    const results = calls.flatMap((call) =>
      call.result === undefined
        ? []
        : [{ id: `result-${call.id}`, role: 'tool', toolCallId: call.id, content: call.result }],
    );
    return [{ id, role, content: said.join(''), ...(toolCalls.length > 0 && { toolCalls }) }, ...results];
  });
}
