/** Numbers, times and states in words, the same everywhere in the console. */

const GROUPED = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** A count, grouped by thousands: `100,000`. */
export function count(n: number): string {
  return GROUPED.format(n);
}

/** `1 session`, `2 sessions`. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** A span in two units at most, for people: `250 ms`, `1.2 s`, `3 min 5 s`, `2 h 4 min`, `3 d 2 h`. */
export function span(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  if (whole < 1_000) return `${whole} ms`;
  if (whole < 10_000) return `${(whole / 1_000).toFixed(1)} s`;
  const seconds = Math.round(whole / 1_000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return pair(seconds, 60, 'min', 's');
  if (seconds < 86_400) return pair(Math.round(seconds / 60), 60, 'h', 'min');
  return pair(Math.round(seconds / 3_600), 24, 'd', 'h');
}

function pair(n: number, base: number, large: string, small: string): string {
  const rest = n % base;
  const head = `${Math.floor(n / base)} ${large}`;
  return rest === 0 ? head : `${head} ${rest} ${small}`;
}

/** A duration of an admission or of an agent; none was measured: a dash. */
export function latency(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–';
  return ms < 10 ? `${ms.toFixed(1)} ms` : span(ms);
}

/** Bytes in binary units: `512 B`, `1.5 KiB`, `12 MiB`. */
export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = n;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 10 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit] ?? ''}`;
}

/** A share of a whole as a whole per cent; of nothing it is 0. */
export function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((100 * part) / whole);
}

/** The time of day of the reader's clock, `14:03:07`. */
export function clock(at: number | string): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return '–';
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':');
}

/** Day and time of the reader's clock, `2026-11-21 14:03:07`. */
export function dated(at: number | string): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return '–';
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()]
    .map((n) => String(n).padStart(2, '0'))
    .join('-');
  return `${day} ${clock(at)}`;
}

/** A word of the wire for people: `made_room` is `made room`. */
export function plain(word: string): string {
  return word.replaceAll('_', ' ');
}

/** The first letter large. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const BANDS: Readonly<Record<string, string>> = {
  ok: 'ok',
  watch: 'watch',
  warn: 'warning',
  high: 'high',
  full: 'full',
};

/** The band of a user's pressure in a word. */
export function bandWord(band: string): string {
  return BANDS[band] ?? plain(band);
}

const LEVELS: Readonly<Record<string, readonly string[]>> = {
  conservative: [
    'Ends only what is known to be gone:',
    'sessions that were closed, whose heartbeat failed or whose token expired.',
  ],
  moderate: [
    'Also ends sessions without a connection, however long they may linger,',
    'and those whose every connection is suspect.',
  ],
  aggressive: [
    'Asks every connection for a sign of life first, and also ends what does not answer.',
    'That takes about a second.',
  ],
  force: [
    'Ends the least valuable live session, exactly one.',
    'One with a run in flight only where no other is left; its run goes on.',
  ],
};

/** What a level of reclaim takes, in words for whoever is about to order it. */
export function levelSentence(level: string): string {
  return LEVELS[level]?.join(' ') ?? plain(level);
}
