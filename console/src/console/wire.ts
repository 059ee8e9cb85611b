// Made from crates/server/src/wire/admin by: RENEW_GOLDEN_FILES=1 cargo test -p lychgate typescript

/** What the node says; `type` names the frame. */
export type Live = {
  "type": "hello",
  /** Who the node takes you for: `key:NAME` or `user:ID`. */
  operator: string,
  /** `read` or `write`. */
  role: string,
  /** Where you are. */
  node: NodeName,
  /** Milliseconds between two samples. */
  every: number,
  /** The samples of the last 15 minutes, oldest first; none of before the last restart. */
  history: Array<Sample>,
}
| {
  "type": "sample",
  /** The newest. */
  sample: Sample,
  /** Samples before this one that were left out, because you took no bytes when they were due; absent where none was. */
  skipped?: number,
}
| {
  "type": "decisions",
  /** Oldest first, at most 200. */
  decisions: Array<Told>,
  /** Decisions that were forgotten before they could be told, whether they were of interest or not. */
  missed: number,
}
| {
  "type": "alerts",
  /** In the order of docs/alerts.md. */
  alerts: Array<AlertState>,
}
| {
  "type": "ping"
};

/** Which node. */
export type NodeName = {
  /** The name of its machine. */
  name: string,
  /** Of the program. */
  version: string,
  /** When it began to serve. */
  started: number,
  /** What time it is there. */
  now: number,
};

/** What a node was at a moment, and what happened since the sample before. A sample that could not be taken in time is not
 * there: `at` says so. */
export type Sample = {
  /** When. */
  at: number,
  /** Milliseconds since the sample before, in which all of this happened. */
  span_ms: number,
  /** Sessions that users hold, lingering ones included. */
  sessions: number,
  /** Those without a connection. */
  lingering: number,
  /** Connections with an identity. */
  connections: number,
  /** Runs in flight. */
  runs: number,
  /** Threads for which an open waits. */
  waiters: number,
  /** Users with any record. */
  users: number,
  /** Users by the band of their limit that they are in. */
  bands: Bands,
  /** Users who hold a session, by the share of their limit: up to 10 %, up to 20 %, ..., up to 100 %, and more; eleven numbers. */
  histogram: Array<number>,
  /** Opens that were answered since the sample before, by the way to a session (`refused` among them). */
  admissions: { [key in string]: number },
  /** Sessions that were reclaimed since then, by level. */
  reclaims: { [key in string]: number },
  /** Opens since then that a gateway which only checks would have refused. */
  lockouts_prevented: number,
  /** Opens and connects that were refused since then. */
  refusals: number,
  /** Connections that were found dead since then. */
  zombies: number,
  /** Of those that were found dead, how many have shown since then that they were not. */
  verdicts_disproved: number,
  /** Milliseconds from an open to its answer since the sample before, the middle one; absent where none was answered. As
   * exact as the buckets of `lychgate_admission_wait_seconds`, between whose bounds it is interpolated. */
  admission_p50_ms?: number,
  /** The same, which 99 of 100 stayed below. */
  admission_p99_ms?: number,
  /** Milliseconds by which the asynchronous runtime last ran late. */
  runtime_lag_ms: number,
  /** Milliseconds by which the reaper last woke late. */
  reaper_lag_ms: number,
  /** Memory of the process that is in RAM. */
  resident_bytes: number,
  /** Processors that the process kept busy since the sample before: 1.5 is one and a half; 0 in the first sample. */
  cpu: number,
  /** Every agent by its name. */
  agents: { [key in string]: AgentSample },
};

/** Users by band. */
export type Bands = {
  /** Below half of their limit. */
  ok: number,
  /** From half of it. */
  watch: number,
  /** From 60 %. */
  warn: number,
  /** From 70 %. */
  high: number,
  /** At it. */
  full: number,
};

/** What an agent did since the sample before. */
export type AgentSample = {
  /** Answers that ended. */
  runs: number,
  /** Those of them that failed, or never began. */
  errors: number,
  /** Milliseconds from the question to the first event, the middle one; absent where none began. */
  first_event_p50_ms?: number,
  /** The same, which 99 of 100 stayed below. */
  first_event_p99_ms?: number,
  /** `closed`, `open` or `probing`: whether it is asked. */
  breaker: string,
};

