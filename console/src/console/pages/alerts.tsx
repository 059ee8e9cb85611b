/** What fires, since when, about whom, and what to do about it. */

import { useState } from 'preact/hooks';
import { failureSentence } from '../ask';
import { Button, Empty, Failure, Icon, Loading, type IconName, type Tone } from '../../ui';
import { Outdated } from '../outdated';
import { newer, ranked } from '../state/alerts';
import { useDesk } from '../state/desk';
import { usePolled } from '../state/polled';
import { hashOf } from '../state/route';
import type { AlertList, AlertState } from '../wire';
import { counted, dated, plain, span } from '../words';

/** A change comes live; this is for the values meanwhile, and for a console that is not live. */
const AGAIN_MS = 10_000;

/** Users that are named; the list of users has the rest. */
const NAMED = 20;

export function Alerts() {
  const desk = useDesk();
  const [polled, again] = usePolled<AlertList>('/v1/admin/alerts', AGAIN_MS);
  const asked = polled.phase === 'here' ? { alerts: polled.value.alerts, at: polled.at } : undefined;
  const heard = newer(desk.alerts.value, asked);
  const known = heard?.alerts;
  // A live line tells what begins and ends: only the values are then as old as the last answer.
  const failure = polled.phase === 'loading' || !desk.isStale.value ? undefined : polled.failure;
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Alerts</h1>
        {known !== undefined && (
          <p class="hint">
            {counted(known.filter(({ state }) => state === 'firing').length, 'alert')} of {known.length} firing
          </p>
        )}
      </div>
      {heard !== undefined && <Outdated at={heard.at} failure={failure} />}
      {known === undefined ? <Unknown polled={polled} onRetry={again} /> : <List alerts={ranked(known)} />}
    </>
  );
}

function Unknown({ polled, onRetry }: { polled: ReturnType<typeof usePolled<AlertList>>[0]; onRetry: () => void }) {
  if (polled.phase === 'failed') {
    return <Failure title="The alerts cannot be shown" why={failureSentence(polled.failure)} onRetry={onRetry} />;
  }
  return <Loading label="Asking what fires" />;
}

function List({ alerts }: { alerts: readonly AlertState[] }) {
  const raised = alerts.filter(({ state }) => state !== 'ok');
  const calm = alerts.filter(({ state }) => state === 'ok');
  return (
    <>
      {raised.length === 0 ? (
        <Empty title="Nothing fires" icon="check">
          <p>{counted(alerts.length, 'condition')} are looked at all the time.</p>
        </Empty>
      ) : (
        raised.map((alert) => <Raised key={alert.name} alert={alert} />)
      )}
      {calm.length > 0 && (
        <details class="calm">
          <summary>{counted(calm.length, 'condition')} that are well</summary>
          {calm.map((alert) => (
            <details key={alert.name} class="calm-alert">
              <summary>
                <span class="mono">{alert.name}</span> <span class="hint">{alert.summary}</span>
              </summary>
              <Runbook alert={alert} />
            </details>
          ))}
        </details>
      )}
    </>
  );
}

const TONES: Readonly<Record<string, { tone: Tone; icon: IconName }>> = {
  critical: { tone: 'danger', icon: 'alert' },
  warning: { tone: 'warn', icon: 'alert' },
};

function Raised({ alert }: { alert: AlertState }) {
  const desk = useDesk();
  const { tone, icon } = TONES[alert.severity] ?? { tone: 'plain', icon: 'alert' };
  const since =
    alert.since === undefined
      ? ''
      : ` since ${dated(alert.since)}, for ${span(desk.nodeNow.value - Date.parse(alert.since))}`;
  const users = alert.users ?? [];
  const shown = users.slice(0, NAMED);
  const firing = alert.users_firing ?? users.length;
  return (
    <section class="panel" aria-labelledby={`alert-${alert.name}`} data-alert={alert.name} data-state={alert.state}>
      <div class="panel-head">
        <h2 id={`alert-${alert.name}`} class="mono">
          {alert.name}
        </h2>
      </div>
      <div class={`status ${tone}`}>
        <Icon name={icon} />
        <span>
          {alert.state === 'firing' ? 'Firing' : 'About to fire'}
          {since}; {plain(alert.severity)}
          {alert.value !== undefined && `; value ${alert.value}`}
        </span>
      </div>
      <p>
        {alert.summary}. {alert.meaning}
      </p>
      {users.length > 0 && (
        <p>
          About{' '}
          {shown.map((user, at) => (
            <span key={user}>
              {at > 0 && ', '}
              <a class="mono" href={hashOf({ page: 'user', user })}>
                {user}
              </a>
            </span>
          ))}
          {firing > shown.length && ` and ${counted(firing - shown.length, 'more user')}`}
        </p>
      )}
      <Runbook alert={alert} />
    </section>
  );
}

function Runbook({ alert }: { alert: AlertState }) {
  const [copied, say] = useState<string | undefined>(undefined);
  const id = `runbook-${alert.name}`;
  if (alert.runbook.length === 0) return null;
  return (
    <div class="runbook">
      <div class="panel-head">
        <h3>What to do</h3>
        <Button label="Copy" icon="copy" look="bare" onPress={() => void copy(alert, id).then(say)} />
        <span class="hint" role="status">
          {copied}
        </span>
      </div>
      <pre id={id} class="scrolls" tabIndex={0} aria-label={`What to do about ${alert.name}`}>
        {alert.runbook.join('\n')}
      </pre>
    </div>
  );
}

/** Copies the lines; where a page may not (plain http on a network), they are selected instead. */
async function copy(alert: AlertState, id: string): Promise<string> {
  try {
    await navigator.clipboard.writeText(alert.runbook.join('\n'));
    return 'Copied.';
  } catch {
    const lines = document.getElementById(id);
    if (lines !== null) getSelection()?.selectAllChildren(lines);
    return 'Selected: copy it with the keyboard.';
  }
}
