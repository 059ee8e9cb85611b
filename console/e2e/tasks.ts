// How long the tasks of a page keep its main thread, by the time that the processor gave to them: what else runs on the
// machine does not count.

import type { Browser, Page } from '@playwright/test';

/** A task that is told. */
const TOLD_MS = 50;

export interface Task {
  /** Time of the processor. */
  cpu: number;
  /** From its beginning to its end. */
  wall: number;
}

interface TraceEvent {
  ph: string;
  name: string;
  pid: number;
  tid: number;
  dur?: number;
  tdur?: number;
  args?: { name?: string };
}

/** Begins to look; what it returns ends it and gives the long tasks, the longest first. */
export async function tasks(browser: Browser, page: Page): Promise<() => Promise<Task[]>> {
  await browser.startTracing(page, { categories: ['toplevel'] });
  return async () => {
    const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
    const mains = traceEvents
      .filter(({ ph, name, args }) => ph === 'M' && name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid} ${tid}`);
    if (mains.length === 0) throw new Error('the trace names no main thread of a page');
    const whole = traceEvents.filter(({ ph, pid, tid }) => ph === 'X' && mains.includes(`${pid} ${tid}`));
    if (!whole.some(({ tdur }) => tdur !== undefined)) throw new Error('the trace tells no time of the processor');
    return whole
      .map(({ dur = 0, tdur = dur }) => ({ cpu: tdur / 1000, wall: dur / 1000 }))
      .filter(({ cpu }) => cpu > TOLD_MS)
      .sort((one, other) => other.cpu - one.cpu);
  };
}
