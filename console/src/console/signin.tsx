/** The page before the console: an operator's key, or a login at a provider. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { Button, Status, ThemeSwitch } from '../ui';
import type { Door, LoginOffer } from './state/entry';

export function SignIn({ door, why, offer }: { door: Door; why: string | undefined; offer: LoginOffer }) {
  const field = useRef<HTMLInputElement>(null);
  const [wrong, say] = useState<string | undefined>(undefined);
  const [asking, ask] = useState(false);
  useEffect(() => field.current?.focus(), []);
  const enter = async () => {
    if (asking) return;
    ask(true);
    const refused = await door.enter(field.current?.value ?? '');
    ask(false);
    say(refused);
    field.current?.focus();
  };
  return (
    <main class="alone">
      <div class="alone-head">
        <h1>Lychgate console</h1>
        <ThemeSwitch />
      </div>
      {why !== undefined && wrong === undefined && (
        <Status tone="warn" icon="alert">
          <span>{why}</span>
        </Status>
      )}
      <form
        class="field"
        onSubmit={(event) => {
          event.preventDefault();
          void enter();
        }}
      >
        <label for="key">Operator key</label>
        <input
          ref={field}
          id="key"
          class="input mono"
          type="password"
          autocomplete="off"
          spellcheck={false}
          maxLength={4_096}
          aria-describedby={wrong === undefined ? 'key-hint' : 'key-wrong key-hint'}
          aria-invalid={wrong !== undefined}
        />
        {wrong !== undefined && (
          <p id="key-wrong" class="status danger" role="alert">
            {wrong}
          </p>
        )}
        <p id="key-hint" class="hint">
          Made with <code>lychgate admin-key NAME</code>. It stays in this tab until the tab is closed, and goes to this
          node alone.
        </p>
        <Button
          label="Sign in"
          look="main"
          type="submit"
          refuses={asking ? 'The node is being asked.' : undefined}
          onPress={() => undefined}
        />
      </form>
      <Providers offer={offer} />
    </main>
  );
}

function Providers({ offer }: { offer: LoginOffer }) {
  if (offer.providers.length === 0) return null;
  return (
    <section aria-labelledby="or">
      <h2 id="or" class="hint">
        Or log in with
      </h2>
      <ul class="plain row">
        {offer.providers.map(({ name, title, url }) => (
          <li key={name}>
            <a class="button" href={`${url}?return_to=${encodeURIComponent('/console')}`}>
              {title}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
