// A document to draw into, and nothing else of a browser: sockets, timers and URLs stay those of Node.

import { Window } from 'happy-dom';

const window = new Window({ url: 'http://localhost/' });
const { document, navigator } = window;
for (const [name, value] of Object.entries({ window, document, navigator })) {
  Object.defineProperty(globalThis, name, { value, configurable: true });
}
