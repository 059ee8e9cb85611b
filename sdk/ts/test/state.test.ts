// Patches of the shared state against fast-json-patch, which @ag-ui/client applies.

import jsonpatch from 'fast-json-patch';
import { describe, expect, it } from 'vitest';
import { patchState, readState } from '../src/messages/state.js';
import { numbers } from './conversation.js';

const STATE = { list: [1, { deep: true }, null], text: 'x', 'a/b': { 'c~d': 0 }, empty: {} };
const PATHS = [
  '',
  '/list',
  '/list/0',
  '/list/1/deep',
  '/list/3',
  '/list/-',
  '/list/01',
  '/text',
  '/text/no',
  '/a~1b/c~0d',
  '/new',
  '/empty/x',
  'bad',
];

function anyOperation(below: (limit: number) => number): unknown {
  const path = () => PATHS[below(PATHS.length)];
  const value = [0, 'x', null, [1], { k: 1 }, { deep: true }][below(6)];
  const op = ['add', 'remove', 'replace', 'move', 'copy', 'test'][below(6)];
  return { op, path: path(), from: path(), value };
}

/** As @ag-ui/client: a patch that does not fit leaves the state as it was. */
function reference(state: unknown, patch: unknown[]): unknown {
  try {
    // The operations are made up, some of them wrong: the library is asked to check them.
    return jsonpatch.applyPatch(structuredClone(state), structuredClone(patch) as never, true, true).newDocument;
  } catch {
    return state;
  }
}

/** Where fast-json-patch is laxer than RFC 6902 though it validates: those have a test of their own. */
function isLax(patch: unknown[]): boolean {
  return patch.some((operation) => {
    const { op, path = '', from = '' } = operation as { op: string; path?: string; from?: string };
    // It gives `undefined` for the whole where the source is not there, and puts beyond a list's end.
    const isCopied = (path === '' || path === '/list/3') && (op === 'move' || op === 'copy');
    const isInto = op === 'move' && (path.startsWith(from) || from === '');
    const isRemoved = op === 'remove' && path === '';
    return isCopied || isInto || isRemoved || path === '/list/01' || [path, from].includes('bad');
  });
}

describe('patches', () => {
  it('do what fast-json-patch does with them', () => {
    let compared = 0;
    for (let seed = 1; seed <= 3_000; seed += 1) {
      const below = numbers(seed);
      const patch = Array.from({ length: 1 + below(3) }, () => anyOperation(below));
      if (isLax(patch)) continue;
      compared += 1;
      const before = structuredClone(STATE);
      expect(patchState(before, patch), JSON.stringify(patch)).toEqual(reference(STATE, patch));
      expect(before, 'the state before is not changed').toEqual(STATE);
    }
    expect(compared).toBeGreaterThan(1_000);
  });

  it('that RFC 6902 forbids change nothing', () => {
    for (const patch of [
      [{ op: 'remove', path: '' }],
      [{ op: 'move', from: '/list', path: '/list/0' }],
      [{ op: 'add', path: '/list/9', value: 1 }],
      [{ op: 'add', path: '/list/01', value: 1 }],
      [{ op: 'add', path: '/text/x', value: 1 }],
      [{ op: 'add', path: '/x' }],
      [
        { op: 'add', path: '/fits', value: 1 },
        { op: 'test', path: '/text', value: 'y' },
      ],
      [{ op: 'unknown', path: '/x' }],
      [{ op: 'copy', from: 'no pointer', path: '/x' }],
      [{ op: 'copy', from: '/nowhere', path: '' }],
      'no list',
    ]) {
      expect(patchState(STATE, patch), JSON.stringify(patch)).toBe(STATE);
    }
  });

  it('cannot touch what is no part of the state', () => {
    const patched = patchState({}, [{ op: 'add', path: '/__proto__', value: { evil: 1 } }]);
    expect(Object.getPrototypeOf(patched)).toBe(Object.prototype);
    expect(JSON.stringify(patched)).toBe('{"__proto__":{"evil":1}}');
    expect(patchState({}, [{ op: 'add', path: '/constructor/prototype/evil', value: 1 }])).toEqual({});
  });

  it('share what they do not touch', () => {
    const patched = patchState(STATE, [{ op: 'replace', path: '/list/0', value: 2 }]) as typeof STATE;
    expect(patched.list[1]).toBe(STATE.list[1]);
    expect(patched.empty).toBe(STATE.empty);
  });
});

describe('a state that is too much', () => {
  it('is let go, as the gateway lets it go', () => {
    expect(readState('x'.repeat(300_000))).toBeUndefined();
    expect(readState(JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`))).toBeUndefined();
    const doubling = Array.from({ length: 40 }, (_, n) => ({ op: 'copy', from: '', path: `/k${n}` }));
    expect(patchState({ a: 1 }, doubling)).toBeUndefined();
    expect(patchState({ a: 1 }, [{ op: 'add', path: '/b', value: 'x'.repeat(200_000) }])).toBeDefined();
  });
});
