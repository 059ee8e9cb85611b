/** Says that what stands below is not of now, and why. */

import { Status } from '../ui';
import { failureSentence, type Failure } from './ask';
import { clock } from './words';

/** `at`: when it was known, in ms since 1970. Nothing is shown where nothing failed. */
export function Outdated({ at, failure }: { at: number; failure: Failure | undefined }) {
  if (failure === undefined) return null;
  return (
    <Status tone="warn" icon="offline">
      <span>
        This is what was known at {clock(at)}. {failureSentence(failure)}
      </span>
    </Status>
  );
}
