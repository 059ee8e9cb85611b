// Everything that the chat page says. One place, so that one voice speaks: plain, kind, exact.

import type { Limits } from '@lychgate/client';
import type { IconName, Tone } from '../ui';
import type { Condition } from './network';

/** What a person can do about a condition. */
export type Deed = 'connect' | 'wake' | 'reload' | 'login' | 'understood' | 'none';

/** A condition in words. */
export interface Said {
  tone: Tone;
  icon: IconName;
  /** Read aloud when it changes: nothing in it counts down. */
  text: string;
  /** Seen beside it and never read aloud: what counts down. */
  countdown?: string;
  deed: Deed;
  /** What the button says, where there is a deed. */
  label: string;
}

const said = (tone: Tone, icon: IconName, text: string, more: Partial<Said> = {}): Said => ({
  tone,
  icon,
  text,
  deed: 'none',
  label: '',
  ...more,
});

const INTERRUPTED = 'The connection was interrupted. It is restored by itself.';

/** Whole seconds from `now` to `until`, at least 0; both in milliseconds since 1970. */
export const secondsTo = (until: number, now: number): number => Math.max(0, Math.ceil((until - now) / 1000));

/** A condition as a sentence, with the way out of it. `now` is in milliseconds since 1970. */
export function say(condition: Condition, now: number): Said {
  switch (condition.kind) {
    case 'connecting':
      return said('plain', 'link', 'Connecting.');
    case 'reconnecting':
      // The same sentence as while it waits: a try that fails is no news to be read aloud.
      return said('warn', 'link', INTERRUPTED, { countdown: 'Trying now', deed: 'connect', label: 'Try now' });
    case 'waiting':
      return said('warn', 'link', INTERRUPTED, {
        countdown: inSeconds('Next try', condition.retryAt, now),
        deed: 'connect',
        label: 'Try now',
      });
    case 'restarting':
      return said('warn', 'link', 'The server is restarting. The connection moves by itself, and nothing is lost.', {
        ...(condition.until === undefined ? {} : { countdown: inSeconds('Next try', condition.until, now) }),
        deed: condition.until === undefined ? 'none' : 'connect',
        label: 'Try now',
      });
    case 'offline':
      return said('warn', 'offline', 'This device is offline. The conversation goes on when the network is back.', {
        deed: 'connect',
        label: 'Try now',
      });
    case 'queued':
      return said('warn', 'wait', `Waiting for a place at position ${condition.position}.`, {
        countdown: `At the latest in ${secondsTo(condition.until, now)} s`,
      });
    case 'opening':
      return said('plain', 'wait', 'Opening the conversation.');
    case 'near_limit':
      return nearLimit(condition.limits, now);
    case 'changed_hands':
      return said('warn', 'user', `The login of this browser changed. You are ${condition.user} now.`, {
        deed: 'understood',
        label: 'Understood',
      });
    case 'degraded':
      return said('warn', 'alert', condition.message);
    case 'online':
      return said('ok', 'check', 'Connected.');
    default:
      return saidOfAnEnd(condition);
  }
}

/** The conditions that only a person ends. */
function saidOfAnEnd(condition: Exclude<Condition, { kind: Told }>): Said {
  switch (condition.kind) {
    case 'asleep': {
      const what = condition.what === 'tab' ? 'This tab' : 'This conversation';
      return said('warn', 'moon', `${what} was put to sleep to make room for a newer one.`, {
        deed: 'wake',
        label: 'Wake it',
      });
    }
    case 'superseded':
      // A tab that was replaced has no connection to wake: a reload makes it the newest.
      return said('warn', 'copy', 'This conversation is open in a newer tab.', {
        deed: condition.what === 'tab' ? 'reload' : 'wake',
        label: 'Use it here',
      });
    case 'closed_by_operator': {
      const what = condition.what === 'tab' ? 'this connection' : 'this conversation';
      return said('warn', 'alert', `An operator closed ${what}. You can open it again.`, {
        deed: 'wake',
        label: 'Open again',
      });
    }
    case 'logged_out':
      return said('danger', 'user', 'You are logged out.', { deed: 'login', label: 'Log in' });
    case 'outdated':
      return said('danger', 'alert', 'This page does not fit the server any more.', {
        deed: 'reload',
        label: 'Reload',
      });
    case 'forbidden':
      return said('danger', 'alert', 'You are not allowed to use this conversation.');
    case 'ended':
      return said('danger', 'alert', condition.why.message ?? 'The connection has ended.', {
        deed: condition.why.next === 'user_action' ? 'wake' : 'reload',
        label: 'Connect again',
      });
  }
}

type Told =
  | 'connecting'
  | 'reconnecting'
  | 'waiting'
  | 'restarting'
  | 'offline'
  | 'queued'
  | 'opening'
  | 'near_limit'
  | 'changed_hands'
  | 'degraded'
  | 'online';

function nearLimit(limits: Limits, now: number): Said {
  const count = `${limits.used} of ${limits.limit} conversations open`;
  if (limits.level !== 'full')
    return said(limits.level === 'watch' ? 'plain' : 'warn', 'check', `Connected. ${count}.`);
  if (limits.reserve_until !== undefined && limits.reserve_until > now) {
    return said('warn', 'alert', `Connected. ${count}, on places lent for a minute.`);
  }
  return said('warn', 'alert', `Connected. ${count}: a new one puts the one that you used least to sleep.`);
}

