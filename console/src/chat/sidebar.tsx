// Conversations, the one that was active last first; below them who is logged in.

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Button, Dialog, Empty, Failure, Icon, Loading, ThemeSwitch } from '../ui';
import type { ThreadRow } from './api';
import type { Chat } from './chat';
import { keep } from './keep';
import { addressOf, route } from './route';
import { leave } from './session';
import { ago, words } from './words';

interface SidebarProps {
  chat: Chat;
  by: 'cookie' | 'token';
  onChoose: (thread: string | undefined) => void;
}

export function Sidebar({ chat, by, onChoose }: SidebarProps) {
  const rows = chat.threads.rows.value;
  return (
    <>
      <div class="side-head">
        <h2>{words.conversations}</h2>
        <Button look="square" icon="plus" label={words.newConversation} onPress={() => onChoose(undefined)} />
      </div>
      <div class="side-list">
        {rows.length > 0 && (
          <ul>
            {rows.map((row) => (
              <Row
                key={row.thread}
                row={row}
                title={chat.threads.titleOf(row.thread, row)}
                shown={row.thread === route.value ? 'page' : undefined}
                onChoose={onChoose}
              />
            ))}
          </ul>
        )}
        <Below chat={chat} />
      </div>
      <Account chat={chat} by={by} />
    </>
  );
}

interface RowProps {
  row: ThreadRow;
  title: string | undefined;
  shown: 'page' | undefined;
  onChoose: SidebarProps['onChoose'];
}

/** A link, so that it opens in another tab the way links do. */
const Row = keep(function Row({ row, title, shown, onChoose }: RowProps) {
  const plain = (event: MouseEvent) => event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
  return (
    <li>
      <a
        class="row"
        href={addressOf(row.thread)}
        aria-current={shown}
        onClick={(event) => {
          if (!plain(event)) return;
          event.preventDefault();
          onChoose(row.thread);
        }}
      >
        <span class="row-title">{title ?? words.untitled}</span>
        {row.run === undefined ? (
          <span class="row-time">{ago(row.written, Date.now())}</span>
        ) : (
          <span class="row-run">
            <span class="dots" aria-hidden="true" />
            <span class="unseen">{words.answering}</span>
          </span>
        )}
      </a>
    </li>
  );
});

/** What stands below the rows: nothing more, more when it is scrolled to, or why not. */
function Below({ chat }: { chat: Chat }) {
  const list = chat.threads;
  const reach = list.reach.value;
  switch (reach.phase) {
    case 'loading':
      return <Loading label={list.rows.value.length === 0 ? words.conversationsLoading : words.moreLoading} />;
    case 'failed':
      return <Failure title={words.conversationsFailed} why={reach.why} onRetry={() => void list.more()} />;
    case 'more':
      return <More onMore={() => void list.more()} />;
    case 'end':
      return list.rows.value.length === 0 ? <Empty title={words.noConversations} /> : null;
  }
}

/** A button for whoever does not scroll; coming into view presses it. */
function More({ onMore }: { onMore: () => void }) {
  const mark = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const watch = new IntersectionObserver(
      (entries) => entries.some(({ isIntersecting }) => isIntersecting) && onMore(),
    );
    if (mark.current) watch.observe(mark.current);
    return () => watch.disconnect();
  }, []);
  return (
    <div ref={mark} class="side-more">
      <Button look="bare" label={words.more} onPress={onMore} />
    </div>
  );
}

function Account({ chat, by }: { chat: Chat; by: 'cookie' | 'token' }) {
  const asking = useSignal<'no' | 'yes' | 'leaving'>('no');
  const wrong = useSignal<string | undefined>(undefined);
  const out = () => {
    asking.value = 'leaving';
    leave().catch((error: unknown) => {
      asking.value = 'yes';
      wrong.value = error instanceof Error ? error.message : String(error);
    });
  };
  return (
    <div class="account">
      <Icon name="user" />
      <span class="account-name" title={chat.user}>
        <span class="unseen">{words.loggedInAs('')}</span>
        {chat.user}
      </span>
      <ThemeSwitch />
      <Button look="bare" label={words.logOut} onPress={() => (asking.value = 'yes')} />
      {asking.value !== 'no' && (
        <Dialog
          title={words.logOutTitle}
          confirm={words.logOut}
          refuses={asking.value === 'leaving' ? words.loginAsking : undefined}
          onConfirm={out}
          onCancel={() => (asking.value = 'no')}
        >
          <p>{by === 'cookie' ? words.logOutBody : words.forgetToken}</p>
          {wrong.value !== undefined && (
            <p class="hint wrong" role="alert">
              {wrong.value}
            </p>
          )}
        </Dialog>
      )}
    </div>
  );
}
