// The conversation: messages, the message under way, how the run goes; and where one reads.

import type { RunView, View, ViewMessage } from '@lychgate/client/messages';
import { useRef } from 'preact/hooks';
import { Button, Empty, Icon, Loading } from '../ui';
import type { Conversation } from './conversation';
import { useNewest } from './newest';
import { MessageView, type Liveness } from './message-view';
import { useReading } from './reading';
import type { Pending } from './unsent';
import { words } from './words';

export function ConversationView({ conversation }: { conversation: Conversation }) {
  const log = useRef<HTMLDivElement>(null);
  const view = conversation.view.value;
  const pending = conversation.outbox.pending.value;
  const { first, shown, hidden, reveal, keepUp } = useNewest(conversation.older.value, view.messages);
  // One after the other: what is there already, then what has to be fetched.
  const earlier = () => (hidden > 0 ? reveal() : void conversation.loadOlder().then(reveal));
  const reading = useReading(log, { view, first, pending: pending.length, onTop: earlier });
  keepUp(reading.below === 'end');
  const isEmpty = view.messages.length === 0 && pending.length === 0;
  return (
    <div class="log-frame">
      <div
        ref={log}
        class="log"
        role="log"
        aria-label={words.conversation}
        // Not per token: the end of an answer is announced as a whole (Room).
        aria-live="off"
        aria-busy={view.run?.status === 'running'}
        tabIndex={0}
        onScroll={reading.onScroll}
      >
        <div class="column">
          {conversation.known.value === 'not yet' && <Loading label={words.conversationLoading} />}
          {conversation.known.value === 'known' && isEmpty && (
            <Empty title={words.emptyTitle}>
              <p>{words.emptyBody}</p>
            </Empty>
          )}
          <OlderLine conversation={conversation} hidden={hidden} onPress={earlier} />
          <Messages view={view} shown={shown} />
          {pending.map((message) => (
            <PendingMessage key={message.id} pending={message} conversation={conversation} />
          ))}
          <Outcome view={view} conversation={conversation} />
        </div>
      </div>
      {reading.below !== 'end' && (
        <div class="to-end">
          <Button icon="down" label={reading.below === 'new' ? words.newBelow : words.toEnd} onPress={reading.toEnd} />
        </div>
      )}
    </div>
  );
}

/** `shown`: the end of all messages, that of the view at the end of it. */
function Messages({ view, shown }: { view: View; shown: readonly ViewMessage[] }) {
  // What the run in flight writes stands behind the last question.
  const asked = shown.findLastIndex(({ role }) => role === 'user');
  const live = livenessOf(view.run);
  const inView = shown.length - view.messages.length;
  return (
    <>
      {shown.map((message, at) => (
        <MessageView key={message.id} message={message} live={at > asked && at >= inView ? live : 'over'} />
      ))}
    </>
  );
}

function livenessOf(run: RunView | undefined): Liveness {
  switch (run?.status) {
    case 'running':
      return 'running';
    case 'error':
      return 'failed';
    case 'finished':
    case 'interrupted':
    case 'cancelled':
    case undefined:
      return 'over';
  }
}

/** What there is above: `hidden` messages that are there and not drawn come before those that have to be fetched. */
function OlderLine({
  conversation,
  hidden,
  onPress,
}: {
  conversation: Conversation;
  hidden: number;
  onPress: () => void;
}) {
  if (hidden > 0) {
    return (
      <p class="older">
        <Button look="bare" label={words.earlier} onPress={onPress} />
      </p>
    );
  }
  switch (conversation.reach.value) {
    case 'none':
      return null;
    case 'start':
      return conversation.older.value.length > 0 ? <p class="hint older">{words.start}</p> : null;
    case 'loading':
      return (
        <p class="hint older" role="status">
          {words.olderLoading}
        </p>
      );
    case 'failed':
      return (
        <p class="hint older" role="alert">
          {words.olderFailed} <Button look="bare" label={words.tryAgain} onPress={onPress} />
        </p>
      );
    case 'more':
      return (
        <p class="older">
          <Button look="bare" label={words.older} onPress={onPress} />
        </p>
      );
  }
}

/** A message that the gateway has not taken yet, or did not take. */
function PendingMessage({ pending, conversation }: { pending: Pending; conversation: Conversation }) {
  return (
    <article class="message own pending" data-pending={pending.phase}>
      <h2 class="unseen">{words.you}</h2>
      <p class="written">{pending.text}</p>
      {pending.phase === 'sending' ? (
        <p class="hint late">{pending.behind === 'nothing' ? words.sending : words.behind}</p>
      ) : (
        <p class="hint wrong" role="alert">
          {words.notSent}: {pending.why}{' '}
          <Button label={words.tryAgain} icon="retry" onPress={() => conversation.tryAgain(pending.id)} />{' '}
          <Button look="bare" label={words.discard} onPress={() => conversation.outbox.discard(pending.id)} />
        </p>
      )}
    </article>
  );
}

/** Asks for an answer once more, or says that this waits. */
function AskAgain({ conversation }: { conversation: Conversation }) {
  const again = conversation.again.value;
  // A message that waits is the next question, and the answer to this one is history.
  if (conversation.outbox.pending.value.length > 0) return null;
  if (again?.phase === 'sending') return <span class="hint">{words.sending}</span>;
  return (
    <>
      {again?.phase === 'refused' && (
        <span role="alert">
          {words.notSent}: {again.why}
        </span>
      )}
      <Button label={words.tryAgain} icon="retry" onPress={() => conversation.askAgain()} />
    </>
  );
}

/** How the run goes or went, below its answer. */
function Outcome({ view, conversation }: { view: View; conversation: Conversation }) {
  const { run } = view;
  switch (run?.status) {
    case 'running': {
      const step = view.steps.findLast(({ done }) => !done);
      return (
        <p class="outcome" data-run="running">
          <span class="dots" aria-hidden="true" />
          {step ? words.step(step.name) : <span class="unseen">{words.writing}</span>}
        </p>
      );
    }
    case 'cancelled':
      return (
        <p class="outcome" data-run="stopped">
          <Icon name="stop" />
          {words.stopped}
        </p>
      );
    case 'error':
      return (
        <p class="outcome wrong" data-run="failed">
          <Icon name="alert" />
          <span>{words.failed(run.error.message)}</span>
          <AskAgain conversation={conversation} />
        </p>
      );
    case 'interrupted':
      return (
        <p class="outcome" data-run="interrupted">
          <Icon name="wait" />
          {run.interrupts[0]?.message ?? words.interrupted}
        </p>
      );
    case 'finished':
      return null;
    case undefined:
      return conversation.outbox.pending.value.length > 0 || !isUnanswered(view.messages) ? null : (
        <p class="outcome" data-run="unanswered">
          <Icon name="alert" />
          <span>{words.noAnswer}</span>
          <AskAgain conversation={conversation} />
        </p>
      );
  }
}

/** A run that failed before its first word leaves the question alone. */
function isUnanswered(messages: readonly ViewMessage[]): boolean {
  return messages.at(-1)?.role === 'user';
}
