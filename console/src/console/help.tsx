/** The keys, and the switch that turns them off. */

import { useEffect, useRef } from 'preact/hooks';
import { Button } from '../ui';
import { listen, listening, SHORTCUTS } from './keys';

export function Help({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby="keys"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <div class="dialog-body">
        <h2 id="keys">Keyboard</h2>
        <table class="table">
          <thead class="unseen">
            <tr>
              <th scope="col">Keys</th>
              <th scope="col">What they do</th>
            </tr>
          </thead>
          <tbody>
            {SHORTCUTS.map(({ keys, does }) => (
              <tr key={keys}>
                <td>
                  <kbd class="mono">{keys}</kbd>
                </td>
                <td>{does}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <label class="check">
          <input
            type="checkbox"
            checked={listening.value}
            onChange={(event) => listen(event.currentTarget.checked ? 'on' : 'off')}
          />
          Listen to these keys
        </label>
        <div class="dialog-actions">
          <Button label="Close" onPress={onClose} />
        </div>
      </div>
    </dialog>
  );
}
