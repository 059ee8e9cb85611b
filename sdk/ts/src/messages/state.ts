// The state that agent and front end share: snapshots and JSON patches (RFC 6902) in, the state out.
//
// The bounds are the gateway's (crates/server/src/journal/fold/state.rs): a patch of a few bytes can double a state
// again and again (`copy` of the whole into a part), and a state that the gateway let go must not live on in a tab.

import { list, record, text } from './read.js';

/** Characters of JSON, about, that a state may have; beyond it the state is let go. */
const MAX_CHARACTERS = 256 * 1024;
/** Levels that a state may have. */
const MAX_DEPTH = 100;

/** A snapshot, or undefined where it is too much. */
export function readState(snapshot: unknown): unknown {
  return isTooMuch(weigh(snapshot)) ? undefined : snapshot;
}

/**
 * The state after a patch, sharing what did not change. A patch that does not fit leaves all of it as it was; one that
 * makes the state too much lets it go. A patch of no state patches `{}`.
 */
export function patchState(state: unknown, patch: unknown): unknown {
  const operations = list(patch);
  if (!operations) return state;
  let next: unknown = state === undefined ? {} : state;
  let { characters } = weigh(next);
  for (const value of operations) {
    const operation = readOperation(value);
    if (!operation) return state;
    const added = weighAdded(next, operation);
    characters += added.characters;
    if (isTooMuch({ characters, depth: added.depth })) return undefined;
    const result = apply(next, operation);
    if (!result) return state;
    next = result.value;
  }
  return next;
}

type Path = readonly string[];
type Operation =
  | { op: 'add' | 'replace' | 'test'; path: Path; value: unknown }
  | { op: 'remove'; path: Path }
  | { op: 'move' | 'copy'; path: Path; from: Path };
/** A value that is there, whatever it is; undefined is what is not. */
type Found = { readonly value: unknown } | undefined;

function readOperation(value: unknown): Operation | undefined {
  const fields = record(value);
  const path = pointer(fields?.path);
  if (!fields || !path) return undefined;
  switch (fields.op) {
    case 'add':
    case 'replace':
    case 'test':
      return 'value' in fields ? { op: fields.op, path, value: fields.value } : undefined;
    case 'remove':
      return { op: fields.op, path };
    case 'move':
    case 'copy': {
      const from = pointer(fields.from);
      return from && { op: fields.op, path, from };
    }
    default:
      return undefined;
  }
}

