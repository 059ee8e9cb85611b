/** One user: what he holds and how it does, what was decided about him, and the levers. */

import { useState } from 'preact/hooks';
import { failureSentence } from '../ask';
import { DeedDialog } from '../deed-dialog';
import { Empty, Failure, Loading } from '../../ui';
import { Outdated } from '../outdated';
import { useDesk } from '../state/desk';
import { usePolled } from '../state/polled';
import type { Listed, NodeView, User } from '../wire';
import { bandWord, count, counted, percent, span } from '../words';
import { Actions } from './actions';
import { Audit } from './audit';
import { evict, type Deed } from './deeds';
import { OnOtherNodes } from './elsewhere';
import { SessionEvidence } from './evidence';
import { reserveOf } from '../state/configuration';
import { Slots } from './slots';
import { Story } from './story';

const AGAIN_MS = 2_000;

/** The configuration changes rarely; the reserve alone is needed of it. */
const CONFIGURATION_MS = 60_000;

export function UserPage({ user }: { user: string }) {
  const [polled, again] = usePolled<Listed>(`/v1/admin/sessions?user=${encodeURIComponent(user)}`, AGAIN_MS);
  // Not below: a user who goes while he is asked about must not take with him what became of it.
  const [deed, ask] = useState<Deed | undefined>(undefined);
  return (
    <>
      <div class="page-head">
        <p>
          <a href="#/users">Users</a>
        </p>
        <h1 tabIndex={-1} class="mono">
          {user}
        </h1>
      </div>
      <Body user={user} polled={polled} onAsk={ask} onAgain={again} />
      <Story user={user} />
      <Audit user={user} />
      {deed !== undefined && (
        <DeedDialog
          deed={deed}
          onClose={(end) => {
            ask(undefined);
            if (end === 'done') again();
          }}
        />
      )}
    </>
  );
}

interface BodyProps {
  user: string;
  polled: ReturnType<typeof usePolled<Listed>>[0];
  onAsk: (deed: Deed) => void;
  onAgain: () => void;
}

function Body({ user, polled, onAsk, onAgain }: BodyProps) {
  switch (polled.phase) {
    case 'loading':
      return <Loading label="Asking for the sessions of this user" />;
    case 'failed':
      return <Failure title="This user cannot be shown" why={failureSentence(polled.failure)} onRetry={onAgain} />;
    case 'here': {
      const here = polled.value.users.find((each) => each.user === user);
      return (
        <>
          <Outdated at={polled.at} failure={polled.failure} />
          {here === undefined ? <Nobody /> : <Here user={here} onAsk={onAsk} />}
        </>
      );
    }
  }
}

function Nobody() {
  return (
    <Empty title="This user holds nothing on this node">
      <p>No session, no connection, no open that waits. What was decided lately stands below.</p>
    </Empty>
  );
}

function Here({ user, onAsk }: { user: User; onAsk: (deed: Deed) => void }) {
  const desk = useDesk();
  const [node] = usePolled<NodeView>('/v1/admin/node', CONFIGURATION_MS);
  const [open, show] = useState<string | undefined>(undefined);
  const session = user.sessions.find(({ key }) => key === open);
  const reserve = node.phase === 'here' ? reserveOf(node.value, user.plan) : 0;
  return (
    <>
      <Standing user={user} />
      <Slots user={user} reserve={reserve} open={open} onOpen={show} />
      {session !== undefined && (
        <SessionEvidence
          user={user}
          session={session}
          refuses={desk.refuses}
          onEvict={() => onAsk(evict(user, session.key, session.thread))}
          onClose={() => show(undefined)}
        />
      )}
      {open !== undefined && session === undefined && <p class="hint">The session that was shown here has ended.</p>}
      <OnOtherNodes user={user} />
      <Actions user={user} onAsk={onAsk} />
    </>
  );
}

/** How it stands, in one line. */
function Standing({ user }: { user: User }) {
  const { used, limit, level, plan, lent, waiting, connections, elsewhere = [] } = user;
  return (
    <dl class="tiles">
      <div class="tile">
        <dt>Sessions</dt>
        <dd class="figure">
          {count(used)} of {count(limit)}
        </dd>
        <dd class="hint">
          {percent(used, limit)} %, {bandWord(level)}
          {plan !== undefined && `; plan ${plan}`}
          {elsewhere.length > 0 && `; ${count(elsewhere.length)} of them on other nodes`}
        </dd>
      </div>
      <div class="tile">
        <dt>Connections</dt>
        <dd class="figure">{count(connections.length)}</dd>
      </div>
      <div class="tile">
        <dt>Waiting</dt>
        <dd class="figure">{count(waiting)}</dd>
        <dd class="hint">{waiting === 0 ? 'no open waits' : `${counted(waiting, 'open')} without a slot yet`}</dd>
      </div>
      {lent !== undefined && (
        <div class="tile">
          <dt>Lent limit</dt>
          <dd class="figure">{count(lent.max_sessions)}</dd>
          <dd class="hint">for another {span(lent.ends_in)}</dd>
        </div>
      )}
    </dl>
  );
}
