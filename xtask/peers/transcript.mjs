// What a client may expect of one question and its answer: protocol.md, section 1, the golden path.

/** Whether this frame ends the run. */
export function isOver(frame, run) {
  const { type, runId } = frame.event ?? {};
  return frame.type === 'event' && (type === 'RUN_ERROR' || (type === 'RUN_FINISHED' && runId === run));
}

/**
 * Everything that is wrong with what the server said, one sentence each; empty if it kept its word.
 *
 * `asked` is the thread, the run and the message that the client sent; `protocol` the subprotocol that the server
 * chose; `frames` what it said, in order.
 */
export function faults(asked, protocol, frames) {
  const found = [];
  const expect = (holds, text) => {
    if (!holds) found.push(text);
  };
  expect(protocol === 'lychgate.v1', `the subprotocol is "${protocol}", not "lychgate.v1"`);
  for (const frame of frames) {
    expect(frame.type !== 'error', `an error: ${frame.code}: ${frame.message}`);
    expect(frame.type !== 'closed', `the session was closed: ${frame.reason}`);
  }
  const [hello] = frames;
  expect(hello?.type === 'hello', `the first frame is "${hello?.type}", not "hello"`);
  expect(Boolean(hello?.connection && hello?.user), 'hello names no connection or no user');
  expect(hello?.limits?.used <= hello?.limits?.limit, 'hello has no sensible limits');

  const opened = frames.find((frame) => frame.type === 'opened');
  expect(opened?.thread === asked.thread, 'the thread was not opened');
  expect(Boolean(opened?.epoch), 'opened names no epoch');
  expect(opened?.reset === true, 'a first open is a reset');
  expect(opened?.limits?.used >= 1, 'an open session is not counted');

  answerFaults(asked, frames, opened?.after ?? 0, expect);
  return found;
}

function answerFaults(asked, frames, after, expect) {
  const events = frames.filter((frame) => frame.type === 'event');
  let last = after;
  for (const { thread, offset } of events) {
    expect(thread === asked.thread, `an event of another thread: ${thread}`);
    expect(Number.isSafeInteger(offset) && offset > last, `offset ${offset} follows ${last}`);
    last = offset;
  }
  const first = events[0]?.event;
  expect(first?.type === 'RUN_STARTED' && first.runId === asked.run, 'the answer does not start with RUN_STARTED of our run');
  expect(first?.input?.messages?.some(({ id }) => id === asked.message.id), 'RUN_STARTED does not carry our message');
  const text = events.filter(({ event }) => event.type === 'TEXT_MESSAGE_CONTENT').map(({ event }) => event.delta).join('');
  expect(text.trim() !== '', 'the answer has no text');
  const end = events.at(-1)?.event;
  expect(end?.type === 'RUN_FINISHED' && end.runId === asked.run, `the answer ends with ${end?.type}, not with RUN_FINISHED of our run`);
}
