/** How it stands with the live connection, and what that is in words. */

import { clock, span } from '../words';

/**
 * ```text
 *  connecting ─► live ◄─► stale (was live, tries again)
 *       │          └────► refused (the key counts no more: nothing is tried)
 *       │          └────► resting (nobody looks: it comes back when somebody does)
 *       ├─► crowded (too many consoles: tries again)
 *       └─► over (page and node do not understand each other: nothing is tried)
 * ```
 */
export type Link =
  | { phase: 'connecting' }
  | { phase: 'live' }
  | { phase: 'stale'; since: number; retryAt: number; why: string }
  | { phase: 'crowded'; retryAt: number }
  | { phase: 'resting'; since: number }
  | { phase: 'refused' }
  | { phase: 'over'; why: string };

/** A sentence for the line at the top; `now` in ms since 1970. */
export function linkSentence(link: Link, now: number): string {
  switch (link.phase) {
    case 'connecting':
      return 'Connecting';
    case 'live':
      return 'Live';
    case 'stale':
      return `Not live since ${clock(link.since)}: ${link.why}. ${again(link.retryAt, now)}`;
    case 'crowded':
      return `Too many consoles watch this node, so this one is not live. ${again(link.retryAt, now)}`;
    case 'resting':
      return `Not live since ${clock(link.since)}: nobody looked at this page, so it left its place to others.`;
    case 'refused':
      return 'Not live: the node does not accept this key or login any more.';
    case 'over':
      return `Not live: ${link.why}.`;
  }
}

function again(at: number, now: number): string {
  const left = Math.ceil((at - now) / 1_000) * 1_000;
  return left <= 0 ? 'Trying again now.' : `Trying again in ${span(left)}.`;
}
