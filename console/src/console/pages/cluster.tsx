/** The nodes that count sessions together with this one, as this one knows them. */

import { failureSentence } from '../ask';
import { Failure, Loading, Status } from '../../ui';
import { Outdated } from '../outdated';
import { usePolled } from '../state/polled';
import type { ClusterNode, ClusterView } from '../wire';
import { count, counted, dated, span } from '../words';

const AGAIN_MS = 5_000;

export function Cluster() {
  const [polled, again] = usePolled<ClusterView>('/v1/admin/cluster', AGAIN_MS);
  return (
    <section class="panel" aria-labelledby="cluster">
      <div class="panel-head">
        <h2 id="cluster">Cluster</h2>
      </div>
      <Body polled={polled} onRetry={again} />
    </section>
  );
}

function Body({ polled, onRetry }: { polled: ReturnType<typeof usePolled<ClusterView>>[0]; onRetry: () => void }) {
  switch (polled.phase) {
    case 'loading':
      return <Loading label="Asking which nodes there are" />;
    case 'failed':
      return <Failure title="The nodes cannot be shown" why={failureSentence(polled.failure)} onRetry={onRetry} />;
    case 'here':
      return (
        <>
          <Outdated at={polled.at} failure={polled.failure} />
          <Known view={polled.value} />
        </>
      );
  }
}

function Known({ view }: { view: ClusterView }) {
  if (view.kind === 'single') return <p>This node is alone: nobody else counts its users' sessions.</p>;
  return (
    <>
      <Health view={view} />
      {view.nodes.length > 0 && <Nodes view={view} />}
      <p class="hint">
        {view.answered_ms === undefined
          ? 'Redis has not answered yet.'
          : `The nodes as of the last answer of Redis, ${span(view.answered_ms)} before this page asked.`}{' '}
        This node holds {counted(view.leases, 'lease')}.
      </p>
    </>
  );
}

function Health({ view }: { view: ClusterView }) {
  if (view.health === 'healthy') {
    return (
      <Status tone="ok" icon="check">
        <span>Sessions of all nodes count together.</span>
      </Status>
    );
  }
  const since = view.unknown_since === undefined ? '' : ` since ${dated(view.unknown_since)}`;
  return (
    <Status tone="warn" icon="alert">
      <span>
        The store cannot be asked{since}: each node goes by its own count, and nobody is refused or closed for it.
        {view.because !== undefined && ` ${view.because}.`}
      </span>
    </Status>
  );
}

function Nodes({ view: { nodes, health } }: { view: ClusterView }) {
  // Nobody renews where nobody can be asked: what is left of a lease then says nothing about its node.
  const lease = (node: ClusterNode) => (health === 'healthy' ? span(node.lease_ms) : 'not known');
  return (
    <div class="scrolls" tabIndex={0} role="region" aria-label="Nodes of the cluster">
      <table class="table nowrap">
        <thead>
          <tr>
            {['Node', 'Address', 'Version', 'Lives since', 'Sessions', 'Lease holds'].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {nodes.map((node) => (
            <tr key={node.incarnation} data-node={node.name} aria-current={node.this ? 'true' : undefined}>
              <th scope="row" class="mono">
                {node.name}
                {node.this && <span class="tag plain">this node</span>}
              </th>
              <td class="mono">{node.address}</td>
              <td class="mono">{node.version}</td>
              <td>{dated(node.started)}</td>
              <td>{count(node.sessions)}</td>
              <td>{lease(node)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