/** One decision, and whom it is about. */
export type Told = {
  /** Rises by one with each decision of the node. */
  sequence: number,
  /** Whom it is about; absent where it is about the node. */
  user?: string,
  /** When; the last time, where it was decided several times in a row. */
  at: string,
  /** `admitted`, `waits`, `queued`, `refused`, `released`, `evicted`, `would_evict`, `would_wait`, `dead`, `closed`, `breaker`, or `repaired`. */
  verdict: string,
  /** The conversation that it is about. */
  thread?: string,
  /** The connection that it is about. */
  connection?: string,
  /** Which way an open was admitted: `attach`, `takeover`, `free`, `reclaimed`, `reserve`, `queue`, or `shadow`. */
  path?: string,
  /** Why it ended, was refused, or counts as dead. */
  reason?: string,
  /** How far reclaim had to go. */
  level?: string,
  /** What a session was reclaimed for: `newcomer`, `pressure` (the user was above a watermark), or `order` (an operator's, or a rule's). */
  cause?: string,
  /** The thread that got the slot. */
  newcomer?: string,
  /** What a breaker is now: `closed`, `open` or `probing`. */
  state?: string,
  /** Milliseconds from `open` until then. */
  waited?: number,
  /** The place in the queue. */
  position?: number,
  /** Milliseconds after which whoever was refused was told to come back. */
  retry_in?: number,
  /** What it was decided by. */
  evidence?: Evidence,
  /** How often more the same was decided in a row. */
  again: number,
  /** The same for people. */
  text: string,
};

/** One decision. */
export type Decision = {
  /** When; the last time, where it was decided several times in a row. */
  at: string,
  /** `admitted`, `waits`, `queued`, `refused`, `released`, `evicted`, `would_evict`, `would_wait`, `dead`, `closed`, `breaker`, or `repaired`. */
  verdict: string,
  /** The conversation that it is about. */
  thread?: string,
  /** The connection that it is about. */
  connection?: string,
  /** Which way an open was admitted: `attach`, `takeover`, `free`, `reclaimed`, `reserve`, `queue`, or `shadow`. */
  path?: string,
  /** Why it ended, was refused, or counts as dead. */
  reason?: string,
  /** How far reclaim had to go. */
  level?: string,
  /** What a session was reclaimed for: `newcomer`, `pressure` (the user was above a watermark), or `order` (an operator's, or a rule's). */
  cause?: string,
  /** The thread that got the slot. */
  newcomer?: string,
  /** What a breaker is now: `closed`, `open` or `probing`. */
  state?: string,
  /** Milliseconds from `open` until then. */
  waited?: number,
  /** The place in the queue. */
  position?: number,
  /** Milliseconds after which whoever was refused was told to come back. */
  retry_in?: number,
  /** What it was decided by. */
  evidence?: Evidence,
  /** How often more the same was decided in a row. */
  again: number,
  /** The same for people. */
  text: string,
};

/** A page of everybody's decisions. */
export type DecisionPage = {
  /** Oldest first. */
  decisions: Array<Told>,
  /** What to give as `after` for what comes then; there is always one. */
  next: string,
  /** Decisions after the given `after` that had been dropped, to stay within `explain.feed_bytes`, before they were asked for. */
  missed: number,
  /** Whether `after` was of an earlier life of this node: what was decided then is gone, and this page begins with its new life. */
  restarted: boolean,
};

/** What was decided about a user lately on this node. */
export type Explained = {
  /** Who. */
  user: string,
  /** Oldest first; none where nothing is known, or no longer. */
  decisions: Array<Decision>,
  /** Older ones of this user that gave way to newer ones. */
  dropped: number,
  /** Users of this node whose whole record gave way to others. */
  dropped_users: number,
  /** His sessions on other nodes, each of which knows what it decided. */
  elsewhere?: Array<SessionElsewhere>,
  /** Whether nobody could tell if he has sessions on other nodes. */
  elsewhere_unknown?: boolean,
};

/** Who asks. */
export type Me = {
  /** `key:NAME` or `user:ID`. */
  operator: string,
  /** `read`, or `write` for whoever may change things, too. */
  role: string,
};

/** A page of users in one line each. */
export type UserPage = {
  /** The users. */
  users: Array<UserRow>,
  /** Users on this node, whoever was asked for. */
  total: number,
  /** What to give as `after` for more; absent at the end. A page may be short, or empty, and have a next one. */
  next?: string,
};

