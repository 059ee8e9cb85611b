/** Rings once: setting it again forgets what was set before, and without a call it is silent. */
export type Alarm = (ms?: number, call?: () => void) => void;

export function alarm(): Alarm {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (ms, call) => {
    clearTimeout(timer);
    timer = call && setTimeout(call, ms);
  };
}
