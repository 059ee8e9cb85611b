/** A chart that can be looked at and read: uPlot, a legend with values, a sentence, and a table. */

import { computed, signal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useDesk } from '../state/desk';
import { clock } from '../words';
import { WINDOW_MS } from '../live/ring';
import { resolved, scheme, styleOf, STYLES } from './palette';
import { inTurn } from './turns';
import { columns, rows, stacked, summary, type Columns, type Plan } from './plan';

const HEIGHT = 150;

/** All charts show what was at the same time. */
const SYNC = 'overview';

/** The place in the columns that the pointer is over, in whichever chart. */
const pointed = signal<number | undefined>(undefined);

export function Chart({ plan }: { plan: Plan }) {
  const desk = useDesk();
  const told = useMemo(() => computed(() => columns(plan, desk.shown.value, desk.every.value)), [plan, desk]);
  const data = told.value;
  return (
    <figure class="chart" aria-labelledby={`${plan.id}-title`} data-chart={plan.id}>
      <figcaption>
        <h2 id={`${plan.id}-title`}>
          {plan.title} <span class="hint">{plan.unit}</span>
        </h2>
      </figcaption>
      <Legend plan={plan} data={data} />
      <Plot plan={plan} data={data} />
      <p class="unseen">{summary(plan, data)}</p>
      <AsTable plan={plan} data={data} />
    </figure>
  );
}

function Legend({ plan, data }: { plan: Plan; data: Columns }) {
  const at = pointed.value ?? data.times.length - 1;
  const time = data.times[at];
  return (
    <ul class="plain legend" aria-hidden="true">
      {plan.series.map(({ label }, n) => {
        const style = styleOf(n);
        const value = data.values[n]?.[at] ?? null;
        return (
          <li key={label}>
            <svg class={`swatch series-${(n % STYLES.length) + 1}`} viewBox="0 0 24 8" focusable="false">
              <line x1="0" y1="4" x2="24" y2="4" stroke-dasharray={style.dash.join(' ')} />
            </svg>
            {label} <strong>{value === null ? '–' : plan.said(value)}</strong>
          </li>
        );
      })}
      {pointed.value !== undefined && time !== undefined && <li class="hint">at {clock(time * 1_000)}</li>}
    </ul>
  );
}

function Plot({ plan, data }: { plan: Plan; data: Columns }) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const painted = scheme.value;
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const sized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    const takeBack = inTurn(() => {
      plot.current = new uPlot(options(plan, element), aligned(plan, latest.current), element);
      sized.observe(element);
    });
    return () => {
      takeBack();
      sized.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
    // The data of later samples comes by setData: a chart that is made anew each time would lose its cursor.
  }, [plan, painted]);
  useEffect(() => plot.current?.setData(aligned(plan, data)), [plan, data]);
  return <div ref={place} class="plot" aria-hidden="true" />;
}

function aligned(plan: Plan, data: Columns): uPlot.AlignedData {
  const values = plan.kind === 'stacked' ? stacked(data.values) : data.values.map((column) => [...column]);
  return [[...data.times], ...values];
}

function options(plan: Plan, element: HTMLElement): uPlot.Options {
  const colours = plan.series.map((_, at) => resolved(element, styleOf(at).colour));
  const text = resolved(element, '--text-soft');
  const line = resolved(element, '--line');
  const axis = {
    stroke: text,
    font: '12px system-ui, sans-serif',
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1 },
  };
  const isStacked = plan.kind === 'stacked';
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: SYNC } },
    hooks: {
      setCursor: [
        (chart) => {
          pointed.value = chart.cursor.idx ?? undefined;
        },
      ],
    },
    scales: {
      // All fifteen minutes, also where there are only two: a window that grows would make every slope a lie.
      x: { time: true, range: (_, __, last) => [last - WINDOW_MS / 1_000, last] },
      y: { range: (_, __, high) => [0, Math.max(high * 1.1, plan.least)] },
    },
    axes: [
      { ...axis, values: (_, splits) => splits.map((at) => clock(at * 1_000).slice(0, 5)), space: 70 },
      { ...axis, values: (_, splits) => splits.map((value) => plan.said(value)), size: 76, space: 36 },
    ],
    series: [
      {},
      ...plan.series.map(({ label }, at) => ({
        label,
        stroke: colours[at] ?? text,
        width: 1.75,
        dash: [...styleOf(at).dash],
        points: { show: false },
        spanGaps: false,
        ...(isStacked ? { fill: faint(colours[at] ?? text) } : {}),
      })),
    ],
    ...(isStacked
      ? { bands: plan.series.slice(1).map((_, at) => ({ series: [at + 2, at + 1] as [number, number] })) }
      : {}),
  };
}

/** `rgb(1, 2, 3)` with a fifth of its strength. */
function faint(colour: string): string {
  return colour.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.2)');
}

function AsTable({ plan, data }: { plan: Plan; data: Columns }) {
  const open = useMemo(() => signal(false), []);
  return (
    <details class="as-table" onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>As a table</summary>
      {open.value && (
        <div class="scrolls" tabIndex={0} role="region" aria-label={`${plan.title}, as a table`}>
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Time</th>
                {plan.series.map(({ label }) => (
                  <th key={label} scope="col">
                    {label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows(plan, data).map((row) => (
                <tr key={row.time}>
                  <th scope="row">{row.time}</th>
                  {row.values.map((value, at) => (
                    <td key={at}>{value}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
