// useChat itself, drawn by React, over the transport and a real gateway.

import './dom.js';
import { useChat } from '@ai-sdk/react';
import type { UIMessage } from 'ai';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { expect, it, onTestFinished } from 'vitest';
import WebSocket from 'ws';
import { LychgateChatTransport } from '../src/ai-sdk.js';
import { connect } from '../src/index.js';
import { Gateway, token, until } from './gateway.js';

interface Drawn {
  readonly page: HTMLElement;
  ask?: (text: string) => Promise<void>;
  close: () => Promise<void>;
}

function Page({
  id,
  transport,
  known,
  drawn,
}: {
  id: string;
  transport: LychgateChatTransport;
  known: UIMessage[];
  drawn: Drawn;
}) {
  const { messages, sendMessage, status } = useChat({ id, transport, messages: known, resume: true });
  drawn.ask = (text) => sendMessage({ text });
  const lines = messages.map(({ id, parts }) => (
    <li key={id}>{parts.map((part) => (part.type === 'text' ? part.text : ''))}</li>
  ));
  return (
    <>
      <p>{status}</p>
      {lines}
    </>
  );
}

/** Opens the page, as a load or a reload does. */
async function open(gateway: Gateway, id: string): Promise<Drawn> {
  const client = connect({ url: gateway.url, WebSocket, token: () => token('drawn'), prev: null });
  const transport = new LychgateChatTransport({ client });
  const known = await transport.messages(id);
  const page = document.createElement('main');
  const root = createRoot(page);
  const drawn: Drawn = { page, close: () => (root.unmount(), client.close()) };
  root.render(
    <StrictMode>
      <Page id={id} transport={transport} known={known} drawn={drawn} />
    </StrictMode>,
  );
  await until('the page to be drawn', () => page.querySelector('p') !== null);
  return drawn;
}

const lines = ({ page }: Drawn) => [...page.querySelectorAll('li')].map((line) => line.textContent ?? '');
const status = ({ page }: Drawn) => page.querySelector('p')?.textContent;

it('useChat draws an answer as it comes, and a page that reloads in its middle draws all of it', async () => {
  const gateway = await Gateway.start({ 'agents.demo': { delay: '40ms' } });
  onTestFinished(() => gateway.stop(), 30_000);
  const question = 'a question whose answer takes a while, so that there is time to reload';
  const first = await open(gateway, 'drawn');
  await until('the page to be ready', () => status(first) === 'ready');
  void first.ask?.(question);
  await until('a piece of the answer', () => (lines(first)[1] ?? '').startsWith('You said'));
  await first.close();

  const second = await open(gateway, 'drawn');
  await until('the answer', () => lines(second)[1] === `You said "${question}", and it came through well.`);
  await until('the page to be ready', () => status(second) === 'ready');
  expect(lines(second)).toHaveLength(2);
  await second.ask?.('thank you');
  expect(lines(second)).toHaveLength(4);
  await second.close();
}, 60_000);
