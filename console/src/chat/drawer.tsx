// The side on a narrow page: over it, modal, closed by Escape or a press beside it.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Button } from '../ui';
import { words } from './words';

/** Open as long as it is rendered; the focus goes back to where it was. */
export function Drawer({ children, onClose }: { children: ComponentChildren; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => before instanceof HTMLElement && before.focus();
  }, []);
  return (
    <dialog
      ref={dialog}
      class="drawer"
      aria-label={words.conversations}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div class="side">
        <div class="drawer-close">
          <Button look="square" icon="close" label={words.closeConversations} onPress={onClose} />
        </div>
        {children}
      </div>
    </dialog>
  );
}
