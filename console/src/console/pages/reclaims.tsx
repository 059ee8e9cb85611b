/** What the gate decided about everybody, as it happens: with level, reason and evidence. */

import { useState } from 'preact/hooks';
import { Button, Empty, Status } from '../../ui';
import { cameSince, keyOf, matching, MAX_TOLD, type Entry, type FeedFilter } from '../live/feed';
import { useDesk } from '../state/desk';
import { evidenceSentences } from '../state/evidence';
import { hashOf } from '../state/route';
import type { Told } from '../wire';
import { count, counted, plain } from '../words';
import { DecisionLine } from '../user/story';

/** Rows that are shown at first, and how many more each press shows: a storm redraws no more than these. */
const STRIDE = 50;

const LEVELS = ['conservative', 'moderate', 'aggressive', 'force'] as const;
const KINDS = [
  'evicted',
  'dead',
  'waits',
  'queued',
  'admitted',
  'refused',
  'closed',
  'released',
  'breaker',
  'would_evict',
  'would_wait',
  'repaired',
] as const;

export function Reclaims({ user }: { user: string }) {
  const desk = useDesk();
  const [filter, choose] = useState<FeedFilter>({ user, level: '', kind: '' });
  const [shown, show] = useState(STRIDE);
  const held = desk.held.value;
  const feed = held ?? desk.follower.feed.value;
  const entries = matching(feed, filter);
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Reclaims</h1>
        <Filters filter={filter} onChange={choose} />
        <Button
          label={held === undefined ? 'Pause' : 'Go on'}
          icon={held === undefined ? 'wait' : 'right'}
          onPress={() => desk.pause()}
        />
      </div>
      <p class="hint" role="status">
        {held === undefined
          ? `The newest ${count(MAX_TOLD)} decisions, newest first`
          : stoppedSentence(cameSince(held, desk.follower.feed.value))}
        {feed.missed > 0 && `; ${counted(feed.missed, 'decision')} could not be delivered`}
      </p>
      {desk.follower.isBehind.value && (
        <Status tone="warn" icon="wait">
          <span>What was decided last could not be asked for yet. It is asked for again.</span>
        </Status>
      )}
      {entries.length === 0 ? (
        <Empty title={feed.entries.length === 0 ? 'Nothing had to be decided yet' : 'Nothing fits this filter'}>
          <p>Evictions, dead connections, waits and refusals show up here as they happen.</p>
        </Empty>
      ) : (
        <ol class="plain story stream" aria-label="Decisions, newest first">
          {entries.slice(0, shown).map((entry) => (
            <Line key={keyOf(entry)} entry={entry} />
          ))}
        </ol>
      )}
      {entries.length > shown && (
        <Button
          label={`Show ${counted(Math.min(STRIDE, entries.length - shown), 'older one')}`}
          icon="down"
          onPress={() => show(shown + STRIDE)}
        />
      )}
    </>
  );
}

function stoppedSentence(newer: number): string {
  if (newer === 0) return 'Stopped; nothing new came';
  return `Stopped; ${newer >= MAX_TOLD ? 'at least ' : ''}${counted(newer, 'decision')} came since`;
}

function Line({ entry }: { entry: Entry }) {
  switch (entry.kind) {
    case 'told':
      return <ToldLine told={entry.told} />;
    case 'gap':
      return (
        <li class="gap" data-gap>
          {counted(entry.missed, 'decision')} here could not be delivered: they came faster than this page is told.
        </li>
      );
    case 'restart':
      return (
        <li class="gap" data-gap>
          The node was started anew. What it decided before, and nobody had been told, is gone.
        </li>
      );
  }
}

function ToldLine({ told }: { told: Told }) {
  const { user, evidence, reason, cause, newcomer } = told;
  const because = [reason, cause].filter((word) => word !== undefined).map((word) => plain(word));
  return (
    <li data-verdict={told.verdict} data-level={told.level} data-user={user}>
      <DecisionLine decision={told} />
      <span class="about hint">
        {user === undefined ? 'the node' : <a href={hashOf({ page: 'user', user })}>{user}</a>}
        {because.length > 0 && `; reason: ${because.join(', ')}`}
        {newcomer !== undefined && `; the slot went to ${newcomer}`}
        {evidence !== undefined && `; evidence: ${evidenceSentences(evidence).join(' ')}`}
      </span>
    </li>
  );
}

function Filters({ filter, onChange }: { filter: FeedFilter; onChange: (filter: FeedFilter) => void }) {
  return (
    <>
      <div class="field inline">
        <label for="of-user">User</label>
        <input
          id="of-user"
          class="input mono"
          type="search"
          autocomplete="off"
          spellcheck={false}
          maxLength={256}
          value={filter.user}
          onInput={(event) => onChange({ ...filter, user: event.currentTarget.value })}
        />
      </div>
      <Choice
        id="of-level"
        label="Level"
        all="every level"
        of={LEVELS}
        value={filter.level}
        onChange={(level) => onChange({ ...filter, level })}
      />
      <Choice
        id="of-kind"
        label="Kind"
        all="every kind"
        of={KINDS}
        value={filter.kind}
        onChange={(kind) => onChange({ ...filter, kind })}
      />
    </>
  );
}

interface ChoiceProps {
  id: string;
  label: string;
  all: string;
  of: readonly string[];
  value: string;
  onChange: (value: string) => void;
}

function Choice({ id, label, all, of, value, onChange }: ChoiceProps) {
  return (
    <div class="field inline">
      <label for={id}>{label}</label>
      <select id={id} class="input" value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">{all}</option>
        {of.map((each) => (
          <option key={each} value={each}>
            {plain(each)}
          </option>
        ))}
      </select>
    </div>
  );
}
