//! Every step that has a line of its own, with its word, level and fields: docs/logs.md is made from this list.

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The word in the field `event`.
    pub event: &'static str,
    /// How loud it is told.
    pub level: &'static str,
    /// Its other fields; those that are not in every such line have a question mark.
    pub fields: &'static [&'static str],
    /// What happened.
    pub means: &'static str,
}

const fn step(event: &'static str, level: &'static str, fields: &'static [&'static str], means: &'static str) -> Step {
    Step { event, level, fields, means }
}

/// All steps.
#[rustfmt::skip]
pub const STEPS: [Step; 39] = [
    step("session.created", "info", &["user", "thread", "isolation_key", "connection", "path", "level?", "waited_ms"],
        "A session came into being; `path` says how it was admitted, in the words of `lychgate_admissions`, `level` how far reclaim had to go for it."),
    step("session.attached", "info", &["user", "thread", "isolation_key", "connection", "path", "waited_ms"],
        "A connection joined a session that was there."),
    step("session.taken_over", "info", &["user", "thread", "isolation_key", "connection", "path", "waited_ms"],
        "The connection of a tab that came back took the session over from the tab's old one."),
    step("session.lingers", "debug", &["user", "thread", "isolation_key"],
        "A session lost its last connection and stays warm for a reload."),
    step("session.released", "info", &["user", "thread", "isolation_key", "reason"],
        "A session ended on its own account."),
    step("session.evicted", "info", &["user", "thread", "isolation_key", "level", "reason", "cause", "made_room_for?", "evidence"],
        "A session was reclaimed, at this level and on this evidence; `cause` is `newcomer`, whose thread `made_room_for` names, `pressure`, `order`, or `other_node`, where its session is."),
    step("session.would_be_evicted", "info", &["user", "thread", "isolation_key", "level", "evidence"],
        "The same, where the limit only tells (`limits.mode = \"shadow\"`)."),
    step("open.waited", "info", &["user", "thread", "isolation_key", "connection"],
        "An open waits while the user's connections are probed."),
    step("open.queued", "info", &["user", "thread", "isolation_key", "position"],
        "An open stands in the queue; 1 is next."),
    step("open.would_wait", "info", &["user", "thread", "isolation_key"],
        "An open would have to wait, where the limit only tells."),
    step("open.refused", "warn, info, debug", &["user", "thread?", "isolation_key?", "connection", "reason", "retry_in_ms?"],
        "Somebody was sent away: `overload` and `no_slot` are warnings, `draining` is news, `not_connected` is neither."),
    step("connection.opened", "info", &["user", "connection"],
        "A connection said who it is and is in the count."),
    step("connection.replaced", "info", &["user", "connection", "superseded"],
        "The same, and it replaced the older one of its tab."),
    step("connection.closed", "info", &["user", "connection", "reason"],
        "A connection left the count; `ended_by_itself`, or why it was closed."),
    step("connection.dead", "info", &["user", "connection", "kind", "evidence"],
        "A connection was found dead, and on what evidence."),
    step("connection.unconfirmed", "info", &["user", "connection"],
        "A close was not confirmed in time; the socket is torn down."),
    step("user.pressure", "info, debug", &["user", "pressure", "used", "limit"],
        "A user moved into another band of his limit; back to `ok` is told at `debug`."),
    step("connection.verdict_disproved", "warn", &["user", "connection", "kind"],
        "A connection was called dead, and had shown that it is not: a wrong verdict."),
    step("reclaim.step", "debug", &["user", "level", "freed"],
        "A level of reclaim went to work; `freed` says how many sessions it evicted."),
    step("reclaim.probe_failed", "debug", &["user", "connection"],
        "A question of a probe could not be written."),
    step("reclaim.breaker", "warn", &["user", "step", "state"],
        "A breaker round a step of reclaim moved; `(node)` for the node's."),
    step("gate.repaired", "error", &["user", "broken"],
        "An invariant did not hold and was repaired: a defect of this program."),
    step("run.started", "debug", &["user", "thread", "isolation_key", "run"],
        "A run's RUN_STARTED is in the log of its thread."),
    step("run.ended", "debug", &["user", "thread", "isolation_key", "run"],
        "Its terminal event is."),
    step("run.failed", "info", &["user", "thread", "isolation_key", "run", "error"],
        "An agent failed, fell silent or stopped in the middle; its `run.ended` follows."),
    step("run.refused", "warn", &["user", "thread", "isolation_key", "run", "error"],
        "A run could not begin: the journal cannot be read or written."),
    step("run.cut_short", "warn", &["user", "thread", "isolation_key", "run", "error"],
        "The journal took no more of a run; its `run.ended` follows."),
    step("run.deleted", "info", &["user", "thread", "isolation_key", "run"],
        "The thread of a run was deleted under it."),
    step("run.end_owed", "error", &["user", "thread", "isolation_key", "run"],
        "The journal does not take the end of a run; it is tried again."),
    step("run.end_missing", "error", &["user", "thread", "isolation_key", "run"],
        "The gateway stops before it did; the next start writes it."),
    step("cluster.unknown", "warn", &["trouble"],
        "Redis cannot be asked: until `cluster.healthy` each node goes by its own count, and nobody is refused or closed for it."),
    step("cluster.healthy", "info", &[],
        "Sessions of all nodes count together."),
    step("operator.elsewhere", "info", &["action", "key?", "user?", "max_sessions?", "level?", "evicted?"],
        "An operator of another node did it: `revoke`, `evict` of the session `key`, `lend_limit` or `restore_limit` of `user`, or `reclaim` of his sessions, of which so many went at once. The audit log of that node says who."),
    step("gateway.serving", "info", &["listen", "admin"],
        "Both listeners accept."),
    step("gateway.draining", "info", &["connections", "runs"],
        "The gateway was told to stop and empties itself."),
    step("gateway.stopped", "info", &[],
        "The last line of an orderly end."),
    step("gateway.panicked", "error", &["thread", "location", "backtrace?"],
        "A defect of this program; `thread` is one of the process. With `RUST_BACKTRACE=1` the line says from where."),
    step("log.lost", "warn", &["lines"],
        "So many lines were lost because standard error took them too slowly."),
    step("log.left_out", "info", &["like", "lines"],
        "So many lines of one kind were left out of a storm in the seconds before."),
];

/// The table of docs/logs.md.
#[must_use]
pub fn markdown() -> String {
    let mut table = "| `event` | level | fields | what happened |\n|---|---|---|---|\n".to_owned();
    for Step { event, level, fields, means } in STEPS {
        let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
        table += &format!("| `{event}` | {level} | {} | {means} |\n", fields.join(", "));
    }
    table
}
