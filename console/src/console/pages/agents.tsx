/** Who answers, and how well: latency of the first event, ends of runs, the breaker. */

import { failureSentence } from '../ask';
import { Empty, Failure, Loading, Status } from '../../ui';
import { Outdated } from '../outdated';
import { usePolled } from '../state/polled';
import type { AgentList, AgentRow } from '../wire';
import { count, dated, latency, plain, span } from '../words';

const AGAIN_MS = 2_000;

export function Agents() {
  const [polled, again] = usePolled<AgentList>('/v1/admin/agents', AGAIN_MS);
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Agents</h1>
        <p class="hint">Times and ends of runs are those since the node started</p>
      </div>
      <Body polled={polled} onRetry={again} />
    </>
  );
}

function Body({ polled, onRetry }: { polled: ReturnType<typeof usePolled<AgentList>>[0]; onRetry: () => void }) {
  switch (polled.phase) {
    case 'loading':
      return <Loading label="Asking how the agents do" />;
    case 'failed':
      return <Failure title="The agents cannot be shown" why={failureSentence(polled.failure)} onRetry={onRetry} />;
    case 'here':
      return (
        <>
          <Outdated at={polled.at} failure={polled.failure} />
          {polled.value.agents.length === 0 ? (
            <Empty title="No agent is configured" />
          ) : (
            polled.value.agents.map((agent) => <Agent key={agent.name} agent={agent} />)
          )}
        </>
      );
  }
}

function Agent({ agent }: { agent: AgentRow }) {
  const { name, kind, is_default: isDefault, first_event: first, runs, in_flight: inFlight, last_error: error } = agent;
  const ends = Object.entries(runs).filter(([, n]) => n > 0);
  return (
    <section class="panel" aria-labelledby={`agent-${name}`} data-agent={name}>
      <div class="panel-head">
        <h2 id={`agent-${name}`}>
          <span class="mono">{name}</span>{' '}
          <span class="hint">
            {kind}
            {isDefault && ', answers runs that name no agent'}
          </span>
        </h2>
      </div>
      <Breaker agent={agent} />
      <dl class="facts">
        <Fact name="First event, half within">{latency(first.p50_ms)}</Fact>
        <Fact name="90 of 100 within">{latency(first.p90_ms)}</Fact>
        <Fact name="99 of 100 within">{latency(first.p99_ms)}</Fact>
        <Fact name="Measured on">{first.count === 1 ? '1 run' : `${count(first.count)} runs`}</Fact>
        <Fact name="In flight">{count(inFlight)}</Fact>
        <Fact name="Ended">
          {ends.length === 0 ? 'none yet' : ends.map(([end, n]) => `${count(n)} ${plain(end)}`).join(', ')}
        </Fact>
      </dl>
      {error === undefined ? (
        <p class="hint">No run has failed since the node started.</p>
      ) : (
        <p class="last-error">
          Last error at {dated(error.at)}: <span class="mono">{error.code}</span>. {error.message}
        </p>
      )}
    </section>
  );
}

function Breaker({ agent }: { agent: AgentRow }) {
  switch (agent.breaker) {
    case 'closed':
      return (
        <Status tone="ok" icon="check">
          <span>Breaker closed: it is asked for every run.</span>
        </Status>
      );
    case 'open':
      return agent.opens_for === 0 ? (
        <Status tone="warn" icon="wait">
          <span>Breaker open: it failed too often. The next run tries whether it answers again.</span>
        </Status>
      ) : (
        <Status tone="danger" icon="alert">
          <span>
            Breaker open: it failed too often and is not asked
            {agent.opens_for === undefined ? ' for a while' : ` for another ${span(agent.opens_for)}`}. Its runs end at
            once with an error.
          </span>
        </Status>
      );
    case 'probing':
      return (
        <Status tone="warn" icon="wait">
          <span>Breaker probing: one run tries whether it answers again.</span>
        </Status>
      );
    default:
      return (
        <Status tone="warn" icon="alert">
          <span>Breaker {agent.breaker}.</span>
        </Status>
      );
  }
}

function Fact({ name, children }: { name: string; children: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
