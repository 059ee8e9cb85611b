// The same chat with hooks.
//
//   npm run --workspace sdk/ts example:react          then open what it prints, and paste the demo's token

import { type FormEvent, StrictMode, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { type Client, connect } from '@lychgate/client';
import type { Part, ViewMessage } from '@lychgate/client/messages';
import { useConnection, useThread } from '@lychgate/client/react';

function App() {
  const [client, setClient] = useState<Client>();
  if (!client) return <Login onClient={setClient} />;
  return <Chat client={client} />;
}

function Login({ onClient }: { onClient: (client: Client) => void }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const said = new FormData(event.currentTarget);
    onClient(connect({ url: String(said.get('url')), token: String(said.get('token')) }));
  };
  return (
    <form onSubmit={submit}>
      <label>
        Gateway <input name="url" type="url" defaultValue="http://127.0.0.1:8787" required />
      </label>
      <label>
        Token <input name="token" type="password" autoComplete="off" required />
      </label>
      <button>Connect</button>
    </form>
  );
}

function Chat({ client }: { client: Client }) {
  const id = useMemo(() => location.hash.slice(1) || (location.hash = crypto.randomUUID()), []);
  const { view, error, position, state, send, stop, wake } = useThread(client, id);
  const connection = useConnection(client);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    send(String(new FormData(event.currentTarget).get('text')));
    event.currentTarget.reset();
  };
  return (
    <>
      <p role="status">
        {connection.state.phase}, {state.phase}
        {position !== undefined && ` at position ${position}`}
        {state.phase === 'asleep' && <button onClick={wake}>Wake</button>}
      </p>
      <ol aria-live="polite">
        {view.messages.map((message) => (
          <Message key={message.id} message={message} />
        ))}
      </ol>
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={submit}>
        <label>
          Message <input name="text" autoComplete="off" required />
        </label>
        <button>Send</button>
        <button type="button" onClick={stop} disabled={view.run?.status !== 'running'}>
          Stop
        </button>
      </form>
    </>
  );
}

function Message({ message }: { message: ViewMessage }) {
  return (
    <li>
      <b>{message.role}</b>{' '}
      {message.parts.map((part, n) => (
        <Shown key={n} part={part} />
      ))}
    </li>
  );
}

function Shown({ part }: { part: Part }) {
  switch (part.type) {
    case 'text':
      return <>{part.text}</>;
    case 'reasoning':
      return <i>{part.text}</i>;
    case 'tool':
      return (
        <code>
          {part.name}({part.args}) {part.result}
        </code>
      );
    case 'file':
      return <>{part.name ?? 'a file'}</>;
  }
}

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
