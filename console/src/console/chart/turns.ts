/** One after the other, one in each frame: eight charts that are made at once would keep a press waiting. */

const waiting: (() => void)[] = [];

/** Does it when it is its turn; what is given back takes it out of the line. */
export function inTurn(work: () => void): () => void {
  waiting.push(work);
  if (waiting.length === 1) requestAnimationFrame(next);
  return () => {
    const at = waiting.indexOf(work);
    if (at >= 0) waiting.splice(at, 1);
  };
}

function next(): void {
  waiting.shift()?.();
  if (waiting.length > 0) requestAnimationFrame(next);
}