/** A user in one line. */
export type UserRow = {
  /** Who. */
  user: string,
  /** Sessions that he holds; those on other nodes as of his last admission on this one. */
  used: number,
  /** Sessions that he may hold. */
  limit: number,
  /** `ok`, `watch`, `warn`, `high`, or `full`. */
  level: string,
  /** The plan of his newest token. */
  plan?: string,
  /** A limit that an operator set for a while. */
  lent?: LentLimit,
  /** Opens that wait for a slot. */
  waiting: number,
  /** His connections. */
  connections: number,
  /** His runs in flight. */
  runs: number,
  /** Sessions whose best connection is alive. */
  alive: number,
  /** Sessions whose best connection is suspect. */
  suspect: number,
  /** Sessions whose best connection is dead. */
  zombie: number,
  /** Sessions that are kept warm without a connection. */
  detached: number,
  /** Until when his reserve is open. */
  reserve_until?: string,
};

/** A limit for a while. */
export type LentLimit = {
  /** Sessions. */
  max_sessions: number,
  /** Milliseconds that it holds still. */
  ends_in: number,
};

/** A page of users with their sessions. */
export type Listed = {
  /** The users; those without a session that was asked for are left out. */
  users: Array<User>,
  /** What to give as `after` for more; absent at the end. A page may be short, or empty, and have a next one. */
  next?: string,
};

/** A user on this node. */
export type User = {
  /** Who. */
  user: string,
  /** Sessions that he holds: `sessions` and `elsewhere` where he was asked for by name and nothing is left out; else those on
   * other nodes as of his last admission on this one. */
  used: number,
  /** Sessions that he may hold. Where neither a session nor a connection of his is on this node, it does not know his plan: then it is
   * what whoever has no plan may hold. */
  limit: number,
  /** `ok`, `watch`, `warn`, `high`, or `full`. */
  level: string,
  /** The plan of his newest token. */
  plan?: string,
  /** A limit that an operator set for a while. */
  lent?: LentLimit,
  /** Opens that wait for a slot. */
  waiting: number,
  /** His sessions, as far as they were asked for. */
  sessions: Array<Session>,
  /** The connections that show them. */
  connections: Array<Connection>,
  /** His sessions on other nodes; told where he is asked for by name and nothing is left out. */
  elsewhere?: Array<SessionElsewhere>,
  /** Whether nobody could tell if he has sessions on other nodes. */
  elsewhere_unknown?: boolean,
};

/** A session. */
export type Session = {
  /** Its isolation key. */
  key: string,
  /** Its thread. */
  thread: string,
  /** `alive`, `suspect`, `zombie_half_open`, `zombie_stalled`, ..., of its best connection; `detached` where it has none. */
  liveness: string,
  /** 0 (worst) to 100. */
  health: number,
  /** What cost points. */
  reasons: Array<HealthReason>,
  /** Milliseconds since a person last used it. */
  unused_for: number,
  /** Milliseconds that it stays warm without a connection. */
  lingers_for?: number,
  /** The run in flight on its thread. */
  run?: string,
  /** Who is attached. */
  connections: Array<string>,
};

/** A session on another node. How it is says that node; where it did not within a second, only that it is there. */
export type SessionElsewhere = {
  /** The node, as its operator named it. */
  node: string,
  /** The same as `GET /v1/admin/cluster` has it: two nodes may have one name. */
  incarnation: string,
  /** Its thread. */
  thread: string,
  /** `alive`, `suspect`, `detached`, or `gone` where its connections are dead. */
  liveness?: string,
  /** 0 (worst) to 100; 0 where it has no connection. */
  health?: number,
  /** Milliseconds since a person last used it. */
  unused_for?: number,
  /** Whether it is spared while another choice is left: a run is in flight, or the plan pins it. */
  protected?: boolean,
};

/** Why a health is below 100. */
export type HealthReason = {
  /** `missed_pings`, `missed_probes`, `slow_answers`, `backlog`, `unacknowledged`, `memory`, `idle`, or `detached`. */
  reason: string,
  /** What it cost. */
  points: number,
};

/** A connection. */
export type Connection = {
  /** Its id. */
  connection: string,
  /** As that of a session. */
  liveness: string,
  /** What counts as life on it: `app` or `ws`. */
  heartbeat: string,
  /** What it was judged by. */
  evidence: Evidence,
  /** Milliseconds until its token expires. */
  expires_in?: number,
};

/** What is known of a connection, and what it was judged by. */
export type Evidence = {
  /** Heartbeats in a row without an answer. */
  missed_pings: number,
  /** Pings of the last probe without an answer, 0 to 2. */
  missed_probes: number,
  /** Milliseconds since the oldest ping that stayed unanswered. */
  unanswered_for?: number,
  /** Milliseconds since anything was heard. */
  silent_for: number,
  /** Milliseconds that the last answer took. */
  answered_in?: number,
  /** Milliseconds in which bytes waited and the peer took none. */
  blocked_for?: number,
  /** Bytes that waited when it was last asked. */
  queued_bytes?: number,
  /** Milliseconds in which the peer's kernel acknowledged nothing while bytes were in flight. */
  unacked_for?: number,
};

