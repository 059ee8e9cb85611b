// The chat page: looks who is logged in, then shows the login or the conversations.

import { render } from 'preact';
import '../ui';
import './chat.css';
import { followTheme } from '../ui';
import { App } from './app';
import { followRoute } from './route';
import { enter } from './session';

followTheme();
followRoute();
render(<App />, document.body);
void enter();
