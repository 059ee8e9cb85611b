// What the page shows: the login, the conversations, or why neither.

import { Failure, Loading } from '../ui';
import { Login } from './login';
import { Room } from './room';
import { enter, session } from './session';
import { words } from './words';

export function App() {
  const { value } = session;
  switch (value.phase) {
    case 'asking':
      return (
        <main class="alone">
          <h1 class="unseen">{words.product}</h1>
          <Loading label={words.loginAsking} />
        </main>
      );
    case 'failed':
      return (
        <main class="alone">
          <h1 class="unseen">{words.product}</h1>
          <Failure title={words.loginFailed} why={value.why} onRetry={() => void enter()} />
        </main>
      );
    case 'out':
      return <Login doors={value.doors} why={value.why} />;
    case 'in':
      return <Room chat={value.chat} by={value.by} />;
  }
}
