/** The configuration in force, read and searched. */

import type { Setting, NodeView } from '../wire';

/** How many sessions beyond the limit a user of this plan may be given for a while; 0 where the node does not say. */
export function reserveOf(node: Pick<NodeView, 'configuration'>, plan: string | undefined): number {
  const value = (section: string) =>
    node.configuration.find((each) => each.section === section && each.key === 'reserve_sessions')?.value;
  const own = plan === undefined ? undefined : value(`plans.${plan}`);
  const reserve = Number(own ?? value('limits') ?? 0);
  return Number.isInteger(reserve) ? reserve : 0;
}

/** Whether a value is another than the default, or one that has none. */
export function isChanged(setting: Setting): boolean {
  return setting.value !== setting.default;
}

export interface ConfigurationFilter {
  /** Words that must all stand in section, key or value. */
  text: string;
  which: 'all' | 'changed';
}

/** The rows that are asked for, in the order of the file. */
export function found(configuration: readonly Setting[], filter: ConfigurationFilter): readonly Setting[] {
  const words = filter.text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  return configuration.filter((each) => {
    if (filter.which === 'changed' && !isChanged(each)) return false;
    const text = `${each.section}.${each.key} ${each.value} ${each.origin} ${each.place ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

const ORIGINS: Readonly<Record<string, string>> = {
  default: 'default',
  file: 'the file',
  environment: 'the environment',
  argument: 'the command line',
};

/** Where a value comes from, in words. */
export function originWord(origin: string): string {
  return ORIGINS[origin] ?? origin;
}
