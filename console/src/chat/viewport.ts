// Whether there is room for the conversations beside the one that is shown.

import { signal } from '@preact/signals';

const query = window.matchMedia('(min-width: 52rem)');

/** Follows the window, and zoom: at 200 % a small screen is as narrow as a phone. */
export const wide = signal(query.matches);
query.addEventListener('change', ({ matches }) => {
  wide.value = matches;
});
