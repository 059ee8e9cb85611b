/** One session of a user: how it stands and what that is judged by, in sentences. */

import { Button } from '../../ui';
import { showing } from '../state/cells';
import { connectionSentence, evidenceSentences, healthSentence, livenessWord } from '../state/evidence';
import type { Session, User } from '../wire';
import { capital, counted, span } from '../words';

export interface EvidenceProps {
  user: User;
  session: Session;
  refuses: string | undefined;
  onEvict: () => void;
  onClose: () => void;
}

export function SessionEvidence({ user, session, refuses, onEvict, onClose }: EvidenceProps) {
  const connections = showing(user, session);
  return (
    <section class="panel" aria-labelledby="evidence" data-session={session.thread}>
      <div class="panel-head">
        <h2 id="evidence">
          Session <span class="mono">{session.thread}</span>
        </h2>
        <Button label="End this session" refuses={refuses} onPress={onEvict} />
        <Button label="Close the evidence" look="square" icon="close" onPress={onClose} />
      </div>
      <dl class="facts">
        <Fact name="Liveness">{capital(livenessWord(session.liveness))}</Fact>
        <Fact name="Health">{healthSentence(session)}</Fact>
        <Fact name="Last used">{span(session.unused_for)} ago</Fact>
        <Fact name="Answer">
          {session.run === undefined ? (
            'None is being written'
          ) : (
            <>
              Being written, run <span class="mono">{session.run}</span>
            </>
          )}
        </Fact>
        {session.lingers_for !== undefined && (
          <Fact name="Lingers">Kept warm for another {span(session.lingers_for)}</Fact>
        )}
        <Fact name="Shown by">
          {connections.length === 0 ? 'No connection' : counted(connections.length, 'connection')}
        </Fact>
      </dl>
      {connections.map((connection) => (
        <div key={connection.connection} class="connection">
          <h3 class="mono">{connection.connection}</h3>
          <p>{connectionSentence(connection)}</p>
          <ul>
            {evidenceSentences(connection.evidence).map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
        </div>
      ))}
    </section>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
