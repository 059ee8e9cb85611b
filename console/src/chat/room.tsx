// The page of somebody who is logged in: conversations at the side (on a phone in a drawer), the one that is shown,
// what the network does, and the field to write in.

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Button } from '../ui';
import type { Chat } from './chat';
import { Composer } from './composer';
import { ConversationView } from './conversation-view';
import { Drawer } from './drawer';
import { NetworkLine } from './network-line';
import { route, show } from './route';
import { Sidebar } from './sidebar';
import { wide } from './viewport';
import { words } from './words';

export function Room({ chat, by }: { chat: Chat; by: 'cookie' | 'token' }) {
  const drawer = useSignal<'open' | 'shut'>('shut');
  const composer = useRef<HTMLTextAreaElement>(null);
  const conversation = chat.conversation.value;
  const title = titleOf(chat, route.value);
  useEffect(() => {
    document.title = route.value === undefined ? words.product : `${title} - ${words.product}`;
  }, [title]);
  const choose = (thread: string | undefined) => {
    drawer.value = 'shut';
    show(thread);
    // Where one chose with the keyboard, the next thing is to read or to write: the field is at the end of both.
    composer.current?.focus({ preventScroll: true });
  };
  return (
    <div class="room">
      <a class="skip" href="#message" onClick={(event) => (event.preventDefault(), composer.current?.focus())}>
        {words.skip}
      </a>
      {wide.value && (
        <nav class="side" aria-label={words.conversations}>
          <Sidebar chat={chat} by={by} onChoose={choose} />
        </nav>
      )}
      {!wide.value && drawer.value === 'open' && (
        <Drawer onClose={() => (drawer.value = 'shut')}>
          <Sidebar chat={chat} by={by} onChoose={choose} />
        </Drawer>
      )}
      <main class="talk">
        <header class="talk-head">
          {!wide.value && (
            <Button
              look="square"
              icon="menu"
              label={words.openConversations}
              expanded={drawer.value === 'open'}
              onPress={() => (drawer.value = 'open')}
            />
          )}
          <h1>{title}</h1>
          {!wide.value && (
            <Button look="square" icon="plus" label={words.newConversation} onPress={() => choose(undefined)} />
          )}
        </header>
        {conversation && <ConversationView key={keyOf(conversation)} conversation={conversation} />}
        <footer class="talk-foot">
          <NetworkLine chat={chat} />
          {conversation && (
            <Composer key={keyOf(conversation)} chat={chat} conversation={conversation} field={composer} />
          )}
        </footer>
      </main>
      <p class="unseen" aria-live="polite" aria-atomic="true" data-announcement>
        {chat.spoken.value}
      </p>
    </div>
  );
}

/** Components of a conversation live as long as it does: also while a new one gets its id. */
const keys = new WeakMap<object, number>();
let lastKey = 0;

function keyOf(conversation: object): number {
  const known = keys.get(conversation) ?? (lastKey += 1);
  keys.set(conversation, known);
  return known;
}

function titleOf(chat: Chat, thread: string | undefined): string {
  if (thread === undefined) return words.newConversation;
  const isEmpty = chat.conversation.value?.view.value.messages.length === 0;
  return chat.threads.titleOf(thread) ?? (isEmpty ? words.newConversation : words.untitled);
}