const inSeconds = (what: string, until: number, now: number): string => {
  const seconds = secondsTo(until, now);
  return seconds === 0 ? `${what} now` : `${what} in ${seconds} s`;
};

/**
 * When a conversation was written last, as short as it can be: "now", "5 min", "3 h", "Nov 21". Both in milliseconds
 * since 1970.
 */
export function ago(then: number, now: number): string {
  const minutes = Math.floor(Math.max(0, now - then) / 60_000);
  if (minutes < 1) return 'now';
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`;
  return new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric' }).format(then);
}

/** The rest of what is said. */
export const words = {
  product: 'Lychgate',
  degraded: (what: string) =>
    what === '' ? 'The server works with less than usual.' : `The server works with less than usual: ${what}.`,
  skip: 'Skip to the message field',
  conversations: 'Conversations',
  openConversations: 'Show conversations',
  closeConversations: 'Close conversations',
  newConversation: 'New conversation',
  untitled: 'Untitled conversation',
  noConversations: 'No conversations yet',
  conversationsLoading: 'Loading conversations.',
  conversationsFailed: 'The conversations could not be loaded',
  more: 'Show more',
  moreLoading: 'Loading more.',
  answering: 'an answer is being written',
  loggedInAs: (user: string) => `Logged in as ${user}`,
  logOut: 'Log out',
  logOutTitle: 'Log out of this browser?',
  logOutBody:
    'All tabs of this browser are logged out. Answers that are being written go on, and are there when you are back.',
  forgetToken: 'Your token is removed from this tab. Answers that are being written go on.',

  loginTitle: 'Log in to Lychgate',
  logIn: 'Log in',
  loginAsking: 'Looking whether you are logged in.',
  loginFailed: 'The login page could not be loaded',
  loginWith: (title: string) => `Log in with ${title}`,
  providerSilent: (title: string, ms: number) =>
    `${title} did not answer. It is asked again in ${Math.ceil(ms / 1000)} s.`,
  name: 'Your name',
  nameNeeded: 'Please write a name first.',
  demoHint:
    'This is a demonstration on this machine alone: whoever opens this page can be anybody, without a password.',
  token: 'Token',
  tokenNeeded: 'Please paste a token first.',
  tokenHint: 'A JWT for this gateway. It is kept in this tab alone, until you close it.',
  tokenLogin: 'Use this token',
  tokenRefused: 'This token does not count here: it has expired, or it was signed by somebody else.',
  withToken: 'Use a token instead',
  loggedOutHere: 'You are logged out.',
  loggedOutElsewhere:
    'Your login has ended: you logged out in another tab, or an operator logged you out. Please log in again.',
  whoIsIn: 'The login of this browser keeps changing between users. Please close the other tabs, and try again.',
  tokenExpired: 'Your token has expired. Please use a fresh one.',

  conversation: 'Conversation',
  conversationLoading: 'Loading the conversation.',
  emptyTitle: 'What would you like to know?',
  emptyBody: 'The answer goes on when you reload, change networks or close this tab, and it is the same in all tabs.',
  olderLoading: 'Loading older messages.',
  olderFailed: 'Older messages could not be loaded.',
  older: 'Load older messages',
  earlier: 'Show older messages',
  start: 'This is the beginning of the conversation.',
  newBelow: 'New text below',
  toEnd: 'To the end',
  you: 'You',
  assistant: 'Answer',
  system: 'Instruction',
  sending: 'Waiting to be sent',
  behind: 'Waiting for the answer before it',
  notSent: 'Not accepted',
  discard: 'Remove',
  writing: 'An answer is being written.',
  answered: (text: string) => `Answer: ${text}`,
  stopped: 'Stopped.',
  stoppedLong: 'The answer was stopped.',
  failed: (message: string) => `The answer failed: ${message}`,
  interrupted: 'The agent waits for an answer that this page cannot give.',
  noAnswer: 'This message has no answer.',
  tryAgain: 'Try again',
  step: (name: string) => `Working on: ${name}`,
  thinking: 'Thinking',
  thoughts: 'Thoughts',
  toolRunning: 'running',
  toolDone: 'done',
  toolFailed: 'failed',
  toolArguments: 'Arguments',
  toolResult: 'Result',
  toolNoResult: 'No result yet.',
  toolUnfinished: 'ended without a result',
  file: 'File',

  code: 'code',
  codeIn: (language: string) => (language === '' ? 'Code' : `Code in ${language}`),
  copy: 'Copy',
  copied: 'Copied',
  copyRefused: 'Your browser did not allow it',

  message: 'Message',
  placeholder: 'Write a message',
  send: 'Send',
  stop: 'Stop',
  stopping: 'Stopping',
  keys: 'Enter sends, Shift and Enter begins a new line.',
  nothingToSend: 'Write a message first.',
  busy: 'An answer is being written. Stop it, or wait for its end.',
  stillSending: 'The last message is not accepted yet.',
  tooManyPending: 'Many messages were not accepted. Try them again or remove some first.',
  waking: 'This conversation has to be opened again first.',
  tooLong: (bytes: number) => `This message is too long by ${bytes} bytes.`,
} as const;
