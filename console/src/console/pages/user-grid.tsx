/**
 * A hundred thousand rows of which thirty are in the page.
 *
 * The selection is a user, not a row number: when others move, it stays with him. One stop of the Tab key; arrows, Page
 * Up and Down, Home and End move, Enter opens.
 */

import { useEffect, useRef, useState } from 'preact/hooks';
import { rowAt } from '../state/pages';
import { hashOf } from '../state/route';
import type { UserList } from '../state/users';
import { inView, placeOf, scrolledTo } from '../state/window';
import type { UserRow } from '../wire';
import { bandWord, count, percent, span } from '../words';

const ROW_PX = 36;
const HEAD_PX = 34;

/** Who is chosen, and the row where he stood. Before somebody went to one, it is whoever is first. */
interface Choice {
  at: number;
  user: string | undefined;
  by: 'nobody' | 'hand';
}

const NOBODY: Choice = { at: 0, user: undefined, by: 'nobody' };

export function UserGrid({ list, rows }: { list: UserList; rows: number }) {
  const grid = useRef<HTMLDivElement>(null);
  const [view, look] = useState({ top: 0, height: 600 });
  const [choice, choose] = useState<Choice>(NOBODY);
  const { first, last } = inView(view.top, view.height, ROW_PX, rows);
  useEffect(() => list.look(first, last), [list, first, last]);
  useEffect(() => measured(grid.current, look), []);
  useEffect(() => {
    // Another search or order: at the top again.
    grid.current?.scrollTo(0, 0);
    choose(NOBODY);
  }, [list]);
  const pages = list.pages.value;
  const stood = Math.min(choice.at, rows - 1);
  const selected = placeOf(pages, choice.user, stood, { first, last });
  const arrived = choice.by === 'hand' && choice.user === undefined ? rowAt(pages, stood)?.user : undefined;
  useEffect(() => {
    // A row that was gone to before it was there: the user who comes into it is the chosen one.
    if (arrived !== undefined) choose({ at: stood, user: arrived, by: 'hand' });
  }, [arrived, stood]);
  const isIn = (row: number) => row >= first && row <= last && rowAt(pages, row) !== undefined;
  const go = (to: number) => {
    const row = Math.max(0, Math.min(to, rows - 1));
    choose({ at: row, user: rowAt(pages, row)?.user, by: 'hand' });
    const element = grid.current;
    if (element !== null)
      element.scrollTop = scrolledTo(row, element.scrollTop, element.clientHeight - HEAD_PX, ROW_PX);
  };
  const pressed = (event: KeyboardEvent) => {
    const step = stepOf(event.key, Math.max(1, Math.floor(view.height / ROW_PX) - 1), rows);
    const row = selected === undefined ? undefined : rowAt(pages, selected);
    if (step !== undefined) go((selected ?? stood) + step);
    else if (event.key === 'Enter' && row !== undefined) location.hash = hashOf({ page: 'user', user: row.user });
    else return;
    event.preventDefault();
  };
  return (
    <div
      ref={grid}
      class="grid"
      role="grid"
      tabIndex={0}
      aria-label="Users"
      aria-rowcount={rows + 1}
      aria-activedescendant={selected !== undefined && isIn(selected) ? `row-${selected}` : undefined}
      onScroll={(event) =>
        look({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight - HEAD_PX })
      }
      onKeyDown={pressed}
    >
      <div role="rowgroup" class="grid-head">
        <div role="row" aria-rowindex={1} class="grid-row">
          {COLUMNS.map((name) => (
            <div key={name} role="columnheader">
              {name}
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" class="grid-body" style={{ height: `${rows * ROW_PX}px` }}>
        {Array.from({ length: last - first + 1 }, (_, n) => (
          <Row key={first + n} at={first + n} row={rowAt(pages, first + n)} isSelected={first + n === selected} />
        ))}
      </div>
    </div>
  );
}

const COLUMNS = ['User', 'Pressure', 'Sessions', 'Health', 'Connections', 'Runs', 'Waiting'] as const;

function Row({ at, row, isSelected }: { at: number; row: UserRow | undefined; isSelected: boolean }) {
  const place = { transform: `translateY(${at * ROW_PX}px)` };
  if (row === undefined) {
    return (
      <div role="row" aria-rowindex={at + 2} class="grid-row" style={place}>
        <div role="gridcell" class="hint">
          row {count(at + 1)}, being fetched
        </div>
      </div>
    );
  }
  return (
    <div
      role="row"
      id={`row-${at}`}
      aria-rowindex={at + 2}
      aria-selected={isSelected}
      class="grid-row"
      style={place}
      data-user={row.user}
    >
      <div role="gridcell" class="mono cut">
        <a href={hashOf({ page: 'user', user: row.user })} tabIndex={-1}>
          {row.user}
        </a>
      </div>
      <div role="gridcell" class="pressure" data-band={row.level}>
        <span class="track">
          <span style={{ width: `${Math.min(100, percent(row.used, row.limit))}%` }} />
        </span>
        <span>{bandWord(row.level)}</span>
      </div>
      <div role="gridcell">
        {count(row.used)} of {count(row.limit)}
        {row.lent !== undefined && <span class="hint"> lent, {span(row.lent.ends_in)} left</span>}
        {row.plan !== undefined && <span class="hint"> {row.plan}</span>}
      </div>
      <div role="gridcell">{healthOf(row)}</div>
      <div role="gridcell">{count(row.connections)}</div>
      <div role="gridcell">{count(row.runs)}</div>
      <div role="gridcell">{count(row.waiting)}</div>
    </div>
  );
}

function healthOf(row: UserRow): string {
  const said = [
    [row.alive, 'alive'],
    [row.suspect, 'suspect'],
    [row.zombie, 'zombie'],
    [row.detached, 'lingering'],
  ] as const;
  return said.flatMap(([n, word]) => (n === 0 ? [] : [`${count(n)} ${word}`])).join(', ');
}

function stepOf(key: string, page: number, rows: number): number | undefined {
  switch (key) {
    case 'ArrowDown':
      return 1;
    case 'ArrowUp':
      return -1;
    case 'PageDown':
      return page;
    case 'PageUp':
      return -page;
    case 'Home':
      return -rows;
    case 'End':
      return rows;
    default:
      return undefined;
  }
}

function measured(
  element: HTMLElement | null,
  look: (view: { top: number; height: number }) => void,
): (() => void) | undefined {
  if (element === null) return undefined;
  const sized = new ResizeObserver(() => look({ top: element.scrollTop, height: element.clientHeight - HEAD_PX }));
  sized.observe(element);
  return () => sized.disconnect();
}
