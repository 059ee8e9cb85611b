// One run out of a thread's events, however it is cut, told anew and joined.

import { type BaseEvent, verifyEvents } from '@ag-ui/client';
import { from, lastValueFrom, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { RunReader } from '../src/run-reader.js';
import type { ThreadEvent } from '../src/types.js';
import type { AguiEvent } from '../src/wire.js';
import { SEEDS, conversation, finished, joined, numbers, runsOf, started, user } from './conversation.js';

const told = (reader: RunReader, events: readonly AguiEvent[]) =>
  events.flatMap((event, offset) => reader.read({ type: 'event', offset, event }));
const reset = (run?: string, messages: string[] = []): ThreadEvent => ({
  type: 'reset',
  messages: messages.map((id) => user(id, 'hello')),
  more: false,
  ...(run !== undefined && { run }),
});
/** Fails as @ag-ui/client fails where a start, an end or an order is wrong. */
const verified = (events: readonly AguiEvent[]) =>
  // They are whole AG-UI events; the enum of their types has the same strings.
  lastValueFrom(from(events as unknown as BaseEvent[]).pipe(verifyEvents(), toArray()));

/** A run as a reader has it who was cut off at random places, and told all of it anew each time. */
function interrupted(run: readonly AguiEvent[], seed: number): AguiEvent[] {
  const below = numbers(seed);
  const reader = new RunReader('t', String(run[0]?.runId));
  const passed: AguiEvent[] = [];
  for (let cuts = below(4); cuts > 0; cuts -= 1) {
    const front = run.slice(0, below(run.length));
    passed.push(...told(reader, below(2) ? joined(front) : front), ...reader.read(reset(String(run[0]?.runId))));
  }
  return [...passed, ...told(reader, below(2) ? joined(run) : run)];
}

describe('a run', () => {
  it('is told once, however often the gateway tells it anew', async () => {
    for (const seed of SEEDS) {
      for (const run of runsOf(conversation(seed))) {
        const events = interrupted(run, seed);
        expect(joined(events), `seed ${seed}`).toEqual(joined(run.filter((event) => event.delta !== '')));
        await verified(events.filter((event) => !event.type.endsWith('CHUNK')));
      }
    }
  });

  it('is told without the runs before and after it', () => {
    const [before, asked, after] = ['r1', 'r2', 'r3'].map((run) => [started(run), finished(run)]);
    const reader = new RunReader('t', 'r2');
    expect(told(reader, [...(before ?? []), ...(asked ?? []), ...(after ?? [])])).toEqual(asked);
    expect(reader.hasEnded).toBe(true);
  });

  it('that was over before its reader came back ends with all of the conversation', async () => {
    const reader = new RunReader('t', 'r');
    const front = told(reader, [
      started('r', user('u', 'hello')),
      { type: 'STEP_STARTED', stepName: 's' },
      { type: 'TEXT_MESSAGE_START', messageId: 'm', role: 'assistant' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta: 'Go' },
    ]);
    const rest = reader.read(reset(undefined, ['u', 'm']));
    expect(rest.map((event) => event.type)).toEqual([
      'TEXT_MESSAGE_END',
      'STEP_FINISHED',
      'MESSAGES_SNAPSHOT',
      'RUN_FINISHED',
    ]);
    await verified([...front, ...rest]);
    expect(reader.read(reset('r'))).toEqual([]);
  });

  it('that the gateway lost ends with an error', async () => {
    const reader = new RunReader('t', 'r');
    const front = told(reader, [started('r', user('u', 'hello')), { type: 'TEXT_MESSAGE_START', messageId: 'm' }]);
    const rest = reader.read(reset(undefined, ['another']));
    expect(rest.at(-1)).toMatchObject({ type: 'RUN_ERROR', code: 'lost' });
    await verified([...front, ...rest]);
  });

  it('that nobody asked for by its id is the first that begins', () => {
    const reader = new RunReader('t');
    expect(told(reader, [started('x'), finished('x'), started('y')])).toEqual([started('x'), finished('x')]);
    expect(reader.run).toBe('x');
  });
});
