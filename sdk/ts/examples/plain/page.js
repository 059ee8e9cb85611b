// A chat in one page: connect, show the thread, ask, stop. What is drawn comes from the fold alone, so a reload, a second
// tab and a network that went away all show the same.

import { connect } from './client/index.js';
import { emptyView, fold } from './client/messages.js';

const [login, ask, stop, status, list] = ['login', 'ask', 'stop', 'state', 'messages'].map((id) =>
  document.getElementById(id),
);

login.addEventListener('submit', (event) => {
  event.preventDefault();
  const { url, token } = Object.fromEntries(new FormData(login));
  login.hidden = true;
  ask.hidden = false;
  start(connect({ url, token }));
});

function start(client) {
  // The thread's name stands in the address: a reload, or the same address in another tab, shows it again.
  const thread = client.thread(location.hash.slice(1) || undefined);
  thread.opened.then(({ thread: id }) => (location.hash = id));
  let view = emptyView;
  thread.on('event', (told) => draw((view = fold(view, told))));
  thread.on('state', () => (status.textContent = words(client.state, thread.state)));
  client.on('state', () => (status.textContent = words(client.state, thread.state)));

  ask.addEventListener('submit', (event) => {
    event.preventDefault();
    thread.run(ask.elements.text.value);
    ask.reset();
  });
  stop.addEventListener('click', () => thread.stop());
}

function words(client, thread) {
  if (client.phase === 'waiting') return 'The connection is gone; it comes back by itself.';
  if (client.phase === 'ended') return client.why.message ?? `This connection is over: ${client.why.reason}.`;
  if (client.phase !== 'online') return 'Connecting.';
  if (thread.phase === 'queued') return `Waiting for a slot, at position ${thread.position}.`;
  if (thread.phase === 'asleep') return 'This conversation made room for another one; send a message to go on.';
  return thread.phase === 'open' ? 'Connected.' : 'Opening the conversation.';
}

function draw(view) {
  stop.disabled = view.run?.status !== 'running';
  list.replaceChildren(
    ...view.messages.map(({ role, parts }) => {
      const line = document.createElement('li');
      line.dataset.role = role;
      line.textContent = parts.map(shown).join('\n');
      return line;
    }),
  );
}

function shown(part) {
  switch (part.type) {
    case 'text':
    case 'reasoning':
      return part.text;
    case 'tool':
      return `${part.name}(${part.args}) ${part.result ?? '...'}`;
    case 'file':
      return part.name ?? 'a file';
  }
}
