import { describe, expect, it } from 'vitest';
import { sumOf } from '../ask';
import { found, isChanged, reserveOf } from '../state/configuration';
import { newer, ranked } from '../state/alerts';
import { cellsOf, kindOf, moved, tally } from '../state/cells';
import { evidenceSentences, healthSentence, livenessWord } from '../state/evidence';
import { hashOf, parseRoute } from '../state/route';
import type { AlertState, Setting, NodeView, Session } from '../wire';
import { isStranger, lendRefusal, MOST_LENT, proposed, reclaimedSentence } from '../user/deeds';
import { bytes, count, counted, latency, percent, span } from '../words';
import { user } from './samples';

describe('numbers in words', () => {
  it('say spans in two units at most', () => {
    const said = [0, 999, 1_234, 61_000, 60_000, 3_600_000, 3_660_000, 90_000_000].map(span);
    expect(said).toEqual(['0 ms', '999 ms', '1.2 s', '1 min 1 s', '1 min', '1 h', '1 h 1 min', '1 d 1 h']);
  });

  it('say bytes, counts, shares and what was not measured', () => {
    expect([bytes(512), bytes(1_536), bytes(12 * 2 ** 20)]).toEqual(['512 B', '1.5 KiB', '12 MiB']);
    expect([count(100_000), counted(1, 'session'), counted(2, 'session')]).toEqual([
      '100,000',
      '1 session',
      '2 sessions',
    ]);
    expect([percent(18, 20), percent(1, 0)]).toEqual([90, 0]);
    expect([latency(null), latency(1.25), latency(250)]).toEqual(['–', '1.3 ms', '250 ms']);
  });
});

describe('a counter of the metrics', () => {
  it('is the sum over its labels, and not of one whose name only begins like it', () => {
    const told = '# TYPE a counter\na_total{path="x"} 2\na_total{path="y"} 3\na_total_more 9\nb_total 4\n';
    expect([sumOf('a_total', told), sumOf('b_total', told), sumOf('c_total', told)]).toEqual([5, 4, undefined]);
  });
});

describe('the places of a user', () => {
  it('are those that other nodes leave of his limit, and then the reserve', () => {
    const there = { node: 'west', incarnation: '0', thread: 't2' };
    expect(tally(cellsOf(user({ limit: 3, elsewhere: [there] }), 1))).toMatchObject({ free: 2, reserve: 1 });
  });
});

describe('what became of an order to reclaim', () => {
  const done = { evicted: [], used: 0, limit: 20 };

  it('names the nodes that were told to do the same, and says where nobody could tell', () => {
    expect(reclaimedSentence(user(), { ...done, asked: ['west'] })).toContain('told to do the same: west.');
    expect(reclaimedSentence(user(), { ...done, elsewhere_unknown: true })).toContain('none was asked');
    expect(reclaimedSentence(user(), done)).toMatch(/demo holds 0 of 20 now\.$/);
  });
});

describe('an address', () => {
  it('leads back to the same place, whatever a user is called', () => {
    for (const name of ['105945141827451681156', 'web:a/b?c#d', 'für & wider %', '..', '用户']) {
      expect(parseRoute(hashOf({ page: 'user', user: name }))).toEqual({ page: 'user', user: name });
    }
    const users = { page: 'users', search: 'a&b=c d', sort: 'user' } as const;
    expect(parseRoute(hashOf(users))).toEqual(users);
  });

  it('that names nothing is the overview', () => {
    for (const hash of ['', '#', '#/', '#/nothing', 'nothing']) expect(parseRoute(hash)).toEqual({ page: 'overview' });
  });

  it('with a broken escape is taken as it stands', () => {
    expect(parseRoute('#/users/100%')).toEqual({ page: 'user', user: '100%' });
  });
});

const session = (thread: string, liveness: string, over: Partial<Session> = {}): Session => ({
  key: `demo:${thread}`,
  thread,
  liveness,
  health: 100,
  reasons: [],
  unused_for: 0,
  connections: [],
  ...over,
});

describe('the cells of a user', () => {
  const sessions = [
    session('t1', 'alive'),
    session('t2', 'suspect'),
    session('t3', 'zombie_half_open'),
    session('t4', 'detached'),
  ];

  it('are his sessions, what is free, and the reserve', () => {
    const cells = cellsOf(user({ used: 4, sessions }), 5);
    expect(cells.length).toBe(25);
    expect(tally(cells)).toEqual({ alive: 1, suspect: 1, zombie: 1, lingering: 1, free: 16, reserve: 5 });
    expect(cells.filter(({ beyond }) => beyond).map(({ place }) => place)).toEqual([21, 22, 23, 24, 25]);
  });

  it('show every session of one who holds more than limit and reserve', () => {
    const many = Array.from({ length: 30 }, (_, at) => session(`t${at}`, 'alive'));
    const cells = cellsOf(user({ limit: 20, sessions: many }), 5);
    expect(cells.filter((cell) => cell.session !== undefined).length).toBe(30);
    expect(tally(cells).reserve).toBe(0);
  });

  it('show a word that is not known as suspect, and not as alive', () => {
    expect(kindOf('zombie_of_a_new_kind')).toBe('zombie');
    expect(kindOf('something')).toBe('suspect');
  });

  it('are walked with the arrow keys as they stand', () => {
    expect(moved(0, 'ArrowDown', 10, 25)).toBe(10);
    expect(moved(20, 'ArrowDown', 10, 25)).toBe(20);
    expect(moved(24, 'ArrowRight', 10, 25)).toBe(24);
    expect(moved(3, 'ArrowUp', 10, 25)).toBe(3);
    expect([moved(7, 'Home', 10, 25), moved(7, 'End', 10, 25)]).toEqual([0, 24]);
  });
});

