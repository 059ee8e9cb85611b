//! What the runbook has people look at and press, again and again: lines to paste after those on top of docs/alerts.md.

/// A line to paste: what is sent with it, where to, and what it does.
macro_rules! curl {
    ($path:literal, $does:literal) => {
        concat!("`curl -H \"Authorization: Bearer $LYCHGATE_KEY\" \"$U", $path, "\"`: ", $does)
    };
    ($words:literal, $path:literal, $does:literal) => {
        concat!("`curl -H \"Authorization: Bearer $LYCHGATE_KEY\" ", $words, " \"$U", $path, "\"`: ", $does)
    };
}

pub(super) const WHO_IS_NEAR: &str =
    curl!("/v1/admin/sessions?sort=pressure&limit=20", "who it is, the fullest first, and what he holds");
pub(super) const WHO_WAS_REFUSED: &str = curl!("/v1/admin/decisions?verdict=refused&limit=20", "who it was, and why");
pub(super) const WHO_WAS_DEAD: &str =
    curl!("/v1/admin/decisions?verdict=dead&limit=20", "who it was, and on what evidence");
pub(super) const WHICH_BREAKER: &str = curl!("/v1/admin/decisions?verdict=breaker&limit=20", "which step of whom");
pub(super) const WHO_WAITED: &str = curl!("/v1/admin/decisions?verdict=queued&limit=20", "who waited, and for what");
pub(super) const ASK_ABOUT_A_USER: &str =
    "`lychgate explain USER`: what was decided about one user, in order, in sentences";
pub(super) const RECLAIM: &str = curl!(
    "-d '{\"level\":\"aggressive\"}'",
    "/v1/admin/users/USER/reclaim",
    "reclaim now, after all of his tabs were asked for a sign of life"
);
pub(super) const LEND: &str = curl!(
    "-X PUT -d '{\"max_sessions\":40,\"for\":\"2h\"}'",
    "/v1/admin/users/USER/limits",
    "lend one user a higher limit for a while"
);
pub(super) const END_ONE: &str = curl!(
    "-X DELETE",
    "/v1/admin/sessions/SESSION",
    "end one session: SESSION is its isolation key `user:thread` with `:` as `%3A`"
);
pub(super) const DRAIN: &str = curl!("-X POST", "/v1/admin/drain", "everybody is told to move, and the process ends");
pub(super) const DOCTOR: &str =
    "`lychgate doctor --admin URL`: what is wrong with a gateway that runs, the worst first, each with its fix";
pub(super) const CLUSTER_STATUS: &str =
    "`lychgate cluster status --admin URL`: why, since when, and which nodes there were; ask every node";
pub(super) const CRITICAL_LOGS: &str = "the log, lines of level `error` and `warn` of the same minutes";
