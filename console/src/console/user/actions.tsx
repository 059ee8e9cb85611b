/** The levers, each of which asks first. */

import { useState } from 'preact/hooks';
import { Button } from '../../ui';
import { useDesk } from '../state/desk';
import type { Level, User } from '../wire';
import { capital, levelSentence } from '../words';
import {
  isStranger,
  lend,
  lendRefusal,
  logOut,
  MOST_LENT,
  proposed,
  reclaim,
  restore,
  UNKNOWN_PLAN,
  type Deed,
} from './deeds';

const LEVELS: readonly Level[] = ['conservative', 'moderate', 'aggressive', 'force'];

export function Actions({ user, onAsk }: { user: User; onAsk: (deed: Deed) => void }) {
  const { refuses } = useDesk();
  return (
    <section aria-labelledby="actions" class="actions">
      <h2 id="actions">Actions</h2>
      {refuses !== undefined && <p class="hint">{refuses}</p>}
      <ReclaimAction user={user} refuses={refuses} onAsk={onAsk} />
      <LendAction user={user} refuses={refuses} onAsk={onAsk} />
      <div class="action">
        <Button label="Log out everywhere" refuses={refuses} onPress={() => onAsk(logOut(user))} />
        <p class="hint">Ends his tokens, logins and connections. He has to log in anew.</p>
      </div>
    </section>
  );
}

interface ActionProps {
  user: User;
  refuses: string | undefined;
  onAsk: (deed: Deed) => void;
}

function ReclaimAction({ user, refuses, onAsk }: ActionProps) {
  const [level, choose] = useState<Level>('moderate');
  return (
    <div class="action">
      <div class="field inline">
        <label for="level">Reclaim</label>
        <select
          id="level"
          class="input"
          value={level}
          aria-describedby="level-does"
          onChange={(event) => choose(LEVELS.find((each) => each === event.currentTarget.value) ?? 'moderate')}
        >
          {LEVELS.map((each) => (
            <option key={each} value={each}>
              {capital(each)}
            </option>
          ))}
        </select>
        <Button label="Reclaim" refuses={refuses} onPress={() => onAsk(reclaim(user, level))} />
      </div>
      <p id="level-does" class="hint">
        {levelSentence(level)}
      </p>
    </div>
  );
}

function LendAction({ user, refuses, onAsk }: ActionProps) {
  const [typed, type] = useState<number | undefined>(undefined);
  const sessions = typed ?? proposed(user.limit);
  const wrong = isStranger(user) ? UNKNOWN_PLAN : lendRefusal(user.limit, sessions);
  return (
    <div class="action">
      <div class="field inline">
        <label for="lend">Limit for an hour</label>
        <input
          id="lend"
          class="input short"
          type="number"
          min={Math.min(user.limit + 1, MOST_LENT)}
          max={MOST_LENT}
          value={Number.isNaN(sessions) ? '' : sessions}
          aria-invalid={wrong !== undefined}
          aria-describedby="lend-does"
          onInput={(event) => type(event.currentTarget.valueAsNumber)}
        />
        <Button label="Raise" refuses={refuses ?? wrong} onPress={() => onAsk(lend(user, sessions))} />
        {user.lent !== undefined && (
          <Button label="Take it back" refuses={refuses} onPress={() => onAsk(restore(user))} />
        )}
      </div>
      <p id="lend-does" class="hint">
        {wrong ??
          'Sessions that he may hold meanwhile. Nobody is closed for it; at its end new sessions make room one by one.'}
      </p>
    </div>
  );
}
