// The hooks as React runs them: mounted twice by StrictMode, shared by components, gone with them.

import './dom.js';
import { StrictMode } from 'react';
import { type Root, createRoot } from 'react-dom/client';
import { afterAll, afterEach, beforeAll, expect, it, onTestFinished } from 'vitest';
import WebSocket from 'ws';
import { type Client, connect } from '../src/index.js';
import { type ConnectionHandle, type ThreadHandle, useConnection, useThread } from '../src/react.js';
import { Gateway, token, until } from './gateway.js';
import { Proxy } from './proxy.js';

let gateway: Gateway;
const clients: Client[] = [];
const roots: Root[] = [];
beforeAll(async () => {
  gateway = await Gateway.start({ 'agents.demo': { delay: '20ms' } });
}, 30_000);
afterEach(async () => {
  for (const root of roots.splice(0)) root.unmount();
  await Promise.all(clients.splice(0).map((client) => client.close()));
});
afterAll(() => gateway.stop(), 30_000);

function clientOf(user: string, url = gateway.url): Client {
  const client = connect({ url, WebSocket, token: () => token(user), prev: null });
  clients.push(client);
  return client;
}

function mounted(element: React.ReactNode): { root: Root; page: HTMLElement } {
  const page = document.createElement('main');
  const root = createRoot(page);
  roots.push(root);
  root.render(<StrictMode>{element}</StrictMode>);
  return { root, page };
}

/** Draws a thread, and hands out what the hook gave last. */
function Conversation({ client, id, seen }: { client: Client; id: string; seen: { thread?: ThreadHandle } }) {
  const thread = useThread(client, id);
  seen.thread = thread;
  return (
    <ol>
      {thread.view.messages.map((message) => (
        <li key={message.id}>{message.parts.map((part) => ('text' in part ? part.text : ''))}</li>
      ))}
    </ol>
  );
}

function Connection({ client, seen }: { client: Client; seen: { connection?: ConnectionHandle } }) {
  seen.connection = useConnection(client);
  return <p>{seen.connection.state.phase}</p>;
}

const lines = (page: HTMLElement) => [...page.querySelectorAll('li')].map((line) => line.textContent);
const sessions = () => gateway.metric('lychgate_sessions');

it('a thread is drawn as it is told, and holds one slot, in StrictMode too, until its component is gone', async () => {
  const seen: { thread?: ThreadHandle } = {};
  const client = clientOf('drawn');
  const { root, page } = mounted(<Conversation client={client} id="a" seen={seen} />);
  await until('the thread to be open', () => seen.thread?.state.phase === 'open');
  expect(await sessions()).toBe(1);
  seen.thread?.send('hello there');
  await until('a piece of the answer', () => (lines(page)[1] ?? '').startsWith('You said'));
  await until('the end of the run', () => seen.thread?.view.run?.status === 'finished');
  expect(lines(page)).toEqual(['hello there', 'You said "hello there", and it came through well.']);
  root.unmount();
  await until('the slot to be free', async () => (await sessions()) === 0);
  expect(client.state.phase).toBe('online');
});

it('components that show one thread show the same, and one that stays keeps it open', async () => {
  const client = clientOf('shared');
  const [one, other]: { thread?: ThreadHandle }[] = [{}, {}];
  const first = mounted(<Conversation client={client} id="b" seen={one ?? {}} />);
  await until('the first to be open', () => one?.thread?.state.phase === 'open');
  one?.thread?.send('how are you');
  await until('the answer to begin', () => lines(first.page).length === 2);
  const second = mounted(<Conversation client={client} id="b" seen={other ?? {}} />);
  await until('the second to have it too', () => lines(second.page).length === 2);
  expect(other?.thread?.view).toBe(one?.thread?.view);
  first.root.unmount();
  await until('the end of the run', () => other?.thread?.view.run?.status === 'finished');
  expect(lines(second.page).at(-1)).toBe('You said "how are you", and it came through well.');
});

