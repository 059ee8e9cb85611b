// Made from crates/server/src/wire.rs by: RENEW_GOLDEN_FILES=1 cargo test -p lychgate typescript

/** What a client says. */
export type Client =
  | ({ type: 'hello' } & Hello)
  | ({ type: 'open' } & Open)
  | ({ type: 'leave' } & Leave)
  | ({ type: 'run' } & Run)
  | ({ type: 'stop' } & Stop)
  | ({ type: 'ack' } & Ack);

/** An AG-UI event, as it stands in the log. */
export type AguiEvent = { type: string; [field: string]: unknown };

/** One event of a thread. */
export type EventFrame = { type: 'event'; thread: string; offset: number; event: AguiEvent };

/** `hello` from a client. */
export type Hello = {
  /** A JWT, where the socket brought none with its request, or a fresh one. */
  token?: string,
  /** The connection that this one replaces. */
  prev?: string,
  /** How the tab names itself. */
  client?: string,
  /** Which SDK speaks, for logs. */
  sdk?: string,
  /** What counts as life: `app` or `ws` (the default). */
  heartbeat?: string,
};

/** `open` from a client. */
export type Open = {
  /** The thread; none for a new one. */
  thread?: string,
  /** The last offset that the client has processed. */
  after?: number,
  /** The incarnation of the log that `after` belongs to. */
  epoch?: string,
  /** The client's name for this open, echoed. */
  ref?: string,
};

/** `leave` from a client. */
export type Leave = {
  /** Which thread. */
  thread: string,
};

/** `run` from a client. */
export type Run = {
  /** On which thread. */
  thread: string,
  /** Idempotency key, made by the client. */
  run: string,
  /** AG-UI RunAgentInput less the ids. */
  input: RunInput,
  /** Which agent; none for the default one. */
  agent?: string,
};

/** AG-UI RunAgentInput less the ids; what we do not read is passed on as it came. */
export type RunInput = {
  /** New messages; known ids are ignored. */
  messages: Array<Message>,
  /** Tools of the front end. */
  tools?: unknown[],
  /** Context items. */
  context?: unknown[],
  /** Shared state. */
  state?: unknown,
  /** Passed on to the agent. */
  forwardedProps?: unknown,
  /** Answers to interrupts. */
  resume?: unknown,
};

/** An AG-UI message: its head is read, the rest is kept as it came. */
export type Message = {
  id: string; role: string; [field: string]: unknown };

/** `stop` from a client. */
export type Stop = {
  /** On which thread. */
  thread: string,
  /** Which run. */
  run: string,
};

/** `ack` from a client. */
export type Ack = {
  /** The last processed offset of each thread. */
  at?: { [key in string]: number },
  /** Whether a person sees the page. */
  visible?: boolean,
};

/** What we say. */
export type Server = {
  "type": "hello",
  /** Its id: the client's `prev` next time. */
  connection: string,
  /** The verified user. */
  user: string,
  /** Milliseconds between two pings. */
  ping: number,
  /** Unacknowledged events at most, per thread. */
  window: number,
  /** Seconds until the token expires. */
  expires_in?: number,
  /** The user's sessions against his limit. */
  limits: Limits,
}
| {
  "type": "opened"
} & Opened
| {
  "type": "closed",
  /** Which thread. */
  thread: string,
  /** The client's name for the open that is over. */
  ref?: string,
  /** Why, as a word of the table of closes in protocol.md. */
  reason: string,
  /** Whether and how to come back. */
  reconnect: Reconnect,
  /** Milliseconds to wait before. */
  retry_in?: number,
  /** For people. */
  message?: string,
  /** How far reclaim had to go, where it took the session. */
  level?: string,
  /** What was known of the session then. */
  evidence?: Evidence,
}
| {
  "type": "notice"
} & Notice
| {
  "type": "error",
  /** One word of protocol.md rule 13. */
  code: string,
  /** For people. */
  message: string,
  /** Which thread. */
  thread?: string,
  /** Which run. */
  run?: string,
  /** The client's name for the open that is refused. */
  ref?: string,
  /** Milliseconds to wait before trying again. */
  retry_in?: number,
}
| {
  "type": "ping"
};

/** `opened` to a client. */
export type Opened = {
  /** Which thread. */
  thread: string,
  /** The client's name for this open. */
  ref?: string,
  /** The incarnation of the log. */
  epoch: string,
  /** Events follow from here, exclusive. */
  after: number,
  /** The last offset of the log. */
  head: number,
  /** The run in flight. */
  run?: string,
  /** The user's sessions against his limit. */
  limits: Limits,
  /** The client replaces what it has by `messages` (and `state`). */
  reset?: boolean,
  /** The thread's messages, with `reset`. */
  messages?: Array<Message>,
  /** The thread's state, with `reset`. */
  state?: unknown,
  /** There is older history than `messages`. */
  more?: boolean,
};

/** `notice` to a client. */
export type Notice = {
  "code": "limit"
} & Limits
| {
  "code": "queued",
  /** Which thread. */
  thread: string,
  /** The client's name for this open. */
  ref?: string,
  /** 1 is next. */
  position: number,
  /** Milliseconds until it is served at the latest. */
  deadline: number,
}
| {
  "code": "run_queued",
  /** Which thread. */
  thread: string,
  /** Which run. */
  run: string,
  /** 1 is next. */
  position: number,
}
| {
  "code": "run_ended",
  /** Which thread. */
  thread: string,
  /** Which run. */
  run: string,
}
| {
  "code": "reconnect",
  /** Why. */
  why: string,
  /** Milliseconds to wait before. */
  retry_in: number,
  /** Milliseconds until the socket is closed. */
  deadline: number,
}
| {
  "code": "expiring",
  /** Seconds. */
  expires_in: number,
};

/** Whether and how a client comes back. */
export type Reconnect = "resume" | "on_demand" | "never";

/** A user's sessions against his limit. */
export type Limits = {
  /** Sessions that he holds. */
  used: number,
  /** Sessions that he may hold. */
  limit: number,
  /** `ok`, `watch`, `warn`, `high` or `full`. */
  level: 'ok' | 'watch' | 'warn' | 'high' | 'full',
  /** While the reserve takes newcomers: until when, in milliseconds since 1970. */
  reserve_until?: number,
};

/** What was known of a session that had to go: which questions it left unanswered, how old its backlog was. */
export type Evidence = {
  /** Heartbeats in a row without an answer. */
  missed_pings: number,
  /** Pings of the last probe without an answer. */
  missed_probes: number,
  /** Milliseconds since the oldest unanswered one. */
  unanswered_for?: number,
  /** Milliseconds since anything was heard. */
  silent_for: number,
  /** Milliseconds in which bytes waited and the peer took none. */
  blocked_for?: number,
  /** Bytes that waited when it was last asked. */
  queued_bytes?: number,
  /** Milliseconds in which the peer's kernel acknowledged nothing while bytes were in flight. */
  unacked_for?: number,
};
