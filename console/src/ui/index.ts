// The few pieces that both pages are made of.

import './base.css';

export { Button, type ButtonProps } from './button';
export { Dialog, type DialogProps } from './dialog';
export { Icon, type IconName } from './icon';
export { Empty, Failure, Loading, Status, type Tone } from './states';
export { choose, followTheme, theme, ThemeSwitch, type Theme } from './theme';
