// Headless Chromium logs in at a provider, talks over a WebSocket with the login's cookie, and logs out.
//
//   page of the gateway --cookie--> /v1/ws --> streamed answer      page of another origin --cookie--> refused
//   "Log out" in one tab --> 4513 in the other --> reconnect: unauthorized
//
// Reads DRIVER_HOME (the directory that holds node_modules) and GATEWAY_URL (http://host:port). Prints one `checked: ...`
// line for each thing that it made sure of. Exit code 0 only if all of them hold.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const DEADLINE_MS = 120_000;
// A subject of Google: larger than 64 bits.
const USER = '105945141827451681156';

const { DRIVER_HOME, GATEWAY_URL } = process.env;
if (!DRIVER_HOME || !GATEWAY_URL) {
  console.error('DRIVER_HOME and GATEWAY_URL must be set');
  process.exit(1);
}
const { chromium } = createRequire(pathToFileURL(`${DRIVER_HOME}/`))('playwright-core');
let last = 'nothing yet';
const checked = (what) => {
  last = what;
  console.log(`checked: ${what}`);
};
setTimeout(() => fail(new Error(`no end within ${DEADLINE_MS} ms`)), DEADLINE_MS).unref();

/** A page of an origin that is not the gateway's, but of the same host: a browser sends our cookies along. */
const foreign = createServer((_, response) => {
  response.writeHead(200, { 'content-type': 'text/html' });
  response.end(`<!doctype html><form method="post" action="${GATEWAY_URL}/v1/logout"><button>win a prize</button></form>`);
});
await new Promise((resolve) => foreign.listen(0, '127.0.0.1', resolve));
const foreignUrl = `http://127.0.0.1:${foreign.address().port}/`;

/** Runs in the page: what a socket hears from hello to the end of a run, or to its close. */
function talk([url, question]) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, ['lychgate.v1']);
    const heard = { text: '', pieces: 0, errors: [] };
    const say = (frame) => socket.send(JSON.stringify(frame));
    socket.onopen = () => say({ type: 'hello' });
    // A policy that forbids it is told by this alone.
    socket.onerror = () => resolve({ ...heard, code: 'no socket' });
    socket.onclose = ({ code, reason }) => resolve({ ...heard, code, reason });
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === 'hello') {
        heard.user = frame.user;
        say({ type: 'open', thread: 't1' });
      } else if (frame.type === 'opened') {
        const input = { messages: [{ id: `${question}-u`, role: 'user', content: question }] };
        say({ type: 'run', thread: 't1', run: crypto.randomUUID(), input });
      } else if (frame.type === 'error') {
        heard.errors.push(frame.code);
      } else if (frame.type === 'event' && frame.event.type === 'TEXT_MESSAGE_CONTENT') {
        heard.text += frame.event.delta;
        heard.pieces += 1;
      } else if (frame.type === 'event' && frame.event.type === 'RUN_FINISHED') {
        resolve(heard);
      }
    };
  });
}

/** Runs in the page: opens a socket that stays; its end is kept for later. */
function stay(url) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, ['lychgate.v1']);
    window.ended = new Promise((ended) => {
      socket.onclose = ({ code, reason }) => ended({ code, reason });
    });
    socket.onopen = () => socket.send(JSON.stringify({ type: 'hello' }));
    socket.onmessage = ({ data }) => JSON.parse(data).type === 'hello' && resolve();
  });
}

const socketUrl = `${GATEWAY_URL.replace('http', 'ws')}/v1/ws`;
// A page of the gateway's origin whose policy lets a script of ours connect: the front page's allows nothing.
const plainPage = `${GATEWAY_URL}/v1/me`;

async function logIn(context) {
  const page = await context.newPage();
  await page.goto(GATEWAY_URL);
  await page.getByRole('link', { name: 'Log in with oidc-provider' }).click();
  await page.locator('input[name=name]').fill(USER);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByText(`You are logged in as ${USER}`).waitFor();
  checked('a login at the provider, and Google\'s id is the user\'s');
  assert.equal(await page.evaluate(() => document.cookie), '');
  const cookie = (await context.cookies()).find(({ name }) => name === '__Host-lychgate');
  assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite, cookie.path], [true, true, 'Lax', '/']);
  checked('the browser takes the __Host- cookie on loopback, and no script sees it');
  return page;
}

async function answered(context) {
  const page = await context.newPage();
  await page.goto(plainPage);
  const heard = await page.evaluate(talk, [socketUrl, 'hello there']);
  assert.equal(heard.user, USER);
  assert.equal(heard.text, 'You said "hello there", and it came through well.');
  assert.ok(heard.pieces > 1, `${heard.pieces} pieces`);
  checked('from the login to a streamed answer, with the cookie alone');
  return page;
}

async function otherOrigin(context) {
  const page = await context.newPage();
  await page.goto(foreignUrl);
  const heard = await page.evaluate(talk, [socketUrl, 'let me in']);
  assert.deepEqual([heard.code, heard.errors, heard.user], [4501, ['unauthorized'], undefined]);
  checked('a page of another origin opens no socket with the cookie');
  const fetched = await page.evaluate(async (url) => {
    const take = (path, init) => fetch(url + path, { credentials: 'include', ...init }).then((r) => r.status, () => 'blocked');
    return [await take('/v1/me'), await take('/v1/tickets', { method: 'POST' })];
  }, GATEWAY_URL);
  assert.deepEqual(fetched, ['blocked', 'blocked']);
  checked('nor does it read or change anything by fetch');
  await Promise.all([page.waitForURL(`${GATEWAY_URL}/v1/logout`), page.getByRole('button').click()]);
  await page.getByText('Only a page of this service may log you out').waitFor();
  await page.goto(GATEWAY_URL);
  await page.getByText(`You are logged in as ${USER}`).waitFor();
  checked('nor does its form log the user out');
  await page.close();
}

async function logOut(front, tab) {
  await tab.evaluate(stay, socketUrl);
  await front.goto(GATEWAY_URL);
  await front.getByRole('button', { name: 'Log out' }).click();
  await front.getByRole('link', { name: 'Log in with oidc-provider' }).waitFor();
  const { code, reason } = await tab.evaluate(() => window.ended);
  assert.equal(code, 4513);
  assert.deepEqual(JSON.parse(reason), { reason: 'logged_out', reconnect: false });
  checked('logout in one tab closes the socket of another with 4513');
  const heard = await tab.evaluate(talk, [socketUrl, 'again']);
  assert.deepEqual([heard.code, heard.errors], [4501, ['unauthorized']]);
  checked('and nobody comes back without a new login');
}

function fail(reason) {
  process.stderr.write(`Chromium FAILED: ${reason.stack}\nThe last thing that was checked: ${last}\n`);
  process.exit(1);
}

try {
  // CI runs as root, for whom Chromium has no sandbox.
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  const context = await browser.newContext();
  const front = await logIn(context);
  const tab = await answered(context);
  await otherOrigin(context);
  await logOut(front, tab);
  await browser.close();
  foreign.close();
} catch (reason) {
  fail(reason);
}
