// What the network does, in one place and in words, and the way out where a person has to take it.

import { Button, Icon } from '../ui';
import type { Chat } from './chat';
import { enter } from './session';
import type { Said } from './words';

/** Always there: a line that came and went would move what one reads. Countdowns are seen and not read aloud. */
export function NetworkLine({ chat }: { chat: Chat }) {
  const { tone, icon, text, countdown, deed, label } = chat.said.value;
  return (
    <div class={`network ${tone}`}>
      <Icon name={icon} />
      <span role="status" data-network>
        {text}
      </span>
      {countdown !== undefined && (
        <span class="countdown" aria-hidden="true">
          {countdown}
        </span>
      )}
      {deed !== 'none' && <Button look="plain" label={label} onPress={() => act(deed, chat)} />}
    </div>
  );
}

function act(deed: Exclude<Said['deed'], 'none'>, chat: Chat): void {
  switch (deed) {
    case 'connect':
    case 'wake':
      return chat.wake();
    case 'reload':
      return location.reload();
    case 'login':
      return void enter();
    case 'understood':
      return chat.arrived();
  }
}
