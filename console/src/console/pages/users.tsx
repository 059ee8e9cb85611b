/** Everybody on the node, fullest first: found by typing, scrolled through by the hundred thousand. */

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { failureSentence } from '../ask';
import { Empty, Failure, Loading, Status } from '../../ui';
import { useDesk } from '../state/desk';
import { foundSentence, length, MAX_ROWS } from '../state/pages';
import { hashOf, type UserOrder } from '../state/route';
import { UserList } from '../state/users';
import { count, counted } from '../words';
import { UserGrid } from './user-grid';

/** How long nobody has typed before the node is asked. */
const TYPED_MS = 250;

const REFRESH_MS = 2_000;

export function Users({ search, sort }: { search: string; sort: UserOrder }) {
  const desk = useDesk();
  const list = useMemo(() => new UserList(desk.ask, search, sort), [desk, search, sort]);
  const before = useRef(list);
  const hasAnswer = list.pages.value.next.at !== 'start' || list.failure.value !== undefined;
  if (hasAnswer) before.current = list;
  // Until the first answer the list before stays, so that neither the rows nor the focus in them flicker while somebody
  // types.
  const shown = before.current;
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && list.refresh(), REFRESH_MS);
    list.look(0, 0);
    return () => {
      clearInterval(timer);
      list.close();
    };
  }, [list]);
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Users</h1>
        <SearchField search={search} sort={sort} />
        <SortField search={search} sort={sort} />
        <Found list={shown} />
      </div>
      <Body list={shown} />
    </>
  );
}

function Body({ list }: { list: UserList }) {
  const pages = list.pages.value;
  const failure = list.failure.value;
  const rows = length(pages, list.search === '');
  if (pages.next.at === 'start') {
    if (failure === undefined) return <Loading label="Asking for the users of this node" />;
    return <Failure title="The users cannot be shown" why={failureSentence(failure)} onRetry={() => list.refresh()} />;
  }
  if (rows === 0) {
    return list.search === '' ? (
      <Empty title="Nobody is here">
        <p>A user shows up here with the first session.</p>
      </Empty>
    ) : (
      <Empty title="Nobody is found">
        <p>No user of this node has “{list.search}” in the id. The search tells large letters from small ones.</p>
      </Empty>
    );
  }
  return (
    <>
      {failure !== undefined && (
        <Status tone="warn" icon="offline">
          <span>These are the last rows that were known. {failureSentence(failure)}</span>
        </Status>
      )}
      <UserGrid list={list} rows={rows} />
      {rows === MAX_ROWS && <p class="hint">The list ends at {count(MAX_ROWS)} rows; search for anybody beyond.</p>}
    </>
  );
}

function Found({ list }: { list: UserList }) {
  const pages = list.pages.value;
  if (pages.next.at === 'start') return null;
  return (
    <p class="hint" role="status">
      {list.search === '' ? counted(pages.total, 'user') : foundSentence(pages)}
    </p>
  );
}

function SearchField({ search, sort }: { search: string; sort: UserOrder }) {
  const [typed, type] = useState(search);
  const asked = useRef(search);
  useEffect(() => {
    // The address changed by itself (back, a link): the field follows. What is being typed is not overwritten.
    if (asked.current !== search) type(search);
    asked.current = search;
  }, [search]);
  useEffect(() => {
    if (typed === asked.current) return undefined;
    const timer = setTimeout(() => {
      asked.current = typed;
      location.replace(hashOf({ page: 'users', search: typed, sort }));
    }, TYPED_MS);
    return () => clearTimeout(timer);
  }, [typed, sort]);
  return (
    <div class="field inline">
      <label for="search">Search by id</label>
      <input
        id="search"
        class="input mono"
        type="search"
        autocomplete="off"
        spellcheck={false}
        maxLength={256}
        value={typed}
        onInput={(event) => type(event.currentTarget.value)}
      />
    </div>
  );
}

function SortField({ search, sort }: { search: string; sort: UserOrder }) {
  return (
    <div class="field inline">
      <label for="sort">Order</label>
      <select
        id="sort"
        class="input"
        value={sort}
        onChange={(event) => {
          const chosen = event.currentTarget.value === 'user' ? 'user' : 'pressure';
          location.replace(hashOf({ page: 'users', search, sort: chosen }));
        }}
      >
        <option value="pressure">fullest first</option>
        <option value="user">by id</option>
      </select>
    </div>
  );
}
