// What stands where there is nothing to show: there is nothing, not yet, or it failed; and the line that says how
// things are.

import type { ComponentChildren } from 'preact';
import { Button } from './button';
import { Icon, type IconName } from './icon';

/** There is nothing, and that is right: `title` says so, the children what one can do. */
export function Empty({ title, icon, children }: { title: string; icon?: IconName; children?: ComponentChildren }) {
  return (
    <div class="blank">
      {icon && <Icon name={icon} />}
      <h3>{title}</h3>
      {children}
    </div>
  );
}

/** Not yet. `label` says what is being waited for, and is read aloud once. */
export function Loading({ label }: { label: string }) {
  return (
    <div class="blank" role="status">
      <span class="spinner" aria-hidden="true" />
      <p>{label}</p>
    </div>
  );
}

/** It failed: what, why, and the way to try again where there is one. Read aloud at once. */
export function Failure({ title, why, onRetry }: { title: string; why: string; onRetry?: () => void }) {
  return (
    <div class="blank danger" role="alert">
      <Icon name="alert" />
      <h3>{title}</h3>
      <p>{why}</p>
      {onRetry && <Button label="Try again" icon="retry" onPress={onRetry} />}
    </div>
  );
}

/** How serious a sentence is. */
export type Tone = 'plain' | 'ok' | 'warn' | 'danger';

/** One sentence about what is going on, read aloud when it changes and nobody speaks. */
export function Status({ tone, icon, children }: { tone: Tone; icon?: IconName; children: ComponentChildren }) {
  return (
    <div class={tone === 'plain' ? 'status' : `status ${tone}`} role="status">
      {icon && <Icon name={icon} />}
      {children}
    </div>
  );
}
