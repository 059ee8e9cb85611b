// Work that is done once per frame of the screen, however often it is asked for.

/**
 * How long a page that nobody sees waits: it has no frames, and its title and its order of messages are to be right
 * all the same.
 */
const UNSEEN_MS = 100;

/** `work` runs before the next frame that follows a request, at most once for all requests until then. */
export function eachFrame(work: () => void): { request: () => void; cancel: () => void } {
  let waits: { cancel: () => void } | undefined;
  const run = () => {
    waits?.cancel();
    waits = undefined;
    work();
  };
  return {
    request() {
      if (waits) return;
      const frame = requestAnimationFrame(run);
      // Whichever comes first: a page may be hidden between the request and its frame.
      const timer = setTimeout(run, UNSEEN_MS);
      waits = {
        cancel: () => {
          cancelAnimationFrame(frame);
          clearTimeout(timer);
        },
      };
    },
    cancel() {
      waits?.cancel();
      waits = undefined;
    },
  };
}
