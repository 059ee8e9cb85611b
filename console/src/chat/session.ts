// Who is logged in, and the way in and out.
//
//   asking --/v1/me: yes--> in --log out | 4513 | 4501--> out --login--> asking
//      ^   --no----------> out          --no answer----> failed --try again--> asking
//      '----the login changed hands---in

import { signal } from '@preact/signals';
import type { ClientState } from '@lychgate/client';
import { Api, ApiError, type Doors, type Me } from './api';
import { type Arrival, Chat } from './chat';
import { dial } from './dial';
import { tellLoggedOut } from './own';
import { rename } from './route';
import { words } from './words';

const TOKEN = 'lychgate.token';
/** A login that changes hands more often than this in a while is no person's doing: the page asks, and does not turn. */
const MOST_CHANGES = 3;
const CHANGES_MS = 30_000;

/** What the page shows. `why` says why one is out, where it was not this page's doing. */
export type Session =
  | { phase: 'asking' }
  | { phase: 'failed'; why: string }
  | { phase: 'out'; doors: Doors; why?: string }
  | { phase: 'in'; chat: Chat; by: 'cookie' | 'token' };

export const session = signal<Session>({ phase: 'asking' });

/** Looks who is logged in, and shows the chat or the login. `changed`: after somebody else was. */
export async function enter(how: Arrival = 'as asked'): Promise<void> {
  session.value = { phase: 'asking' };
  const token = keptToken();
  const api = new Api(token);
  try {
    begin(api, await api.me(), token, how);
  } catch (error) {
    if (!(error instanceof ApiError) || error.kind !== 'out') return failed(error);
    if (token !== undefined) keepToken(undefined);
    await out(token === undefined ? undefined : words.tokenRefused);
  }
}

/**
 * Whether somebody logged in in another tab meanwhile: then this one is in, too. Otherwise nothing changes, also what
 * was typed.
 */
export async function lookAgain(): Promise<void> {
  try {
    await new Api().me();
  } catch {
    return;
  }
  if (session.value.phase === 'out') await enter();
}

/** Logs in by a name alone; throws an ApiError whose message says why not. */
export async function enterAs(name: string): Promise<void> {
  await new Api().logInAs(name);
  await enter();
}

/** Uses a token in this tab; throws an ApiError where it does not count. */
export async function enterWith(token: string): Promise<void> {
  const api = new Api(token);
  try {
    const me = await api.me();
    keepToken(token);
    begin(api, me, token, 'as asked');
  } catch (error) {
    if (error instanceof ApiError && error.kind === 'out') throw new ApiError('out', words.tokenRefused);
    throw error;
  }
}

/** Its socket is closed by its own logout, which nobody else did. */
let leaving: Chat | undefined;

/** Logs this browser out, or, with a token, forgets it. What was typed and not sent goes, too. */
export async function leave(): Promise<void> {
  const { value } = session;
  if (value.phase !== 'in') return;
  leaving = value.chat;
  try {
    if (value.by === 'cookie') await value.chat.api.logOut();
  } catch (error) {
    leaving = undefined;
    throw error;
  }
  keepToken(undefined);
  value.chat.forget();
  if (value.by === 'cookie') tellLoggedOut(value.chat.user);
  await value.chat.close();
  await out(words.loggedOutHere);
}

function begin(api: Api, me: Me, token: string | undefined, how: Arrival): void {
  const client = dial(me.user, token);
  const by = token === undefined ? 'cookie' : 'token';
  const ended = () => void expel(chat, by);
  const changed = () => void changeHands(chat);
  const chat = new Chat({ client, api, me, how, onOut: ended, onStranger: changed });
  client.on('state', (state) => {
    if (state.phase === 'ended' && state.why.reason === 'user_changed') changed();
    else if (isOut(state, by)) ended();
  });
  session.value = { phase: 'in', chat, by };
}

/** When the login changed hands lately. */
let changes: number[] = [];

/** Another user is logged in than the one who is shown: nothing of the one may be seen or written by the other (I8). */
async function changeHands(chat: Chat): Promise<void> {
  const { value } = session;
  if (value.phase !== 'in' || value.chat !== chat || leaving === chat) return;
  session.value = { phase: 'asking' };
  await chat.close();
  const now = Date.now();
  changes = [...changes.filter((then) => now - then < CHANGES_MS), now];
  if (changes.length > MOST_CHANGES) return failed(new Error(words.whoIsIn));
  // The address names a conversation of the one who was here.
  rename(undefined);
  await enter('changed');
}

/**
 * Whether only a new login helps. A token that has expired is the same one at each try: the cookie's login may be
 * renewed.
 */
function isOut(state: ClientState, by: 'cookie' | 'token'): boolean {
  switch (state.phase) {
    case 'ended':
      return state.why.next === 'login';
    case 'waiting':
      return by === 'token' && state.why.code === 4004;
    case 'connecting':
    case 'online':
    case 'asleep':
      return false;
  }
}

async function expel(chat: Chat, by: 'cookie' | 'token'): Promise<void> {
  const { value } = session;
  // It may be told twice: by the socket and by a route.
  if (value.phase !== 'in' || value.chat !== chat || leaving === chat) return;
  session.value = { phase: 'asking' };
  keepToken(undefined);
  await chat.close();
  await out(by === 'token' ? words.tokenExpired : words.loggedOutElsewhere);
}

async function out(why: string | undefined): Promise<void> {
  try {
    const doors = await new Api().doors();
    session.value = { phase: 'out', doors, ...(why === undefined ? {} : { why }) };
  } catch (error) {
    failed(error);
  }
}

function failed(error: unknown): void {
  session.value = { phase: 'failed', why: error instanceof Error ? error.message : String(error) };
}

// sessionStorage: of this tab alone, over its reloads, gone with it.
let memory: string | undefined;

function keptToken(): string | undefined {
  try {
    return sessionStorage.getItem(TOKEN) ?? memory;
  } catch {
    return memory;
  }
}

function keepToken(token: string | undefined): void {
  memory = token;
  try {
    if (token === undefined) sessionStorage.removeItem(TOKEN);
    else sessionStorage.setItem(TOKEN, token);
  } catch {
    // Where nothing may be stored it lives until the next reload.
  }
}