/** RFC 6901. */
function pointer(value: unknown): Path | undefined {
  const path = text(value);
  if (path === '') return [];
  if (!path?.startsWith('/')) return undefined;
  return path
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function apply(state: unknown, operation: Operation): Found {
  switch (operation.op) {
    case 'add':
      return put(state, operation.path, operation.value);
    case 'remove':
      return operation.path.length === 0 ? undefined : take(state, operation.path);
    case 'replace': {
      if (!at(state, operation.path)) return undefined;
      return edit(
        state,
        operation.path,
        (parent, key) => ({ value: set(parent, key, operation.value) }),
        operation.value,
      );
    }
    case 'test': {
      const found = at(state, operation.path);
      return found && isEqual(found.value, operation.value) ? { value: state } : undefined;
    }
    case 'copy': {
      const found = at(state, operation.from);
      return found && put(state, operation.path, found.value);
    }
    case 'move': {
      const found = at(state, operation.from);
      const isInto =
        operation.from.length < operation.path.length && operation.from.every((key, n) => operation.path[n] === key);
      if (!found || isInto) return undefined;
      const without = operation.from.length === 0 ? { value: state } : take(state, operation.from);
      return without && put(without.value, operation.path, found.value);
    }
  }
}

type Parent = readonly unknown[] | Record<string, unknown>;

function asParent(value: unknown): Parent | undefined {
  return list(value) ?? record(value);
}

function isList(parent: Parent): parent is readonly unknown[] {
  return Array.isArray(parent);
}

function child(parent: Parent, key: string): Found {
  if (isList(parent)) return isIndex(key) && Number(key) < parent.length ? { value: parent[Number(key)] } : undefined;
  return Object.hasOwn(parent, key) ? { value: parent[key] } : undefined;
}

function at(state: unknown, path: Path): Found {
  return path.reduce<Found>(
    (found, key) => {
      const parent = found && asParent(found.value);
      return parent && child(parent, key);
    },
    { value: state },
  );
}

/** Copies the way down to the parent of `path`, and changes that; `whole` stands for the empty path. */
function edit(state: unknown, path: Path, change: (parent: Parent, key: string) => Found, whole: unknown): Found {
  const [key, ...rest] = path;
  if (key === undefined) return { value: whole };
  const parent = asParent(state);
  if (!parent) return undefined;
  if (rest.length === 0) return change(parent, key);
  const below = child(parent, key);
  const changed = below && edit(below.value, rest, change, whole);
  return changed && { value: set(parent, key, changed.value) };
}

function put(state: unknown, path: Path, value: unknown): Found {
  return edit(
    state,
    path,
    (parent, key) => {
      if (!isList(parent)) return { value: set(parent, key, value) };
      const index = key === '-' ? parent.length : isIndex(key) ? Number(key) : -1;
      return index < 0 || index > parent.length ? undefined : { value: parent.toSpliced(index, 0, value) };
    },
    value,
  );
}

function take(state: unknown, path: Path): Found {
  return edit(
    state,
    path,
    (parent, key) => {
      if (!child(parent, key)) return undefined;
      if (isList(parent)) return { value: parent.toSpliced(Number(key), 1) };
      return { value: Object.fromEntries(Object.entries(parent).filter(([name]) => name !== key)) };
    },
    undefined,
  );
}

/** By defineProperty's rules, as JSON.parse does it: the name `__proto__` is a name like any other. */
function set(parent: Parent, key: string, value: unknown): Parent {
  if (isList(parent)) return parent.with(Number(key), value);
  return Object.fromEntries([...Object.entries(parent), [key, value]]);
}

function isIndex(key: string): boolean {
  return /^(0|[1-9][0-9]{0,8})$/.test(key);
}

function isEqual(a: unknown, b: unknown): boolean {
  const [left, right] = [asParent(a), asParent(b)];
  if (!left || !right) return a === b;
  if (isList(left) !== isList(right)) return false;
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => {
      const [one, other] = [child(left, key), child(right, key)];
      return one !== undefined && other !== undefined && isEqual(one.value, other.value);
    })
  );
}

interface Weight {
  readonly characters: number;
  readonly depth: number;
}

const NOTHING: Weight = { characters: 0, depth: 0 };

function isTooMuch({ characters, depth }: Weight): boolean {
  return characters > MAX_CHARACTERS || depth > MAX_DEPTH;
}

/** What an operation adds at most, and how deep the state is there: afterwards would be too late. */
function weighAdded(state: unknown, operation: Operation): Weight {
  const length = operation.path.reduce((sum, key) => sum + 1 + key.length, 0);
  const weighed = (found: Found) => {
    const weight = found ? weigh(found.value) : NOTHING;
    return { characters: weight.characters + length, depth: weight.depth + operation.path.length };
  };
  switch (operation.op) {
    case 'add':
    case 'replace':
      return weighed({ value: operation.value });
    case 'copy':
    case 'move':
      return weighed(at(state, operation.from));
    case 'remove':
    case 'test':
      return NOTHING;
  }
}

/** Goes no deeper than a state may be: what JSON.parse reads can be deeper than a stack. */
function weigh(value: unknown, levels = MAX_DEPTH + 1): Weight {
  if (typeof value === 'string') return { characters: value.length + 2, depth: 0 };
  const parent = asParent(value);
  if (!parent) return { characters: 4, depth: 0 };
  if (levels === 0) return { characters: 2, depth: 1 };
  return Object.entries(parent).reduce<Weight>(
    (sum, [name, item]) => {
      const weight = weigh(item, levels - 1);
      const named = isList(parent) ? 1 : name.length + 4;
      return { characters: sum.characters + named + weight.characters, depth: Math.max(sum.depth, 1 + weight.depth) };
    },
    { characters: 2, depth: 1 },
  );
}
