// What needs no network: the readings of closes, back-off, places in a log, where a token goes, wrong arguments.

import { expect, test, vi } from 'vitest';

import { backoff } from '../src/backoff.js';
import { closedWhy, closeWhy, reconnects } from '../src/closing.js';
import { uuid } from '../src/id.js';
import { connect } from '../src/index.js';
import { behind, lacking, type Place, placeAt, placeInside } from '../src/log.js';
import { placed, socketUrl } from '../src/target.js';
import type { AguiEvent } from '../src/wire.js';

test.each([
  [1000, '', '1000', 'user_action'],
  [1001, '', '1001', 'retry'],
  [1002, '', '1002', 'user_action'],
  [1005, '', '1005', 'user_action'],
  [1006, '', 'lost', 'retry'],
  [1009, '', '1009', 'user_action'],
  [1011, '', '1011', 'retry'],
  [1012, '', '1012', 'retry'],
  [1013, '', '1013', 'retry'],
  [1014, '', '1014', 'user_action'],
  [3000, '', '3000', 'user_action'],
  [4000, '{"reason":"retry","reconnect":true}', 'retry', 'retry'],
  [4001, '{"reason":"draining","reconnect":true,"retry_in":7300}', 'draining', 'retry'],
  [4004, '', '4004', 'retry'],
  [4499, '', '4499', 'retry'],
  [4500, '{"reason":"bad_protocol","reconnect":false}', 'bad_protocol', 'nothing'],
  [4501, '{"reason":"unauthorized","reconnect":false}', 'unauthorized', 'login'],
  [4503, '', '4503', 'nothing'],
  [4510, '{"reason":"superseded","reconnect":false}', 'superseded', 'nothing'],
  [4511, '{"reason":"evicted","reconnect":false}', 'evicted', 'on_demand'],
  [4511, '', '4511', 'on_demand'],
  [4512, '{"reason":"closed_by_admin","reconnect":false}', 'closed_by_admin', 'user_action'],
  [4513, '{"reason":"logged_out","reconnect":false}', 'logged_out', 'login'],
  [4999, '', '4999', 'nothing'],
  [5000, '', '5000', 'nothing'],
  // The reason is nearer to the cause than the code, and one that is not of its shape says nothing.
  [4500, '{"reason":"from_the_future","reconnect":true}', 'from_the_future', 'retry'],
  [4000, '{"reconnect":"perhaps","reason":7}', '4000', 'retry'],
  [4000, 'null', '4000', 'retry'],
  [4000, 'bye', '4000', 'retry'],
])('rule 11: close %i with %j reads as %s, %s', (code, text, reason, next) => {
  expect(closeWhy(code, text)).toMatchObject({ code, reason, next });
});

test('rule 11: a time to come back is believed within bounds, and only where coming back is right', () => {
  expect(closeWhy(4001, '{"reconnect":true,"retry_in":7300}').retryIn).toBe(7_300);
  expect(closeWhy(4001, '{"reconnect":true,"retry_in":1e12}').retryIn).toBe(300_000);
  for (const said of ['-1', '"soon"', 'null']) {
    expect(closeWhy(4001, `{"reconnect":true,"retry_in":${said}}`).retryIn).toBeUndefined();
  }
  expect(closeWhy(4501, '{"reconnect":false,"retry_in":5}').retryIn).toBeUndefined();
});

test('rule 11: every code of ours alone says what its reason says', () => {
  const codes = Array.from({ length: 1_000 }, (_, index) => 4_000 + index);
  expect(codes.filter(reconnects)).toEqual(codes.filter((code) => code < 4_500));
});

test.each([
  ['evicted', 'on_demand', 4511, 'on_demand'],
  ['closed_by_admin', 'never', 4512, 'user_action'],
  ['logged_out', 'never', 4513, 'login'],
  ['done', 'never', 1000, 'nothing'],
  ['from_the_future', 'resume', 4000, 'retry'],
  ['from_the_future', 'never', 4500, 'nothing'],
] as const)('rule 11: a closed frame with %s and %s reads as %i, %s', (reason, reconnect, code, next) => {
  expect(closedWhy({ type: 'closed', thread: 't1', reason, reconnect, message: 'Told.' })).toEqual({
    code,
    reason,
    next,
    message: 'Told.',
  });
});

test('rule 12: back-off is random below 250 ms * 2^n, at most 20 s, and what the gateway asks for comes first', () => {
  const highest = [0, 1, 2, 3, 4, 5, 6, 7, 8, 60].map((n) => backoff(n, 1));
  expect(highest).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000]);
  expect(backoff(5, 0)).toBe(0);
  expect(backoff(5, 0.5)).toBe(4_000);
  expect(backoff(5, 0.5, 7_300)).toBe(7_300);
  expect(backoff(5, 0.5, 0)).toBe(0);
});

const piece = (delta: string, messageId = 'm1'): AguiEvent => ({ type: 'TEXT_MESSAGE_CONTENT', messageId, delta });
const other = (type: string): AguiEvent => ({ type });
const told = (start: Place, events: [number, AguiEvent][]) =>
  events.reduce((place, [offset, event]) => behind(place, offset, event), start);

