// Conversations as agents tell them, made up from a seed: valid AG-UI, of every kind that a page shows.

import type { AguiEvent, Message } from '../src/wire.js';

export const user = (id: string, content: unknown): Message => ({ id, role: 'user', content });
export const started = (run: string, ...messages: Message[]): AguiEvent => ({
  type: 'RUN_STARTED',
  threadId: 't',
  runId: run,
  input: { threadId: 't', runId: run, messages, tools: [], context: [] },
});
export const finished = (run: string, rest = {}): AguiEvent => ({
  type: 'RUN_FINISHED',
  threadId: 't',
  runId: run,
  ...rest,
});

/** A small generator of numbers (mulberry32), so that a failure can be run again by its seed. */
export function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Runs that an agent could have told: each valid by itself, all of them one conversation. */
export function conversation(seed: number): AguiEvent[] {
  const below = numbers(seed);
  const word = () => ['a', 'be', ' ', 'tree', 'ü', '{"x":', '"'][below(7)] ?? '';
  let next = 0;
  const id = (kind: string) => `${kind}${next++}`;
  const streamed = (kind: string, messageId: string, rest = {}): AguiEvent[] => [
    { type: `${kind}_START`, messageId, ...rest },
    ...Array.from({ length: below(4) }, () => ({ type: `${kind}_CONTENT`, messageId, delta: word() })),
    { type: `${kind}_END`, messageId },
  ];
  const call = (parentMessageId?: string): AguiEvent[] => {
    const toolCallId = id('c');
    const all: AguiEvent[] = [
      { type: 'TOOL_CALL_START', toolCallId, toolCallName: 'f', ...(parentMessageId && { parentMessageId }) },
      ...Array.from({ length: below(3) }, () => ({ type: 'TOOL_CALL_ARGS', toolCallId, delta: word() })),
      { type: 'TOOL_CALL_END', toolCallId },
    ];
    return below(3) ? [...all, { type: 'TOOL_CALL_RESULT', messageId: id('t'), toolCallId, content: word() }] : all;
  };
  const pieces: (() => AguiEvent[])[] = [
    () => streamed('TEXT_MESSAGE', id('m'), { role: 'assistant' }),
    () => {
      const m = id('m');
      return [...streamed('TEXT_MESSAGE', m, { role: 'assistant' }), ...call(m), ...call(m)];
    },
    () => {
      const m = id('m');
      return [...call(m), ...streamed('TEXT_MESSAGE', m, { role: 'assistant' })];
    },
    () => call(),
    () => {
      const g = id('g');
      return [
        { type: 'REASONING_START', messageId: g },
        ...streamed('REASONING_MESSAGE', g, { role: 'reasoning' }),
        { type: 'REASONING_END', messageId: g },
      ];
    },
    () => [
      { type: 'TEXT_MESSAGE_CHUNK', messageId: id('m'), role: 'assistant', delta: word() },
      { type: 'TEXT_MESSAGE_CHUNK', delta: word() },
    ],
    () => [
      { type: 'STATE_SNAPSHOT', snapshot: { list: [below(9)] } },
      {
        type: 'STATE_DELTA',
        delta: [
          { op: 'add', path: '/list/-', value: below(9) },
          { op: 'copy', from: '/list', path: `/k${below(3)}` },
        ],
      },
    ],
    () => [
      { type: 'CUSTOM', name: 'x', value: below(9) },
      { type: 'STEP_STARTED', stepName: 's' },
      { type: 'STEP_FINISHED', stepName: 's' },
    ],
  ];
  return Array.from({ length: 1 + below(4) }, () => {
    const run = id('r');
    const middle = Array.from({ length: below(6) }, () => pieces[below(pieces.length)]?.() ?? []).flat();
    return [started(run, user(id('u'), word())), ...middle, finished(run)];
  }).flat();
}

/** Enough to meet every kind of piece beside every other. */
export const SEEDS = Array.from({ length: 150 }, (_, n) => n + 1);

export const isStart = (event: AguiEvent): boolean => event.type === 'RUN_STARTED';

/** The events of each run. */
export const runsOf = (events: readonly AguiEvent[]): AguiEvent[][] =>
  events.reduce<AguiEvent[][]>((runs, event) => {
    if (isStart(event)) return [...runs, [event]];
    return [...runs.slice(0, -1), [...(runs.at(-1) ?? []), event]];
  }, []);

/** As the gateway joins adjacent pieces of one text for a reader who is behind. */
export function joined(events: readonly AguiEvent[]): AguiEvent[] {
  return events.reduce<AguiEvent[]>((all, event) => {
    const before = all.at(-1);
    const id = (one: AguiEvent) => one.messageId ?? one.toolCallId;
    const isPiece = event.type === 'TEXT_MESSAGE_CONTENT' || event.type === 'TOOL_CALL_ARGS';
    if (!before || !isPiece || before.type !== event.type || id(before) !== id(event)) return [...all, event];
    return [...all.slice(0, -1), { ...event, delta: `${String(before.delta)}${String(event.delta)}` }];
  }, []);
}
