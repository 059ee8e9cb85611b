/** Who is at the door, and what he sees: the sign-in page or the console. */

import { useEffect, useMemo, useState } from 'preact/hooks';
import { Loading } from '../ui';
import { Shell } from './shell';
import { SignIn } from './signin';
import { Desk, DeskProvider } from './state/desk';
import { Door, type Entry } from './state/entry';

export function App() {
  const door = useMemo(() => new Door(), []);
  useEffect(() => void door.knock(), [door]);
  const entry = door.entry.value;
  switch (entry.phase) {
    case 'asking':
      return (
        <main class="alone">
          <h1 class="unseen">Lychgate console</h1>
          <Loading label="Asking the node who you are" />
        </main>
      );
    case 'out':
      return <SignIn door={door} why={entry.why} offer={entry.offer} />;
    case 'in':
      return <Signed door={door} entry={entry} />;
  }
}

/** The desk lives as long as the operator is signed in. */
function Signed({ door, entry }: { door: Door; entry: Extract<Entry, { phase: 'in' }> }) {
  const [desk, place] = useState<Desk | undefined>(undefined);
  useEffect(() => {
    const fresh = new Desk(entry.me, entry.ask, entry.key, () => void door.turnedAway());
    place(fresh);
    return () => fresh.close();
  }, [door, entry]);
  if (desk === undefined) return null;
  const leave = async () => {
    const why = await door.leave();
    if (why !== undefined) desk.note(why, undefined);
  };
  return (
    <DeskProvider value={desk}>
      <Shell onLeave={() => void leave()} />
    </DeskProvider>
  );
}