test('rule 4: an event that holds more than a reader lacks is cut to what he lacks', () => {
  const reader = told(placeAt(0), [
    [1, other('TEXT_MESSAGE_START')],
    [2, piece('Hel')],
    [3, piece('lo, ')],
  ]);
  const begun = told(placeAt(0), [[1, other('TEXT_MESSAGE_START')]]);
  expect(lacking(reader, begun, 5, piece('Hello, world'))).toEqual(piece('world'));
  const further = told(begun, [[2, piece('Hel')]]);
  expect(lacking(reader, further, 5, piece('lo, world'))).toEqual(piece('world'));
  expect(lacking(reader, begun, 3, piece('Hello, '))).toBe('nothing');
  expect(lacking(reader, told(further, [[3, piece('lo, ')]]), 4, piece('world'))).toEqual(piece('world'));
});

test('rule 4: where it cannot be told what a reader has, he is told to start anew', () => {
  const reader = told(placeInside(2), [[3, piece('lo, ')]]);
  const begun = told(placeAt(0), [[1, other('TEXT_MESSAGE_START')]]);
  expect(lacking(reader, begun, 5, piece('Hello, world'))).toBe('unknown');
  expect(lacking(placeInside(3), begun, 5, other('STEP_STARTED'))).toBe('unknown');
  const elsewhere = told(placeAt(0), [[2, piece('Hel', 'm2')]]);
  expect(lacking(elsewhere, placeAt(0), 5, piece('Hello, world'))).toBe('unknown');
  const ahead = told(begun, [[2, piece('Hello, world, and more')]]);
  expect(lacking(ahead, begun, 3, piece('Hello, world'))).toBe('unknown');
});

test('rule 4: texts in turn, and texts of tool calls, are counted apart', () => {
  const args = (delta: string): AguiEvent => ({ type: 'TOOL_CALL_ARGS', toolCallId: 'm1', delta });
  const reader = told(placeAt(0), [
    [1, piece('a')],
    [2, other('STEP_STARTED')],
    [3, piece('bc')],
  ]);
  const stream = told(placeAt(0), [
    [1, piece('a')],
    [2, other('STEP_STARTED')],
  ]);
  expect(lacking(reader, stream, 4, piece('bcd'))).toEqual(piece('d'));
  expect(lacking(told(stream, [[3, args('bc')]]), stream, 4, piece('bcd'))).toBe('unknown');
});

test('rule 1: a token stands in a subprotocol where it can, and in hello where it cannot', () => {
  expect(placed(undefined)).toEqual({ protocols: ['lychgate.v1'], inHello: undefined });
  expect(placed('ey.J_-9')).toEqual({ protocols: ['lychgate.v1', 'lychgate.bearer.ey.J_-9'], inHello: undefined });
  for (const token of ['a b', 'a,b', 'a=', 'ü', 'x'.repeat(4_097)]) {
    expect(placed(token)).toEqual({ protocols: ['lychgate.v1'], inHello: token });
  }
});

test('ids are random UUIDs of version 4', () => {
  const ids = Array.from({ length: 500 }, uuid);
  for (const id of ids) expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  expect(new Set(ids).size).toBe(500);
  expect(new Set(ids.map((id) => id[19])).size).toBe(4);
});

test.each([
  ['ws://h', 'ws://h/v1/ws'],
  ['https://h/', 'wss://h/v1/ws'],
  ['http://h:8787/gate/ws?room=1#x', 'ws://h:8787/gate/ws?room=1'],
])('an address %s leads to %s', (given, url) => {
  expect(socketUrl(given)).toBe(url);
});

test('in a page the address is that of its origin', () => {
  vi.stubGlobal('location', new URL('https://chat.example.org/deep/page?q=1#x'));
  expect(socketUrl(undefined)).toBe('wss://chat.example.org/v1/ws');
  expect(socketUrl('/gate/v1/ws')).toBe('wss://chat.example.org/gate/v1/ws');
  vi.unstubAllGlobals();
});

const NO_SOCKET = class {
  constructor() {
    throw new Error('nobody dials here');
  }
};

test.each([
  [{}, '`url` must be like'],
  [{ url: 'not an address' }, '`url` must be like'],
  [{ url: 'ftp://h' }, '`url` must be like'],
  [{ url: 'wss://user:secret@h' }, 'carry no token'],
  [{ url: 'wss://h/v1/ws?token=secret' }, 'carry no token'],
  [{ url: 'wss://h', token: '' }, '`token` must be text or a function'],
  [{ url: 'wss://h', token: 7 }, '`token` must be text or a function'],
])('connect(%j) names what is wrong', (options, message) => {
  // Wrong on purpose, as JavaScript may be.
  const call = () => connect({ WebSocket: NO_SOCKET, ...options } as unknown as Parameters<typeof connect>[0]);
  expect(call).toThrow(TypeError);
  expect(call).toThrow(message);
});

test('without a WebSocket the fix is named', () => {
  vi.stubGlobal('WebSocket', undefined);
  expect(() => connect({ url: 'wss://h' })).toThrow(/npm install ws/);
  vi.unstubAllGlobals();
});