it('a thread that is over for good is opened anew by what a person does, and the component shows that one', async () => {
  const seen: { thread?: ThreadHandle } = {};
  const client = clientOf('over');
  const { page } = mounted(<Conversation client={client} id="a" seen={seen} />);
  await until('the thread to be open', () => seen.thread?.state.phase === 'open');
  client.thread('a').leave();
  await until('its end', () => seen.thread?.state.phase === 'closed');
  const run = seen.thread?.send('hello again');
  expect((await run?.done)?.outcome).toBe('finished');
  await until('the answer', () => lines(page).includes('You said "hello again", and it came through well.'));
  expect(seen.thread?.state.phase).toBe('open');
});

it('another id shows the other thread', async () => {
  const seen: { thread?: ThreadHandle } = {};
  const client = clientOf('moved');
  const { root } = mounted(<Conversation client={client} id="c1" seen={seen} />);
  await until('the first to be open', () => seen.thread?.state.phase === 'open');
  await seen.thread?.send('first').done;
  root.render(
    <StrictMode>
      <Conversation client={client} id="c2" seen={seen} />
    </StrictMode>,
  );
  await until(
    'the other to be open',
    () => seen.thread?.state.phase === 'open' && seen.thread.view.messages.length === 0,
  );
  await until('the first to be left', async () => (await sessions()) === 1);
});

it('waiting in the queue is told with its position, and who had to make room comes back when woken', async () => {
  const limits = { max_sessions_per_user: 1, reserve_sessions: 0 };
  const narrow = await Gateway.start({ limits });
  onTestFinished(() => narrow.stop());
  const [ahead, waiting]: { thread?: ThreadHandle }[] = [{}, {}];
  const client = clientOf('queued', narrow.url);
  mounted(<Conversation client={client} id="d1" seen={ahead ?? {}} />);
  await until('the first to be open', () => ahead?.thread?.state.phase === 'open');
  ahead?.thread?.send('please stall');
  await until('the run to be in flight', () => ahead?.thread?.view.run?.status === 'running');
  mounted(<Conversation client={client} id="d2" seen={waiting ?? {}} />);
  await until('the queue', () => waiting?.thread?.position === 1);
  expect(waiting?.thread?.state).toMatchObject({ phase: 'queued', position: 1 });
  await until('the slot', () => waiting?.thread?.state.phase === 'open');
  expect(waiting?.thread?.position).toBeUndefined();
  await until('the first to sleep', () => ahead?.thread?.state.phase === 'asleep');
  ahead?.thread?.wake();
  await until('the first to be back', () => ahead?.thread?.state.phase === 'open');
}, 30_000);

it('a refusal is told, and gone with the next question', async () => {
  const seen: { thread?: ThreadHandle } = {};
  mounted(<Conversation client={clientOf('refused')} id="e" seen={seen} />);
  await until('the thread to be open', () => seen.thread?.state.phase === 'open');
  seen.thread?.send('please stall');
  await until('the run to be in flight', () => seen.thread?.view.run?.status === 'running');
  const refused = seen.thread?.send('and another one');
  await until('the refusal', () => seen.thread?.error?.code === 'busy');
  expect(await refused?.done).toMatchObject({ outcome: 'error', code: 'busy' });
  seen.thread?.stop();
  await until('the run to be over', () => seen.thread?.view.run?.status === 'cancelled');
  const { done } = seen.thread?.send('now') ?? {};
  await until('the refusal to be gone', () => seen.thread?.error === undefined);
  expect(await done).toEqual({ outcome: 'finished' });
});

it('a connection is drawn: online, away, and back', async () => {
  const line = await Proxy.start(gateway.port);
  try {
    const seen: { connection?: ConnectionHandle } = {};
    const { page } = mounted(<Connection client={clientOf('connected', line.url)} seen={seen} />);
    await until('to be online', () => page.textContent === 'online');
    expect(seen.connection).toMatchObject({ user: 'connected', limits: { limit: 20 } });
    line.refuse();
    line.cut();
    await until('to be waiting', () => page.textContent === 'waiting');
    line.accept();
    seen.connection?.wake();
    await until('to be back', () => page.textContent === 'online');
  } finally {
    await line.stop();
  }
});
