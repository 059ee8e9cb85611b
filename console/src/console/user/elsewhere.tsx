/** What a user has on other nodes of the cluster, as those nodes say; nothing where there is nothing to say. */

import { livenessWord } from '../state/evidence';
import type { SessionElsewhere, User } from '../wire';
import { capital, count, span } from '../words';

export function OnOtherNodes({ user: { elsewhere = [], elsewhere_unknown } }: { user: User }) {
  if (elsewhere_unknown)
    return <p class="hint">Nobody can tell now whether this user has sessions on other nodes: see the page Node.</p>;
  if (elsewhere.length === 0) return null;
  return (
    <section aria-labelledby="elsewhere">
      <h2 id="elsewhere">On other nodes</h2>
      <div class="scrolls" tabIndex={0} role="region" aria-label="Sessions on other nodes">
        <table class="table">
          <thead>
            <tr>
              {['Node', 'Thread', 'Liveness', 'Health', 'Last used', 'Spared'].map((name) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {elsewhere.map((session) => (
              <Row key={`${session.incarnation} ${session.thread}`} session={session} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** Of a node that did not answer it is known which sessions it has, and not how they are. */
function Row({ session }: { session: SessionElsewhere }) {
  const { node, thread, liveness, health, unused_for, protected: spared } = session;
  return (
    <tr data-node={node}>
      <th scope="row" class="mono">
        {node}
      </th>
      <td class="mono">{thread}</td>
      <td>{liveness === undefined ? 'The node does not answer' : capital(livenessWord(liveness))}</td>
      <td>{health === undefined ? '' : count(health)}</td>
      <td>{unused_for === undefined ? '' : `${span(unused_for)} ago`}</td>
      <td>{spared ? 'While another is left' : ''}</td>
    </tr>
  );
}
