// The button of both pages.

import type { ComponentChildren, Ref } from 'preact';
import { Icon, type IconName } from './icon';

export interface ButtonProps {
  /** What it says. With `look: 'square'` it is read aloud and shown as a tip, while the sign alone is seen. */
  label: string;
  onPress: (event: MouseEvent) => void;
  icon?: IconName;
  /**
   * `main`: what the page is for, once at most in view; `danger`: takes something away; `bare`, `square`: among
   * others.
   */
  look?: 'plain' | 'main' | 'danger' | 'bare' | 'square';
  /** Why it cannot be pressed now: it stays in reach of the keyboard and says this. Absent: it can. */
  refuses?: string | undefined;
  type?: 'button' | 'submit';
  /** Where it opens and closes something: whether that is open. */
  expanded?: boolean | undefined;
  /** The id of what it opens. */
  controls?: string;
  /** Takes part of the name after the label, such as a count. */
  children?: ComponentChildren;
  buttonRef?: Ref<HTMLButtonElement>;
}

const classes = {
  plain: 'button',
  main: 'button main',
  danger: 'button danger',
  bare: 'button bare',
  square: 'button bare square',
} as const;

/** A button that is never `disabled`: one that went away under the finger or the focus cannot say why. */
export function Button(props: ButtonProps) {
  const {
    label,
    onPress,
    icon,
    look = 'plain',
    refuses,
    type = 'button',
    expanded,
    controls,
    children,
    buttonRef,
  } = props;
  const isSquare = look === 'square';
  return (
    <button
      ref={buttonRef ?? null}
      type={type}
      class={classes[look]}
      aria-disabled={refuses === undefined ? undefined : 'true'}
      aria-expanded={expanded}
      aria-controls={controls}
      aria-label={isSquare ? label : undefined}
      title={refuses ?? (isSquare ? label : undefined)}
      onClick={(event) => {
        if (refuses === undefined) onPress(event);
        else event.preventDefault();
      }}
    >
      {icon && <Icon name={icon} />}
      {!isSquare && <span>{label}</span>}
      {children}
    </button>
  );
}