/** Every agent of the configuration. */
export type AgentList = {
  /** In alphabetical order. */
  agents: Array<AgentRow>,
};

/** An agent. */
export type AgentRow = {
  /** Its name in the configuration. */
  name: string,
  /** `demo`, `openai` or `agui`. */
  kind: string,
  /** Whether it answers where nobody names another one. */
  is_default: boolean,
  /** `closed`: it is asked; `open`: it counts as down and is spared; `probing`: one run tries. */
  breaker: string,
  /** Milliseconds until one run tries whether an open one is back; 0 where the next run does. */
  opens_for?: number,
  /** Answers since the start, by what became of them: the words of the metric `lychgate_agent_runs_total`. */
  runs: { [key in string]: number },
  /** Runs that it is answering. */
  in_flight: number,
  /** From the question to the first event, since the start. */
  first_event: FirstEvent,
  /** What went wrong last, if anything has since the start. */
  last_error?: AgentError,
};

/** How soon answers began. As exact as the buckets of `lychgate_agent_first_event_seconds`. */
export type FirstEvent = {
  /** Half of them within so many milliseconds; absent where none began. */
  p50_ms?: number,
  /** 90 of 100. */
  p90_ms?: number,
  /** 99 of 100. */
  p99_ms?: number,
  /** Answers that began. */
  count: number,
};

/** What an agent failed with. */
export type AgentError = {
  /** When. */
  at: string,
  /** A word of docs/agents.md. */
  code: string,
  /** What the user was told. */
  message: string,
};

/** The node, and the configuration that is in force. */
export type NodeView = {
  /** The name of its machine. */
  name: string,
  /** Of the program. */
  version: string,
  /** How the program was built: `release` or `debug`. */
  profile: string,
  /** What is built in. */
  features: Array<string>,
  /** `server.environment`. */
  environment: string,
  /** When it began to serve. */
  started: string,
  /** Milliseconds since then. */
  uptime_ms: number,
  /** Whether it is being drained. */
  draining: boolean,
  /** What `/readyz` says. */
  ready: boolean,
  /** Why it is not ready. */
  not_ready_because?: string,
  /** Where users connect. */
  listen: string,
  /** Where operators do. */
  admin: string,
  /** The file of the configuration, where there is one. */
  file?: string,
  /** Every key that has a value, by section and name. Secrets are masked. */
  configuration: Array<Setting>,
};

/** A key of the configuration. */
export type Setting = {
  /** Its section, such as `limits` or `agents.demo`. */
  section: string,
  /** Its name. */
  key: string,
  /** What is in force, as TOML; a secret is `"********"`. */
  value: string,
  /** What is in force where nobody says otherwise; absent for a key without a default. */
  default?: string,
  /** `default`, `file`, `environment` or `argument`. */
  origin: string,
  /** Which line, variable or argument; absent for a default. */
  place?: string,
  /** Whether a change of it waits for a restart; otherwise it holds from the next SIGHUP on. */
  needs_restart: boolean,
};

/** The cluster, as one node knows it. */
export type ClusterView = {
  /** `single`: this node is alone, and there is nobody to ask; or `redis`. */
  kind: string,
  /** `healthy`: sessions of all nodes count together; `unknown`: this node goes by its own count. */
  health: string,
  /** Since when it is unknown. */
  unknown_since?: string,
  /** Milliseconds since then. */
  unknown_for_ms?: number,
  /** Why it is unknown. */
  because?: string,
  /** This node as the others see it; absent where it is alone, and before it has met them. */
  incarnation?: string,
  /** Leases that this node holds, those included that Redis has yet to be told of. */
  leases: number,
  /** Milliseconds since a question left this node that Redis answered; it asks once a second at least. */
  answered_ms?: number,
  /** The nodes that lived as of that answer, this one included, by name. */
  nodes: Array<ClusterNode>,
};

/** A node, as it tells of itself. */
export type ClusterNode = {
  /** Whether it is the one that was asked. */
  this: boolean,
  /** `cluster.node_name`, or the name of its machine. */
  name: string,
  /** `cluster.node_address`, or where it listens. */
  address: string,
  /** Of the program. */
  version: string,
  /** Under which it holds its leases: another one after each start, and after it was taken for dead. */
  incarnation: string,
  /** When it started, by its own clock. */
  started: string,
  /** Sessions that it holds, as of some seconds ago. */
  sessions: number,
  /** Milliseconds that its node lease still holds if it does not renew it; when they are over it is dead to the others. */
  lease_ms: number,
};

