// Everything that the README shows, and the examples, with the built package and a real gateway.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { build, preview } from 'vite';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Gateway, token } from './gateway.js';
import { Installed } from './installed.js';

let gateway: Gateway;
let installed: Installed;
let env: Record<string, string>;
beforeAll(async () => {
  [gateway, installed] = await Promise.all([Gateway.start(), Installed.build()]);
  env = { LYCHGATE_URL: gateway.url, LYCHGATE_TOKEN: token('reader') };
}, 120_000);
afterAll(() => Promise.all([gateway.stop(), installed.remove()]), 30_000);

/** The fenced blocks of the README, by language. */
async function blocks(): Promise<{ language: string; text: string; line: number }[]> {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  return [...readme.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(({ 1: language = '', 2: text = '', index }) => ({
    language,
    text,
    line: readme.slice(0, index).split('\n').length,
  }));
}

describe('the README', () => {
  it('has no block that nothing here looks at', async () => {
    const languages = new Set((await blocks()).map(({ language }) => language));
    expect([...languages].sort()).toEqual(['js', 'ts', 'tsx']);
  });

  it('type-checks, and so do the examples, as a program of who installed the package', async () => {
    const typed = (await blocks()).filter(({ language }) => language !== 'js');
    expect(typed.length).toBeGreaterThan(6);
    for (const { language, text, line } of typed) {
      await writeFile(join(installed.home, `readme-line-${line}.${language}`), text);
    }
    await installed.example('react');
    const compilerOptions = {
      target: 'ES2022',
      module: 'ESNext',
      moduleResolution: 'bundler',
      lib: ['ES2023', 'DOM', 'DOM.Iterable'],
      jsx: 'react-jsx',
      strict: true,
      noEmit: true,
      moduleDetection: 'force',
      types: ['node'],
    };
    // Declarations are checked, ours among them; those of `ai` want types of a package that it does not bring.
    const missing = 'export type JSONSchema7 = object; export type JSONSchema7Definition = object;';
    await writeFile(join(installed.home, 'missing.d.ts'), `declare module 'json-schema' { ${missing} }`);
    await writeFile(join(installed.home, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    await installed.tool('tsc', ['-p', installed.home]);
  }, 120_000);

  it('runs', async () => {
    const runnable = (await blocks()).filter(({ language }) => language === 'js');
    expect(runnable).toHaveLength(1);
    for (const { text, line } of runnable) {
      const file = join(installed.home, `readme-line-${line}.mjs`);
      await writeFile(file, text);
      expect(await installed.node(file, [], env)).toBe('I counted: your message has 4 words.\nfinished\n');
    }
  }, 30_000);
});

describe('the example', () => {
  it('for Node asks a question, and goes on with its conversation', async () => {
    const example = join(await installed.example('node'), 'chat.mjs');
    const thread = { ...env, LYCHGATE_THREAD: 'from-a-terminal' };
    expect(await installed.node(example, ['use', 'a', 'tool'], thread)).toBe(
      '(calls count_words)\nI counted: your message has 3 words.\n',
    );
    expect(await installed.node(example, [], thread)).toBe('You said "hello", and it came through well.\n');
    await expect(installed.node(example, ['an error please'], thread)).rejects.toThrow('the error that you asked for');
  }, 60_000);

  it('with React is built by Vite, and chats in a browser', async () => {
    const root = await installed.example('react');
    await build({ root, logLevel: 'silent' });
    const server = await preview({ root, logLevel: 'silent', preview: { host: '127.0.0.1', port: 0 } });
    onTestFinished(() => server.close());
    // It listens on a port, so its address is one of these.
    const { port } = server.httpServer.address() as AddressInfo;
    await chat(`http://127.0.0.1:${port}/`);
  }, 120_000);

  it('without a bundler chats in a browser', async () => {
    const serve = join(await installed.example('plain'), 'serve.mjs');
    const server = spawn(process.execPath, [serve], { env: { ...process.env, PORT: '0' } });
    onTestFinished(() => void server.kill());
    const [said] = await once(server.stdout, 'data');
    await chat(/http:\S+/.exec(String(said))?.[0] ?? '');
  }, 60_000);
});

/** Connects, asks, reads the answer, and finds it again after a reload. */
async function chat(url: string): Promise<void> {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  const connect = async () => {
    await page.getByLabel('Gateway').fill(gateway.origin);
    await page.getByLabel('Token').fill(token('browser'));
    await page.getByRole('button', { name: 'Connect' }).click();
  };
  await page.goto(url);
  await connect();
  await page.getByLabel('Message').fill('hello');
  await page.getByRole('button', { name: 'Send' }).click();
  const answer = page.getByRole('listitem').filter({ hasText: 'You said "hello", and it came through well.' });
  await answer.waitFor();
  await page.reload();
  await connect();
  await answer.waitFor();
  expect(errors).toEqual([]);
}
