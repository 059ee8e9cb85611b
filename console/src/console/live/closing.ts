/**
 * What a close means: whether to come back, and in which words (the table of docs/admin.md, rules 11 and 12 of
 * docs/protocol.md).
 */

/** The gateway's own close code for what it has too many of. */
const OVERLOAD = 4006;

/** The token is over. */
const EXPIRED = 4004;

export type Closing =
  | { then: 'back'; isCrowded: boolean; why: string; retryIn: number | undefined }
  /** The key or the login counts no more. */
  | { then: 'refused' }
  | { then: 'over'; why: string };

/** `before`: the code that the connection before ended with, where none has been live since. */
export function closing(code: number, reason: string, before: number | undefined): Closing {
  // One that expires may come from in between; the same token is not taken a second time.
  if (code === EXPIRED && before === EXPIRED) return { then: 'refused' };
  if (code === 4501 || code === 4503 || code === 4513) return { then: 'refused' };
  if (!comesBack(code)) {
    return { then: 'over', why: 'this page and the node do not understand each other; load it again' };
  }
  const said = parseReason(reason);
  return { then: 'back', isCrowded: code === OVERLOAD, why: whyLost(code, said.reason), retryIn: said.retryIn };
}

/** Rule 11; a code that no gateway of ours sends comes from something in between. */
function comesBack(code: number): boolean {
  return code < 4_000 || code >= 5_000 || code % 1_000 < 500;
}

function whyLost(code: number, reason: string | undefined): string {
  if (reason === 'draining') return 'the node is being drained';
  switch (code) {
    case 4000:
      return 'the node asked this page to come again';
    case 4001:
      return 'the node is being drained';
    case 4002:
      return 'this page was too slow';
    case 4003:
      return 'this page did not answer in time';
    case EXPIRED:
      return 'the token that let you in is over';
    case 4005:
      return 'this page did not say in time who it is';
    default:
      return 'the node cannot be reached';
  }
}

function parseReason(text: string): { reason?: string; retryIn?: number } {
  try {
    const said: unknown = JSON.parse(text);
    if (typeof said !== 'object' || said === null) return {};
    const reason = 'reason' in said && typeof said.reason === 'string' ? { reason: said.reason } : {};
    const retryIn = 'retry_in' in said && typeof said.retry_in === 'number' ? { retryIn: said.retry_in } : {};
    return { ...reason, ...retryIn };
  } catch {
    return {};
  }
}
