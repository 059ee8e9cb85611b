/** Users by how much of their limit they use: a table whose rows are bars, so that it needs no other reading. */

import type { Sample } from '../wire';
import { bandWord, count, percent } from '../words';

const BANDS = ['ok', 'watch', 'warn', 'high', 'full'] as const;

export function Histogram({ sample }: { sample: Sample }) {
  const most = Math.max(1, ...sample.histogram);
  const bands = BANDS.map((band) => `${count(sample.bands[band])} ${bandWord(band)}`).join(', ');
  return (
    <figure class="chart" data-chart="histogram">
      <table class="histogram">
        <caption>
          <h2>
            Users by use of their limit <span class="hint">now</span>
          </h2>
          <p class="hint">By band: {bands}</p>
        </caption>
        <thead class="unseen">
          <tr>
            <th scope="col">Use of the limit</th>
            <th scope="col">Users</th>
          </tr>
        </thead>
        <tbody>
          {sample.histogram.map((n, at) => (
            <tr key={at}>
              <th scope="row">{at === 10 ? 'above 100 %' : `to ${(at + 1) * 10} %`}</th>
              <td>
                <span class="track">
                  <span style={{ width: `${n === 0 ? 0 : Math.max(1, percent(n, most))}%` }} />
                </span>
                <span class="number">{count(n)}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}
