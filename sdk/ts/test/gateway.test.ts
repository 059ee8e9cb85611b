import { expect, test } from 'vitest';
import WebSocket from 'ws';

import { Gateway, token, until } from './gateway.js';

test('the gateway of the tests starts, speaks, and comes back on the same port', async () => {
  const gateway = await Gateway.start();
  try {
    const { url } = gateway;
    await gateway.restart();
    expect(gateway.url).toBe(url);
    const frames: unknown[] = [];
    const socket = new WebSocket(url, ['lychgate.v1', `lychgate.bearer.${token('ann')}`]);
    socket.on('open', () => socket.send('{"type":"hello"}'));
    socket.on('message', (text) => frames.push(JSON.parse(String(text))));
    await until('hello', () => frames.length > 0);
    expect(frames[0]).toMatchObject({ type: 'hello', user: 'ann' });
    socket.close();
    expect(await gateway.metric('lychgate_build_info')).toBeGreaterThanOrEqual(0);
  } finally {
    await gateway.stop();
  }
});
