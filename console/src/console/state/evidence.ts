/** Why a session or a connection is judged as it is, in sentences. */

import type { Connection, Evidence, Session } from '../wire';
import { bytes, capital, counted, plain, span } from '../words';

const REASONS: Readonly<Record<string, string>> = {
  missed_pings: 'heartbeats without an answer',
  missed_probes: 'pings of a probe without an answer',
  slow_answers: 'slow answers',
  backlog: 'bytes that wait to be sent',
  unacknowledged: 'events that are not acknowledged',
  memory: 'memory that it holds',
  idle: 'nobody used it for long',
  detached: 'no connection',
};

/** `alive`, `suspect`, `zombie (half open)`, `detached`. */
export function livenessWord(liveness: string): string {
  const kind = liveness.startsWith('zombie_') ? liveness.slice('zombie_'.length) : undefined;
  return kind === undefined ? plain(liveness) : `zombie (${plain(kind)})`;
}

/** The score and what it lost, such as `80 of 100: 20 for heartbeats without an answer`. */
export function healthSentence(session: Session): string {
  if (session.reasons.length === 0) return `${session.health} of 100.`;
  const lost = session.reasons.map(({ reason, points }) => `${points} for ${REASONS[reason] ?? plain(reason)}`);
  return `${session.health} of 100; lost ${lost.join(', ')}.`;
}

/** What a connection was judged by: one sentence for each thing that speaks for or against it. */
export function evidenceSentences(evidence: Evidence): readonly string[] {
  const said = [`Silent for ${span(evidence.silent_for)}`];
  if (evidence.answered_in !== undefined) said.push(`its last answer took ${span(evidence.answered_in)}`);
  said.push(
    evidence.missed_pings === 0
      ? 'no heartbeat is unanswered'
      : `${counted(evidence.missed_pings, 'heartbeat')} in a row without an answer`,
  );
  if (evidence.missed_probes > 0)
    said.push(`${counted(evidence.missed_probes, 'ping')} of the last probe without an answer`);
  if (evidence.unanswered_for !== undefined)
    said.push(`the oldest unanswered ping is ${span(evidence.unanswered_for)} old`);
  if (evidence.blocked_for !== undefined)
    said.push(`bytes have waited for ${span(evidence.blocked_for)} and the peer took none`);
  if (evidence.queued_bytes !== undefined && evidence.queued_bytes > 0)
    said.push(`${bytes(evidence.queued_bytes)} wait to be sent`);
  if (evidence.unacked_for !== undefined)
    said.push(`its kernel has acknowledged nothing for ${span(evidence.unacked_for)}`);
  return said.map((sentence) => `${capital(sentence)}.`);
}

/** One connection in a sentence. */
export function connectionSentence(connection: Connection): string {
  const life = connection.heartbeat === 'app' ? 'frames of the page count as life' : 'protocol pongs count as life';
  const until = connection.expires_in === undefined ? '' : `, its token ends in ${span(connection.expires_in)}`;
  return `${capital(livenessWord(connection.liveness))}; ${life}${until}.`;
}
