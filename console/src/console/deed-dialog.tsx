/** Asks before it is done, does it once, and says what became of it. */

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { failureSentence, once, type Failure } from './ask';
import { Dialog } from '../ui';
import { useDesk } from './state/desk';
import type { Deed } from './user/deeds';

export interface DeedDialogProps {
  deed: Deed;
  /** Why it cannot be confirmed yet. */
  refuses?: string | undefined;
  /** Something to type first. */
  children?: ComponentChildren;
  /** It is over, done or not. */
  onClose: (end: 'done' | 'cancelled') => void;
}

export function DeedDialog({ deed, refuses, children, onClose }: DeedDialogProps) {
  const desk = useDesk();
  // One key for all tries of one dialog: an order whose answer was lost is not done a second time.
  const [key] = useState(once);
  const [doing, mark] = useState(false);
  const [failure, fail] = useState<Failure | undefined>(undefined);
  const gone = useRef(false);
  // Whoever goes to another page meanwhile is told there.
  useEffect(() => () => void (gone.current = true), []);
  const confirm = async () => {
    if (doing) return;
    mark(true);
    fail(undefined);
    const answer = await deed.send(desk.ask, key);
    if (answer.ok) {
      desk.note(answer.value, answer.request);
      if (!gone.current) onClose('done');
      return;
    }
    mark(false);
    if (gone.current) desk.note(`${deed.title} failed: ${failureSentence(answer.failure)}`, requestOf(answer.failure));
    else fail(answer.failure);
  };
  const cancel = () => {
    gone.current = true;
    onClose('cancelled');
  };
  return (
    <Dialog
      title={deed.title}
      confirm={failure === undefined ? deed.confirm : 'Try again'}
      look={deed.look}
      refuses={doing ? 'It is being done.' : refuses}
      onConfirm={() => void confirm()}
      onCancel={cancel}
    >
      {deed.asks.map((sentence) => (
        <p key={sentence}>{sentence}</p>
      ))}
      {children}
      {doing && (
        <p class="hint" role="status">
          Being done. It goes on if this dialog is closed.
        </p>
      )}
      {failure !== undefined && <Failed failure={failure} />}
    </Dialog>
  );
}

function Failed({ failure }: { failure: Failure }) {
  const request = requestOf(failure);
  return (
    <div role="alert" class="failed">
      <p>Not done. {failureSentence(failure)}</p>
      {request !== undefined && (
        <p class="hint">
          In the audit log as <code>{request}</code>
        </p>
      )}
    </div>
  );
}

function requestOf(failure: Failure): string | undefined {
  return failure.kind === 'refused' ? failure.request : undefined;
}
