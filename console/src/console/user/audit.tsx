/** What operators did: to one user, or to the node. */

import { failureSentence } from '../ask';
import { Empty, Failure, Loading } from '../../ui';
import { Outdated } from '../outdated';
import { usePolled } from '../state/polled';
import type { AuditEntry, AuditPage } from '../wire';
import { dated, plain } from '../words';

const AGAIN_MS = 5_000;

export function Audit({ user }: { user: string | undefined }) {
  const asked = user === undefined ? 'limit=50' : `limit=20&user=${encodeURIComponent(user)}`;
  const [polled, again] = usePolled<AuditPage>(`/v1/admin/audit?${asked}`, AGAIN_MS);
  return (
    <section aria-labelledby="audit">
      <h2 id="audit">Audit log</h2>
      <Body polled={polled} onRetry={again} />
    </section>
  );
}

function Body({ polled, onRetry }: { polled: ReturnType<typeof usePolled<AuditPage>>[0]; onRetry: () => void }) {
  switch (polled.phase) {
    case 'loading':
      return <Loading label="Asking for the audit log" />;
    case 'failed':
      return <Failure title="The audit log cannot be shown" why={failureSentence(polled.failure)} onRetry={onRetry} />;
    case 'here':
      return (
        <>
          <Outdated at={polled.at} failure={polled.failure} />
          {polled.value.entries.length === 0 ? (
            <Empty title="No operator has changed anything" />
          ) : (
            <Entries entries={polled.value.entries} />
          )}
        </>
      );
  }
}

function Entries({ entries }: { entries: readonly AuditEntry[] }) {
  return (
    <div class="scrolls" tabIndex={0} role="region" aria-label="Audit log, newest first">
      <table class="table">
        <thead>
          <tr>
            {['When', 'Who', 'What', 'Whom', 'With', 'Outcome', 'Request'].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={entry.id} data-action={entry.action}>
              <td class="mono nowrap">{dated(entry.at)}</td>
              <td class="mono">{entry.operator}</td>
              <td>{plain(entry.action)}</td>
              <td class="mono">{[entry.user, entry.thread].filter((part) => part !== undefined).join(' ')}</td>
              <td class="mono">{withWhat(entry.parameters)}</td>
              <td>{plain(entry.outcome)}</td>
              <td class="mono">{entry.request}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Parameters as `level aggressive`; nested ones as the wire has them. */
function withWhat(parameters: unknown): string {
  if (typeof parameters !== 'object' || parameters === null) return '';
  return Object.entries(parameters)
    .map(([name, value]) => `${plain(name)} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
    .join(', ');
}
