/**
 * The slots of a user as a row of cells, each a button that shows its evidence below.
 *
 * One stop of the Tab key for all of them: a user with a limit of 1,000 must not take 1,000 presses to get past.
 */

import { Fragment } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { cellsOf, KINDS, limitHere, moved, tally, type Cell, type CellKind } from '../state/cells';
import type { User } from '../wire';
import { count, counted } from '../words';

/** Above so many the cells are small and stand in groups. */
const MANY = 60;
const GROUP = 100;

export interface SlotsProps {
  user: User;
  reserve: number;
  /** The isolation key of the session whose evidence is shown. */
  open: string | undefined;
  onOpen: (key: string | undefined) => void;
}

export function Slots({ user, reserve, open, onOpen }: SlotsProps) {
  const row = useRef<HTMLDivElement>(null);
  const [at, move] = useState(0);
  const cells = cellsOf(user, reserve);
  const here = Math.min(at, Math.max(cells.length - 1, 0));
  const go = (to: number) => {
    move(to);
    row.current?.querySelectorAll<HTMLElement>('button')[to]?.focus();
  };
  const pressed = (event: KeyboardEvent) => {
    const to = moved(here, event.key, columnsOf(row.current), cells.length);
    if (to === here && !['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'Home', 'End'].includes(event.key)) return;
    event.preventDefault();
    go(to);
  };
  return (
    <section aria-labelledby="slots">
      <h2 id="slots">
        Slots{' '}
        <span class="hint">
          {counted(user.used, 'session')} of {count(user.limit)}, reserve of {count(reserve)}
        </span>
      </h2>
      <Key cells={cells} />
      <div
        ref={row}
        class="cells"
        data-many={cells.length > MANY}
        role="toolbar"
        aria-label={`Slots of ${user.user}`}
        onKeyDown={pressed}
      >
        {cells.map((cell, n) => (
          <Fragment key={cell.session?.key ?? `place-${cell.place}`}>
            {cells.length > MANY && n % GROUP === 0 && (
              <Places from={cell.place} to={Math.min(n + GROUP, cells.length)} />
            )}
            <CellButton
              cell={cell}
              isFirstBeyond={cell.place === limitHere(user) + 1}
              isStop={n === here}
              isOpen={cell.session !== undefined && cell.session.key === open}
              onPress={() => {
                move(n);
                onOpen(cell.session === undefined || cell.session.key === open ? undefined : cell.session.key);
              }}
            />
          </Fragment>
        ))}
      </div>
    </section>
  );
}

/** Which slots stand below, where there are too many to count. */
function Places({ from, to }: { from: number; to: number }) {
  return (
    <span class="places hint" aria-hidden="true">
      {count(from)} to {count(to)}
    </span>
  );
}

interface CellButtonProps {
  cell: Cell;
  isFirstBeyond: boolean;
  isStop: boolean;
  isOpen: boolean;
  onPress: () => void;
}

function CellButton({ cell, isFirstBeyond, isStop, isOpen, onPress }: CellButtonProps) {
  const { letter } = KINDS[cell.kind];
  return (
    <button
      type="button"
      class={isFirstBeyond ? 'cell first-beyond' : 'cell'}
      data-kind={cell.kind}
      data-beyond={cell.beyond}
      data-run={cell.session?.run !== undefined}
      tabIndex={isStop ? 0 : -1}
      aria-label={labelOf(cell)}
      aria-pressed={cell.session === undefined ? undefined : isOpen}
      title={labelOf(cell)}
      onClick={onPress}
    >
      <span aria-hidden="true">{letter}</span>
    </button>
  );
}

function labelOf({ place, kind, beyond, session }: Cell): string {
  const where = `Slot ${place}${beyond ? ', beyond the limit' : ''}`;
  const { word, meaning } = KINDS[kind];
  if (session === undefined) return `${where}: ${word}; ${meaning}`;
  const run = session.run === undefined ? '' : ', an answer is being written';
  return `${where}: ${session.thread}, ${word}, health ${session.health}${run}`;
}

/** What the letters mean, and how many there are of each. */
function Key({ cells }: { cells: readonly Cell[] }) {
  const counts = tally(cells);
  const kinds: CellKind[] = ['alive', 'suspect', 'zombie', 'lingering', 'free', 'reserve'];
  return (
    <ul class="plain row key">
      {kinds.map((kind) => (
        <li key={kind} title={KINDS[kind].meaning}>
          <span class="cell sample" data-kind={kind} aria-hidden="true">
            {KINDS[kind].letter}
          </span>
          {count(counts[kind])} {KINDS[kind].word}
        </li>
      ))}
      <li class="hint">A dot: an answer is being written</li>
    </ul>
  );
}

/** How many cells stand in a line now, as the page was laid out. */
function columnsOf(row: HTMLElement | null): number {
  const cells = [...(row?.querySelectorAll<HTMLElement>('button') ?? [])];
  const top = cells[0]?.offsetTop;
  const wrapped = cells.findIndex((cell) => cell.offsetTop !== top);
  return wrapped < 0 ? Math.max(cells.length, 1) : wrapped;
}
