/** What was decided about a user, oldest first, in sentences. */

import { failureSentence } from '../ask';
import { Empty, Failure, Loading } from '../../ui';
import { Outdated } from '../outdated';
import { usePolled } from '../state/polled';
import type { Decision, Explained } from '../wire';
import { capital, counted, dated, plain } from '../words';

const AGAIN_MS = 3_000;

export function Story({ user }: { user: string }) {
  const [polled, again] = usePolled<Explained>(`/v1/admin/users/${encodeURIComponent(user)}/explain`, AGAIN_MS);
  return (
    <section aria-labelledby="story">
      <h2 id="story">What happened, in order</h2>
      <Body polled={polled} onRetry={again} />
    </section>
  );
}

function Body({ polled, onRetry }: { polled: ReturnType<typeof usePolled<Explained>>[0]; onRetry: () => void }) {
  switch (polled.phase) {
    case 'loading':
      return <Loading label="Asking what was decided" />;
    case 'failed':
      return <Failure title="The decisions cannot be shown" why={failureSentence(polled.failure)} onRetry={onRetry} />;
    case 'here':
      return (
        <>
          <Outdated at={polled.at} failure={polled.failure} />
          <Told explained={polled.value} />
        </>
      );
  }
}

function Told({ explained }: { explained: Explained }) {
  if (explained.decisions.length === 0) {
    return (
      <Empty title="Nothing is remembered">
        <p>Nothing was decided about this user lately, or it gave way to others.</p>
      </Empty>
    );
  }
  return (
    <>
      {explained.dropped > 0 && (
        <p class="hint">{counted(explained.dropped, 'older decision')} gave way to newer ones.</p>
      )}
      <ol class="plain story">
        {explained.decisions.map((decision, at) => (
          <li key={`${decision.at} ${at}`}>
            <DecisionLine decision={decision} />
          </li>
        ))}
      </ol>
    </>
  );
}

/** One decision: when, what, about which conversation, and the sentence of the node. */
export function DecisionLine({ decision }: { decision: Decision }) {
  const { at, verdict, level, thread, text, again } = decision;
  return (
    <>
      <time class="mono hint" dateTime={at}>
        {dated(at)}
      </time>
      <span class="verdict" data-verdict={verdict}>
        {capital(plain(verdict))}
        {level !== undefined && ` (${level})`}
      </span>
      {thread !== undefined && <span class="mono cut">{thread}</span>}
      <span class="said">
        {text}
        {again > 0 && <span class="hint"> And {counted(again, 'more time')} in a row.</span>}
      </span>
    </>
  );
}
