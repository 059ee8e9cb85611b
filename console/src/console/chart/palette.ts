/**
 * Colours, dashes and marks of lines, in this order in every chart: eight that stay apart for every kind of colour
 * vision, on light and on dark; the dash and the letter in the legend say the same without a colour. The values stand
 * in console.css.
 */

import { signal } from '@preact/signals';

export const STYLES = [
  { colour: '--series-1', dash: [] },
  { colour: '--series-2', dash: [8, 4] },
  { colour: '--series-3', dash: [2, 3] },
  { colour: '--series-4', dash: [12, 4, 2, 4] },
  { colour: '--series-5', dash: [4, 2] },
  { colour: '--series-6', dash: [1, 5] },
  { colour: '--series-7', dash: [10, 2, 2, 2, 2, 2] },
  { colour: '--series-8', dash: [6, 6] },
] as const satisfies readonly { colour: string; dash: readonly number[] }[];

export type Style = (typeof STYLES)[number];

/** The style of the line at this place; they come round again. */
export function styleOf(at: number): Style {
  return STYLES[at % STYLES.length] ?? STYLES[0];
}

/** Rises whenever light becomes dark or back: what is painted on a canvas has to be painted anew. */
export const scheme = signal(0);

/** Watches for it, as long as the page is there. */
export function watchScheme(): () => void {
  const changed = () => {
    scheme.value += 1;
  };
  const system = matchMedia('(prefers-color-scheme: dark)');
  const choice = new MutationObserver(changed);
  system.addEventListener('change', changed);
  choice.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
  return () => {
    system.removeEventListener('change', changed);
    choice.disconnect();
  };
}

/** A colour of the style sheet as a canvas takes it: `light-dark()` is resolved for this element. */
export function resolved(element: HTMLElement, name: string): string {
  element.style.color = `var(${name})`;
  const { color } = getComputedStyle(element);
  element.style.color = '';
  return color;
}
