// The way in: providers, in a demonstration a name, otherwise, or by choice, a token.

import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Button, Icon, ThemeSwitch } from '../ui';
import type { Doors } from './api';
import { addressOf, route } from './route';
import { enterAs, enterWith, lookAgain } from './session';
import { words } from './words';

/** `why` is said first: somebody who was logged in a moment ago wants to know. */
export function Login({ doors, why }: { doors: Doors; why: string | undefined }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const hasOther = doors.demo || doors.providers.length > 0;
  useEffect(() => heading.current?.focus(), []);
  useEffect(() => {
    const look = () => document.visibilityState === 'visible' && void lookAgain();
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, []);
  return (
    <main class="alone">
      <div class="login">
        <div class="login-head">
          <h1 ref={heading} tabIndex={-1}>
            {words.loginTitle}
          </h1>
          <ThemeSwitch />
        </div>
        {why !== undefined && (
          <p class="notice" role="status">
            <Icon name="user" />
            {why}
          </p>
        )}
        <Providers doors={doors} />
        {doors.demo && <NameForm />}
        {hasOther ? (
          <details class="more-ways">
            <summary>{words.withToken}</summary>
            <TokenForm />
          </details>
        ) : (
          <TokenForm />
        )}
      </div>
    </main>
  );
}

function Providers({ doors }: { doors: Doors }) {
  const back = encodeURIComponent(addressOf(route.value));
  return (
    <>
      {doors.providers.map(({ name, title, url, retry_in }) => (
        <div key={name} class="field">
          <a class="button main" href={`${url}?return_to=${back}`}>
            {words.loginWith(title)}
          </a>
          {retry_in !== undefined && <p class="hint">{words.providerSilent(title, retry_in)}</p>}
        </div>
      ))}
    </>
  );
}

function NameForm() {
  return (
    <EntryForm
      label={words.name}
      button={words.logIn}
      needed={words.nameNeeded}
      hint={words.demoHint}
      kind="name"
      enter={enterAs}
    />
  );
}

function TokenForm() {
  return (
    <EntryForm
      label={words.token}
      button={words.tokenLogin}
      needed={words.tokenNeeded}
      hint={words.tokenHint}
      kind="token"
      enter={enterWith}
    />
  );
}

// A token is not to be read over a shoulder, and no password manager is to offer one for it.
const inputs = {
  name: { type: 'text', autoComplete: 'username', maxLength: 64 },
  token: { type: 'password', autoComplete: 'off', maxLength: 16_384 },
} as const;

interface EntryProps {
  label: string;
  button: string;
  /** Said where the field is empty. */
  needed: string;
  hint: string;
  kind: 'name' | 'token';
  /** Throws with a sentence. */
  enter: (entry: string) => Promise<void>;
}

function EntryForm({ label, button, needed, hint, kind, enter: tryEntry }: EntryProps) {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const [entry, setEntry] = useState('');
  const [wrong, setWrong] = useState<string>();
  const [under, setUnder] = useState<'idle' | 'way'>('idle');
  const submit = async () => {
    if (entry.trim() === '') {
      setWrong(needed);
      field.current?.focus();
      return;
    }
    setUnder('way');
    try {
      await tryEntry(entry.trim());
    } catch (error) {
      setWrong(error instanceof Error ? error.message : String(error));
      setUnder('idle');
      field.current?.focus();
    }
  };
  return (
    <form
      class="entry"
      onSubmit={(event) => {
        event.preventDefault();
        if (under === 'idle') void submit();
      }}
    >
      <div class="field">
        <label for={id}>{label}</label>
        <input
          ref={field}
          id={id}
          class="input"
          {...inputs[kind]}
          spellcheck={false}
          value={entry}
          aria-invalid={wrong === undefined ? undefined : 'true'}
          aria-describedby={`${id}-hint`}
          onInput={(event) => {
            setEntry(event.currentTarget.value);
            setWrong(undefined);
          }}
        />
        <p
          id={`${id}-hint`}
          class={wrong === undefined ? 'hint' : 'hint wrong'}
          role={wrong === undefined ? undefined : 'alert'}
        >
          {wrong ?? hint}
        </p>
      </div>
      <Button
        label={button}
        look="main"
        type="submit"
        refuses={under === 'way' ? words.loginAsking : undefined}
        onPress={() => undefined}
      />
    </form>
  );
}
