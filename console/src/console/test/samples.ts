/** Samples and rows as the wire has them, for the tests of what is made of them. */

import type { Sample, Told, User, UserPage, UserRow } from '../wire';

export function sample(at: number, over: Partial<Sample> = {}): Sample {
  return {
    at,
    span_ms: 2_000,
    sessions: 0,
    lingering: 0,
    connections: 0,
    runs: 0,
    waiters: 0,
    users: 0,
    bands: { ok: 0, watch: 0, warn: 0, high: 0, full: 0 },
    histogram: Array.from({ length: 11 }, () => 0),
    admissions: {},
    reclaims: {},
    lockouts_prevented: 0,
    refusals: 0,
    zombies: 0,
    verdicts_disproved: 0,
    runtime_lag_ms: 0,
    reaper_lag_ms: 0,
    resident_bytes: 0,
    cpu: 0,
    agents: {},
    ...over,
  };
}

export function told(sequence: number, over: Partial<Told> = {}): Told {
  return { sequence, at: '2026-11-21T12:00:00.000Z', verdict: 'evicted', again: 0, text: 'It ended.', ...over };
}

export function row(user: string): UserRow {
  return {
    user,
    used: 1,
    limit: 20,
    level: 'ok',
    waiting: 0,
    connections: 1,
    runs: 0,
    alive: 1,
    suspect: 0,
    zombie: 0,
    detached: 0,
  };
}

/** Rows `from` to `from + n - 1` of a node with `total` users, and the cursor of what follows. */
export function page(from: number, n: number, total: number, next?: string): UserPage {
  const users = Array.from({ length: n }, (_, at) => row(`user-${from + at}`));
  return next === undefined ? { users, total } : { users, total, next };
}

export function user(over: Partial<User> = {}): User {
  return { user: 'demo', used: 0, limit: 20, level: 'ok', waiting: 0, sessions: [], connections: [], ...over };
}
