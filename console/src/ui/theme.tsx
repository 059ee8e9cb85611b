// Light, dark, or as the system has it: kept in localStorage, told to the style sheets by `data-theme` on the root.

import { signal } from '@preact/signals';
import { Button } from './button';

/** What a person chose. */
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'lychgate.theme';
const order = { system: 'light', light: 'dark', dark: 'system' } as const;
const icons = { system: 'half', light: 'sun', dark: 'moon' } as const;
const words = { system: 'as the system has them', light: 'light', dark: 'dark' } as const;

/** The choice in force, for all pages of this browser. */
export const theme = signal<Theme>('system');

/** Reads the choice and follows it, also where another tab changes it. Called once, before the first paint. */
export function followTheme(): void {
  show(parse(stored()));
  window.addEventListener('storage', (event) => {
    if (event.key === KEY) show(parse(event.newValue));
  });
}

/** Goes on to the next one of the three. */
export function ThemeSwitch() {
  return (
    <Button
      look="square"
      icon={icons[theme.value]}
      label={`Colours: ${words[theme.value]}. Change to ${words[order[theme.value]]}.`}
      onPress={() => choose(order[theme.value])}
    />
  );
}

/** Shows and keeps a choice; where nothing may be kept it holds for this page. */
export function choose(choice: Theme): void {
  show(choice);
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // A browser that forbids storage still shows what was chosen.
  }
}

function show(choice: Theme): void {
  theme.value = choice;
  if (choice === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = choice;
}

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function parse(text: string | null): Theme {
  return text === 'light' || text === 'dark' ? text : 'system';
}
