/** The operators' console: begins. */

import { render } from 'preact';
import { followTheme } from '../ui';
import { App } from './app';
import './console.css';

followTheme();
render(<App />, document.body);