describe('evidence', () => {
  it('is told in sentences, and what does not apply is left out', () => {
    expect(evidenceSentences({ missed_pings: 0, missed_probes: 0, silent_for: 1_200 })).toEqual([
      'Silent for 1.2 s.',
      'No heartbeat is unanswered.',
    ]);
    const dead = evidenceSentences({
      missed_pings: 3,
      missed_probes: 2,
      silent_for: 61_000,
      unanswered_for: 45_000,
      queued_bytes: 2_048,
    });
    expect(dead).toContain('3 heartbeats in a row without an answer.');
    expect(dead).toContain('2 pings of the last probe without an answer.');
    expect(dead).toContain('2.0 KiB wait to be sent.');
  });

  it('names the kind of a zombie and what health was lost for', () => {
    expect(livenessWord('zombie_half_open')).toBe('zombie (half open)');
    const sick = session('t1', 'suspect', { health: 80, reasons: [{ reason: 'missed_pings', points: 20 }] });
    expect(healthSentence(sick)).toBe('80 of 100; lost 20 for heartbeats without an answer.');
  });
});

describe('the configuration', () => {
  const value = (section: string, key: string, is: string, by?: string): Setting => ({
    section,
    key,
    value: is,
    ...(by === undefined ? {} : { default: by }),
    origin: 'file',
    needs_restart: false,
  });
  const configuration = [
    value('limits', 'reserve_sessions', '5', '5'),
    value('plans.big', 'reserve_sessions', '9'),
    value('log', 'format', '"json"', '"text"'),
  ];
  const node: Pick<NodeView, 'configuration'> = { configuration };

  it('says the reserve of a plan, else that of everybody', () => {
    expect([reserveOf(node, undefined), reserveOf(node, 'big'), reserveOf(node, 'small')]).toEqual([5, 9, 5]);
  });

  it('is found by words, and by what differs from the default', () => {
    expect(found(configuration, { text: 'LOG form', which: 'all' }).map(({ key }) => key)).toEqual(['format']);
    expect(found(configuration, { text: '', which: 'changed' }).map(({ section }) => section)).toEqual([
      'plans.big',
      'log',
    ]);
    expect(isChanged(value('a', 'b', '"x"', '"x"'))).toBe(false);
  });
});

describe('alerts', () => {
  it('stand firing first, then severest, then longest', () => {
    const alert = (name: string, state: AlertState['state'], severity: string, second: number): AlertState => ({
      name,
      state,
      severity,
      since: new Date(second * 1_000).toISOString(),
      summary: '',
      meaning: '',
      page: '',
      runbook: [],
    });
    const order = ranked([
      alert('calm', 'ok', 'critical', 1),
      alert('soon', 'pending', 'critical', 1),
      alert('late', 'firing', 'warning', 9),
      alert('early', 'firing', 'warning', 2),
      alert('worst', 'firing', 'critical', 20),
    ]);
    expect(order.map(({ name }) => name)).toEqual(['worst', 'early', 'late', 'soon', 'calm']);
  });
});

describe('the alerts that are shown', () => {
  const live = { alerts: [], at: 1_000 };
  const asked = { alerts: [], at: 2_000 };

  it('are those of whichever answer is newer', () => {
    expect(newer(live, asked)).toBe(asked);
    expect(newer({ ...live, at: 3_000 }, asked)).toEqual({ alerts: [], at: 3_000 });
    expect(newer(undefined, asked)).toBe(asked);
    expect(newer(live, undefined)).toBe(live);
    expect(newer(undefined, undefined)).toBeUndefined();
  });
});

describe('a limit that is lent', () => {
  it('is more than the one of now', () => {
    expect(lendRefusal(20, 21)).toBeUndefined();
    expect(lendRefusal(20, MOST_LENT)).toBeUndefined();
    for (const sessions of [3, 20, 20.5, 0, -1, MOST_LENT + 1, Number.NaN])
      expect(lendRefusal(20, sessions)).toBe('The limit must be a whole number above the 20 of now, up to 1,000.');
  });

  it('cannot be raised beyond the most, and says so', () => {
    expect(lendRefusal(MOST_LENT, proposed(MOST_LENT))).toMatch(/^He may hold 1,000 sessions/);
    expect(lendRefusal(2_000, 1_000)).toMatch(/^He may hold 2,000 sessions/);
  });

  it('is not lent where nobody knows what he has by his plan', () => {
    const there = { node: 'west', incarnation: '1', thread: 't' };
    const nothing = { sessions: [], connections: [] };
    expect(isStranger(user({ ...nothing, elsewhere: [there] }))).toBe(true);
    expect(isStranger(user({ ...nothing, elsewhere: [] }))).toBe(false);
    expect(isStranger(user(nothing))).toBe(false);
  });
});
