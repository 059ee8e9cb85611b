import type { ClientState, CloseWhy } from '@lychgate/client';
import { describe, expect, test } from 'vitest';
import { type Circumstances, conditionOf, isTimed } from './network';
import { say } from './words';

const NOW = 1_000_000;
const calm: Circumstances = { client: { phase: 'online' }, browser: 'online', now: NOW };

function why(code: number, reason: string, next: CloseWhy['next']): CloseWhy {
  return { code, reason, next };
}

const lost: ClientState = { phase: 'waiting', retryAt: NOW + 2_500, attempt: 2, why: why(1006, 'lost', 'retry') };
const told = (changes: Partial<Circumstances>) => say(conditionOf({ ...calm, ...changes }), NOW);

describe('what the network does', () => {
  test('a connection that was cut says when it is tried again, and offers to try now', () => {
    expect(told({ client: lost })).toMatchObject({ countdown: 'Next try in 3 s', deed: 'connect' });
  });

  test('what counts down is never part of what is read aloud', () => {
    const later = say(conditionOf({ ...calm, client: lost }), NOW + 1_000);
    expect(later.text).toBe(told({ client: lost }).text);
    expect(later.countdown).not.toBe(told({ client: lost }).countdown);
  });

  test('a page with nothing that counts down has no clock', () => {
    expect(isTimed(calm)).toBe(false);
    expect(isTimed({ ...calm, client: lost })).toBe(true);
    expect(isTimed({ ...calm, thread: { phase: 'queued', position: 2, until: NOW + 8_000 } })).toBe(true);
    expect([NOW, NOW + 1].map((until) => isTimed({ ...calm, restartingUntil: until }))).toEqual([false, true]);
    expect([NOW, NOW + 1].map((until) => isTimed({ ...calm, degraded: { message: 'Slow.', until } }))).toEqual([false, true]);
  });

  test('a try that fails is no news: the sentence stays, and the button with it', () => {
    const trying = told({ client: { phase: 'connecting', attempt: 2 } });
    expect(trying).toMatchObject({ text: told({ client: lost }).text, countdown: 'Trying now', deed: 'connect' });
  });

  test('without a network the network is at fault, and not the server', () => {
    expect(told({ client: lost, browser: 'offline' }).text).toContain('offline');
  });

  test('a browser that believes to be offline while the socket works is not believed', () => {
    expect(told({ browser: 'offline' }).text).toBe('Connected.');
  });

  test('a drain is told before the socket closes and while one waits to come back', () => {
    expect(told({ restartingUntil: NOW + 1 }).text).toContain('restarting');
    expect(told({ restartingUntil: NOW }).text).toBe('Connected.');
    const closed: ClientState = { phase: 'waiting', retryAt: NOW, attempt: 1, why: why(4001, 'draining', 'retry') };
    expect(told({ client: closed }).text).toContain('restarting');
  });

  test('dials that fail while the server restarts are part of the restart, until it should be over', () => {
    const trying: ClientState = { phase: 'connecting', attempt: 2 };
    for (const client of [lost, trying]) {
      const restarting = told({ client, restartingUntil: NOW + 1 });
      expect(restarting.text).toContain('restarting');
      expect(restarting.deed).toBe('connect');
      expect(told({ client, restartingUntil: NOW }).text).toContain('interrupted');
    }
  });

  test('who waits for a place is told at which position', () => {
    expect(told({ thread: { phase: 'queued', position: 2, until: NOW + 8_000 } })).toMatchObject({
      text: 'Waiting for a place at position 2.',
      countdown: 'At the latest in 8 s',
    });
  });

  test('the connection is told before the conversation', () => {
    expect(told({ client: lost, thread: { phase: 'queued', position: 2, until: NOW } }).text).toContain('interrupted');
  });

  test('a tab that made room, and a conversation that did, say so and can be woken', () => {
    const evicted = why(4511, 'evicted', 'on_demand');
    expect(told({ client: { phase: 'asleep', why: evicted } })).toMatchObject({ deed: 'wake', label: 'Wake it' });
    const conversation = told({ thread: { phase: 'asleep', why: evicted } });
    expect(conversation).toMatchObject({ deed: 'wake' });
    expect(conversation.text).toBe('This conversation was put to sleep to make room for a newer one.');
  });

  test('every end has a sentence of its own, and a way out where there is one', () => {
    const ends: [string, CloseWhy['next'], string][] = [
      ['superseded', 'nothing', 'reload'],
      ['closed_by_admin', 'user_action', 'wake'],
      ['logged_out', 'login', 'login'],
      ['unauthorized', 'login', 'login'],
      ['bad_protocol', 'nothing', 'reload'],
      ['unsupported_version', 'nothing', 'reload'],
      ['forbidden', 'nothing', 'none'],
      ['something_new', 'nothing', 'reload'],
      ['something_new', 'user_action', 'wake'],
    ];
    for (const [reason, next, deed] of ends) {
      const said = told({ client: { phase: 'ended', why: why(4599, reason, next) } });
      expect(said.deed, reason).toBe(deed);
      expect(said.text, reason).toMatch(/^[A-Z].*\.$/);
      expect(said.label === '', reason).toBe(deed === 'none');
    }
  });

  test('near the limit it says how many of how many, and at the limit what a new one does', () => {
    const limits = (used: number, level: 'watch' | 'full', reserve?: number) =>
      told({ limits: { used, limit: 20, level, ...(reserve === undefined ? {} : { reserve_until: reserve }) } }).text;
    expect(limits(11, 'watch')).toBe('Connected. 11 of 20 conversations open.');
    expect(limits(20, 'full')).toContain('puts the one that you used least to sleep');
    expect(limits(21, 'full', NOW + 1)).toContain('lent for a minute');
    expect(limits(20, 'full', NOW - 1)).not.toContain('lent');
  });

  test('a gateway that works with less says what is less, for as long as it said', () => {
    expect(told({ degraded: { message: 'Less than usual.', until: NOW + 1 } }).text).toBe('Less than usual.');
    expect(told({ degraded: { message: 'Less than usual.', until: NOW } }).text).toBe('Connected.');
  });
});
