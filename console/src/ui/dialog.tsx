// A question that has to be answered first, on the browser's own modal `<dialog>`: it holds the focus, closes with
// Escape and gives the focus back.

import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Button } from './button';

export interface DialogProps {
  title: string;
  /** What happens, in one sentence or two. */
  children: ComponentChildren;
  /** What the deed is called, such as "Log out". */
  confirm: string;
  /** `danger`: it takes something away. */
  look?: 'main' | 'danger';
  /** Why it cannot be confirmed yet, such as while it is being done. */
  refuses?: string | undefined;
  onConfirm: () => void;
  /** Escape, the button Cancel, or a press beside it. */
  onCancel: () => void;
}

/**
 * Open as long as it is rendered. Enter confirms in a field of it; the focus begins at Cancel, where nothing can be
 * hurt, or in the first field.
 */
export function Dialog({ title, children, confirm, look = 'main', refuses, onConfirm, onCancel }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    const first =
      element?.querySelector<HTMLElement>('input, select, textarea') ??
      element?.querySelector<HTMLElement>('[data-cancel] button');
    first?.focus();
    // A dialog that is closed gives the focus back; one that is taken away drops it.
    return () => before instanceof HTMLElement && before.focus();
  }, []);
  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onCancel();
      }}
      onClick={(event) => event.target === dialog.current && onCancel()}
    >
      <form
        class="dialog-body"
        onSubmit={(event) => {
          event.preventDefault();
          if (refuses === undefined) onConfirm();
        }}
      >
        <h2 id={heading}>{title}</h2>
        <div>{children}</div>
        <div class="dialog-actions">
          <span data-cancel>
            <Button label="Cancel" onPress={onCancel} />
          </span>
          <Button label={confirm} look={look} type="submit" refuses={refuses} onPress={() => undefined} />
        </div>
      </form>
    </dialog>
  );
}
