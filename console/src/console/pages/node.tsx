/** The node itself: what it is, whether it can deliver, which others there are, its configuration, who changed what, and the drain. */

import { useState } from 'preact/hooks';
import { failureSentence } from '../ask';
import { DeedDialog } from '../deed-dialog';
import { Button, Failure, Loading, Status } from '../../ui';
import { Outdated } from '../outdated';
import { useDesk } from '../state/desk';
import { usePolled } from '../state/polled';
import { Audit } from '../user/audit';
import type { Deed } from '../user/deeds';
import type { Draining, NodeView } from '../wire';
import { dated, span } from '../words';
import { Cluster } from './cluster';
import { Configuration } from './configuration';

const AGAIN_MS = 5_000;

export function NodePage() {
  const [polled, again] = usePolled<NodeView>('/v1/admin/node', AGAIN_MS);
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Node</h1>
      </div>
      <Body polled={polled} onRetry={again} />
      <Audit user={undefined} />
    </>
  );
}

function Body({ polled, onRetry }: { polled: ReturnType<typeof usePolled<NodeView>>[0]; onRetry: () => void }) {
  switch (polled.phase) {
    case 'loading':
      return <Loading label="Asking the node about itself" />;
    case 'failed':
      return <Failure title="The node cannot be shown" why={failureSentence(polled.failure)} onRetry={onRetry} />;
    case 'here':
      return (
        <>
          <Outdated at={polled.at} failure={polled.failure} />
          <About node={polled.value} />
          <Cluster />
          <Drain node={polled.value} onDone={onRetry} />
          <Configuration node={polled.value} />
        </>
      );
  }
}

function About({ node }: { node: NodeView }) {
  return (
    <section class="panel" aria-labelledby="about">
      <div class="panel-head">
        <h2 id="about" class="mono">
          {node.name}
        </h2>
      </div>
      <Ready node={node} />
      <dl class="facts">
        <Fact name="Version">{node.version}</Fact>
        <Fact name="Built">
          {node.profile}
          {node.features.length > 0 && `, with ${node.features.join(', ')}`}
        </Fact>
        <Fact name="Environment">{node.environment}</Fact>
        <Fact name="Running for">
          {span(node.uptime_ms)}, since {dated(node.started)}
        </Fact>
        <Fact name="Users come to">
          <span class="mono">{node.listen}</span>
        </Fact>
        <Fact name="Operators come to">
          <span class="mono">{node.admin}</span>
        </Fact>
        <Fact name="Configuration file">
          {node.file === undefined ? 'none' : <span class="mono">{node.file}</span>}
        </Fact>
      </dl>
    </section>
  );
}

function Ready({ node }: { node: NodeView }) {
  if (node.draining) {
    return (
      <Status tone="warn" icon="wait">
        <span>Being drained: everybody is told to move, and then the process ends.</span>
      </Status>
    );
  }
  return node.ready ? (
    <Status tone="ok" icon="check">
      <span>Ready: it can deliver.</span>
    </Status>
  ) : (
    <Status tone="danger" icon="alert">
      <span>Not ready{node.not_ready_because === undefined ? '.' : `: ${node.not_ready_because}`}</span>
    </Status>
  );
}

function Drain({ node, onDone }: { node: NodeView; onDone: () => void }) {
  const desk = useDesk();
  const [asks, ask] = useState(false);
  const [typed, type] = useState('');
  const refuses = desk.refuses ?? (node.draining ? 'It is being drained already.' : undefined);
  return (
    <section class="actions" aria-labelledby="drain">
      <h2 id="drain">Drain</h2>
      <div class="action">
        <Button label="Drain this node" refuses={refuses} onPress={() => ask(true)} />
        <p class="hint">
          {refuses ??
            'Moves everybody away in paced batches; then the process ends. It does not start again by itself.'}
        </p>
      </div>
      {asks && (
        <DeedDialog
          deed={drainOf(node)}
          refuses={typed === node.name ? undefined : 'Type the name of the node first.'}
          onClose={(end) => {
            ask(false);
            type('');
            if (end === 'done') onDone();
          }}
        >
          <div class="field">
            <label for="node-name">
              Type <span class="mono">{node.name}</span> to confirm
            </label>
            <input
              id="node-name"
              class="input mono"
              autocomplete="off"
              spellcheck={false}
              value={typed}
              onInput={(event) => type(event.currentTarget.value)}
            />
          </div>
        </DeedDialog>
      )}
    </section>
  );
}

function drainOf(node: NodeView): Deed {
  return {
    title: 'Drain this node',
    asks: [
      `The node ${node.name} takes nobody any more, and tells everybody on it to move, one after the other.`,
      'Answers that are being written may end, or are gone on with elsewhere. Then the process ends.',
      'Without another node nobody can chat. This cannot be taken back.',
    ],
    confirm: 'Drain and stop',
    look: 'danger',
    send: async (ask, once) => {
      const answer = await ask.order<Draining>('POST', '/v1/admin/drain', undefined, once);
      return answer.ok ? { ...answer, value: `The node ${node.name} is being drained.` } : answer;
    },
  };
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