/** Every alert of docs/alerts.md. */
export type AlertList = {
  /** In the order of docs/alerts.md. */
  alerts: Array<AlertState>,
};

/** An alert, and where it stands. */
export type AlertState = {
  /** The same in Prometheus and in messages. */
  name: string,
  /** `info`, `warning` or `critical`. */
  severity: string,
  /** What is the case while it fires. */
  summary: string,
  /** What that means for users, and what the gateway does by itself. */
  meaning: string,
  /** `ok`; `pending` while its condition holds and not for long enough yet; or `firing`. */
  state: string,
  /** Since when it is pending or fires. */
  since?: string,
  /** What its condition compares, as of the last look; absent where that is not known. */
  value?: number,
  /** For whom it fires, at most 100 of them; for alerts of users alone. */
  users?: Array<string>,
  /** For how many users it fires; for alerts of users alone. */
  users_firing?: number,
  /** Where to look and what to press, line by line. */
  runbook: Array<string>,
  /** The part of the runbook that is about it. */
  page: string,
};

/** A page of the audit log. */
export type AuditPage = {
  /** Newest first, or with `after` oldest first. */
  entries: Array<AuditEntry>,
  /** What to give as `before` (with `after`: as `after`) for more; absent at the end. */
  next?: number,
};

/** One entry of the audit log. */
export type AuditEntry = {
  /** Rises with every entry. */
  id: number,
  /** When. */
  at: string,
  /** The request, as in the header `x-request-id` of its answer and in the log. */
  request: string,
  /** `key:NAME`, `user:ID`, or `nobody`. */
  operator: string,
  /** What: `evict`, `log_out`, `revoke`, `reclaim`, `lend_limit`, `restore_limit`, `drain`, `publish`, or the route that was refused. */
  action: string,
  /** Whom it concerned. */
  user?: string,
  /** Which of his conversations. */
  thread?: string,
  /** What was asked for beside it. */
  parameters: unknown,
  /** `done`, `failed`, `refused`, `begun`; of a rule `dry_run` or `held`; or `unknown` where the process died before it was over. */
  outcome: string,
  /** What was answered. */
  result?: unknown,
};

/** Sessions that were ended. */
export type Ended = {
  /** Their isolation keys. */
  ended: Array<string>,
};

/** How far to reclaim. */
export type Level = "conservative" | "moderate" | "aggressive" | "force";

/** The body of `POST /v1/admin/users/{user}/reclaim`. */
export type Reclaim = {
  /** How far to go. */
  level: Level,
};

/** What reclaim took. */
export type Reclaimed = {
  /** What went on the node that was asked, in the order in which they went. */
  evicted: Array<Evicted>,
  /** Sessions that the user holds now; those on other nodes as of his last admission on this one. */
  used: number,
  /** Sessions that he may hold. */
  limit: number,
  /** Other nodes that were told to do the same, by name: each judges the sessions that it has. With `force` it is one of them
   * at most, and nothing went here then. */
  asked?: Array<string>,
  /** Whether nobody could tell if he has sessions on other nodes, so that none was asked. */
  elsewhere_unknown?: boolean,
};

/** A session that was reclaimed. */
export type Evicted = {
  /** Its isolation key. */
  key: string,
  /** Its thread. */
  thread: string,
  /** How far reclaim had to go for it. */
  level: string,
  /** What was known of its best connection. */
  evidence: Evidence,
};

/** The body of `PUT /v1/admin/users/{user}/limits`. */
export type Lend = {
  /** Sessions that the user may hold, 1 to 1,000. */
  max_sessions: number,
  /** For how long, with a unit, at most 30 days: `"30m"`, `"2h"`. */
  for: string,
};

/** The limit in force for a user. */
export type LimitInForce = {
  /** Sessions that he holds; those on other nodes as of his last admission on this one. */
  used: number,
  /** Sessions that he may hold. */
  limit: number,
  /** Until when, where it is a limit for a while. */
  until?: string,
};

/** The drain was asked for; it takes up to `server.drain_timeout`. */
export type Draining = {
  /** Always. */
  draining: boolean,
};

/** What every refusal says. */
export type Error = {
  /** `error` */
  type: string,
  /** A word of docs/admin.md. */
  code: string,
  /** For people. */
  message: string,
  /** Milliseconds to wait before trying again. */
  retry_in?: number,
};
