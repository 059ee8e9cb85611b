/** What is in force, where it comes from, and what differs from the default. */

import { useState } from 'preact/hooks';
import { Empty } from '../../ui';
import { found, isChanged, originWord, type ConfigurationFilter } from '../state/configuration';
import type { Setting, NodeView } from '../wire';
import { count } from '../words';

export function Configuration({ node }: { node: NodeView }) {
  const [filter, choose] = useState<ConfigurationFilter>({ text: '', which: 'all' });
  const rows = found(node.configuration, filter);
  return (
    <section aria-labelledby="configuration">
      <div class="page-head">
        <h2 id="configuration">Configuration in force</h2>
        <div class="field inline">
          <label for="setting">Search</label>
          <input
            id="setting"
            class="input mono"
            type="search"
            autocomplete="off"
            spellcheck={false}
            value={filter.text}
            onInput={(event) => choose({ ...filter, text: event.currentTarget.value })}
          />
        </div>
        <label class="check">
          <input
            type="checkbox"
            checked={filter.which === 'changed'}
            onChange={(event) => choose({ ...filter, which: event.currentTarget.checked ? 'changed' : 'all' })}
          />
          Only what differs from the default
        </label>
        <p class="hint" role="status">
          {count(rows.length)} of {count(node.configuration.length)} keys
        </p>
      </div>
      {rows.length === 0 ? <Empty title="No key fits" /> : <Table rows={rows} />}
    </section>
  );
}

function Table({ rows }: { rows: readonly Setting[] }) {
  return (
    <div class="scrolls tall" tabIndex={0} role="region" aria-label="Configuration in force">
      <table class="table">
        <thead>
          <tr>
            {['Key', 'Value', 'Default', 'From', 'Takes effect'].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((each) => (
            <tr key={`${each.section}.${each.key}`} data-changed={isChanged(each)}>
              <th scope="row" class="mono">
                {each.section}.{each.key}
              </th>
              <td class="mono">
                {each.value}
                {isChanged(each) && <span class="tag">changed</span>}
              </td>
              <td class="mono hint">{each.default ?? 'none'}</td>
              <td>
                {originWord(each.origin)}
                {each.place !== undefined && <span class="mono hint"> {each.place}</span>}
              </td>
              <td class="hint">{each.needs_restart ? 'at the next start' : 'when it is read again'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
