/**
 * How the node does, at a glance: what fires, what it holds, who is near the limit, how that went in fifteen minutes.
 */

import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Button, Loading } from '../../ui';
import { Chart } from '../chart/chart';
import { watchScheme } from '../chart/palette';
import { PLANS } from '../chart/plan';
import { useDesk } from '../state/desk';
import type { Sample } from '../wire';
import { bytes, count, counted, latency, percent, span } from '../words';
import { Histogram } from './histogram';

export function Overview() {
  const desk = useDesk();
  useEffect(watchScheme, []);
  const last = desk.shown.value.at(-1);
  const isFrozen = desk.frozen.value !== undefined;
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Overview</h1>
        <Button label={isFrozen ? 'Go on' : 'Pause'} icon={isFrozen ? 'right' : 'wait'} onPress={() => desk.pause()} />
        {isFrozen && <p class="hint">Stopped. What happens meanwhile is kept and shown when you go on.</p>}
      </div>
      {last === undefined ? (
        <Loading label="Waiting for the first numbers of the node" />
      ) : (
        <>
          <Tiles last={last} samples={desk.shown.value} started={desk.node.value?.started} />
          <div class="charts">
            <Histogram sample={last} />
            {PLANS.map((plan) => (
              <Chart key={plan.id} plan={plan} />
            ))}
          </div>
        </>
      )}
    </>
  );
}

function Tiles({ last, samples, started }: { last: Sample; samples: readonly Sample[]; started: number | undefined }) {
  const lately = (of: (sample: Sample) => number) => samples.reduce((sum, sample) => sum + of(sample), 0);
  const first = samples[0]?.at ?? last.at;
  const shown = span(Math.max(0, last.at - first));
  const prevented = lately((sample) => sample.lockouts_prevented);
  const refusals = lately((sample) => sample.refusals);
  const zombies = lately((sample) => sample.zombies);
  const near = last.bands.high + last.bands.full;
  return (
    <dl class="tiles">
      <Tile name="Lockouts prevented" value={count(prevented)} look="large">
        in {shown}; {count(last.lockouts_prevented)} just now
        <SinceStart since={started === undefined ? undefined : last.at - started} />
      </Tile>
      <Tile name="Users near the limit" value={count(near)} look="large">
        {percent(near, last.users)} % of {counted(last.users, 'user')}; {count(last.bands.full)} full
      </Tile>
      <Tile name="Sessions" value={count(last.sessions)}>
        {count(last.lingering)} lingering
      </Tile>
      <Tile name="Connections" value={count(last.connections)} />
      <Tile name="Runs" value={count(last.runs)}>
        in flight
      </Tile>
      <Tile name="Waiters" value={count(last.waiters)}>
        opens in the queue
      </Tile>
      <Tile name="Admission" value={latency(last.admission_p50_ms)}>
        half within; 99 of 100 within {latency(last.admission_p99_ms)}
      </Tile>
      <Tile name="Refusals" value={count(refusals)}>
        in {shown}
      </Tile>
      <Tile name="Zombies found" value={count(zombies)}>
        in {shown}; {count(lately((sample) => sample.verdicts_disproved))} disproved
      </Tile>
      <Tile name="Lag" value={latency(last.runtime_lag_ms)}>
        runtime; reaper {latency(last.reaper_lag_ms)}
      </Tile>
      <Tile name="Memory" value={bytes(last.resident_bytes)}>
        resident
      </Tile>
      <Tile name="Processor" value={last.cpu.toFixed(2)}>
        cores in use
      </Tile>
    </dl>
  );
}

const SINCE_START_MS = 10_000;

/** How many since the node started: the samples know fifteen minutes, the counter knows all of it. */
function SinceStart({ since }: { since: number | undefined }) {
  const desk = useDesk();
  const [total, tell] = useState<number | undefined>(undefined);
  useEffect(() => {
    const ask = async () => !document.hidden && tell(await desk.ask.counter('lychgate_lockouts_prevented_total'));
    const timer = setInterval(() => void ask(), SINCE_START_MS);
    void ask();
    return () => clearInterval(timer);
  }, [desk]);
  if (total === undefined || since === undefined) return null;
  return (
    <>
      ; {count(total)} since the start {span(since)} ago
    </>
  );
}

function Tile({
  name,
  value,
  look,
  children,
}: {
  name: string;
  value: string;
  look?: 'large';
  children?: ComponentChildren;
}) {
  return (
    <div class={look === undefined ? 'tile' : `tile ${look}`}>
      <dt>{name}</dt>
      <dd class="figure">{value}</dd>
      {children !== undefined && <dd class="hint">{children}</dd>}
    </div>
  );
}
