// The field to write in. It never goes away and never loses a text: what cannot be sent now stays, and says why.

import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Button } from '../ui';
import type { Chat } from './chat';
import type { Conversation } from './conversation';
import { MOST_PENDING } from './outbox';
import { words } from './words';

/** Of the text as JSON has it. A frame holds 256 KiB, of which ids need some. */
const MOST_BYTES = 250_000;
const TALLEST_PX = 240;
const KEEP_AFTER_MS = 300;

interface ComposerProps {
  chat: Chat;
  conversation: Conversation;
  field: RefObject<HTMLTextAreaElement | null>;
}

export function Composer({ chat, conversation, field }: ComposerProps) {
  const [text, setText, forgetText] = useDraft(chat, conversation);
  const stopping = conversation.stopping.value;
  const run = conversation.view.value.run;
  const running = run?.status === 'running';
  const refuses = refusal(conversation, text);
  const send = () => {
    if (refuses !== undefined) {
      chat.spoken.value = refuses;
      return;
    }
    // First: a new conversation has another name once something was sent, and the draft stands under the old one.
    forgetText();
    conversation.send(text.trim());
  };
  useLayoutEffect(() => grow(field.current), [text]);
  useLayoutEffect(() => {
    // With a mouse the next thing is to write; on a phone the keyboard would cover what one came to read.
    if (matchMedia('(pointer: fine)').matches) field.current?.focus({ preventScroll: true });
  }, []);
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <label class="unseen" for="message">
        {words.message}
      </label>
      <textarea
        ref={field}
        id="message"
        rows={1}
        value={text}
        placeholder={words.placeholder}
        aria-describedby="message-hint"
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          // While a word is being composed (Japanese, Chinese), Enter ends the word and not the message.
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          send();
        }}
      />
      {running ? (
        <Button
          label={stopping?.run === run.id ? words.stopping : words.stop}
          icon="stop"
          refuses={stopping?.run === run.id && stopping.press === 'once' ? words.stopping : undefined}
          onPress={() => {
            conversation.stop();
            field.current?.focus();
          }}
        />
      ) : (
        <Button label={words.send} icon="send" look="main" type="submit" refuses={refuses} onPress={() => undefined} />
      )}
      <p id="message-hint" class="hint">
        {text.trim() !== '' && refuses !== undefined ? refuses : words.keys}
      </p>
    </form>
  );
}

/** Why a text cannot be sent now; nothing if it can. Without a connection it can: it is sent when there is one. */
function refusal(conversation: Conversation, text: string): string | undefined {
  if (conversation.view.value.run?.status === 'running') return words.busy;
  const pending = conversation.outbox.pending.value;
  if (pending.some(({ phase }) => phase === 'sending')) return words.stillSending;
  if (conversation.again.value?.phase === 'sending') return words.stillSending;
  if (pending.length >= MOST_PENDING) return words.tooManyPending;
  if (conversation.state.value?.phase === 'closed') return words.waking;
  if (text.trim() === '') return words.nothingToSend;
  const over = new TextEncoder().encode(JSON.stringify(text)).length - MOST_BYTES;
  return over > 0 ? words.tooLong(over) : undefined;
}

/**
 * The text of the field, which outlives a reload, how it is changed, and how it is forgotten at once. Written when a
 * pause is made and when the page or the field goes, under the name that the conversation had when it was typed.
 */
function useDraft(chat: Chat, conversation: Conversation): [string, (text: string) => void, () => void] {
  const [text, setText] = useState(() => chat.drafts.read(conversation.id.peek()));
  const unwritten = useRef<{ thread: string | undefined; text: string } | undefined>(undefined);
  const timer = useRef<number | undefined>(undefined);
  const write = () => {
    clearTimeout(timer.current);
    const { current: draft } = unwritten;
    unwritten.current = undefined;
    if (draft) chat.drafts.write(draft.thread, draft.text);
  };
  const type = (next: string) => {
    setText(next);
    unwritten.current = { thread: conversation.id.peek(), text: next };
    clearTimeout(timer.current);
    timer.current = window.setTimeout(write, KEEP_AFTER_MS);
  };
  const forget = () => {
    type('');
    write();
  };
  useEffect(() => {
    window.addEventListener('pagehide', write);
    return () => {
      window.removeEventListener('pagehide', write);
      write();
    };
  }, []);
  return [text, type, forget];
}

/** As tall as its text, up to a bound. Set on the element: the policy allows no style in markup. */
function grow(field: HTMLTextAreaElement | null): void {
  if (!field) return;
  field.style.height = 'auto';
  field.style.height = `${Math.min(field.scrollHeight + 2, TALLEST_PX)}px`;
}
