//! Bodies of the operators' routes (`/v1/admin/...`): what they take and what they answer.
//!
//! Times are RFC 3339 in UTC, spans are milliseconds. What is absent is not known, or does not apply.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

mod cluster;
mod explain;
mod live;
mod overview;
mod sessions;

pub use cluster::{ClusterNode, ClusterView};
pub use explain::{Decision, DecisionPage, Explained, Told};
pub use live::{AgentSample, Bands, Live, NodeName, Sample};
pub use overview::{
    AgentError, AgentList, AgentRow, AlertList, AlertState, FirstEvent, Me, NodeView, Setting, UserPage, UserRow,
};
pub use sessions::{Connection, HealthReason, LentLimit, Listed, Session, SessionElsewhere, User};

/// Now or a while ago, as these routes tell times.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", at.unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}

/// What every refusal says.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"type": "error", "code": "bad_frame", "message": "`level` must be ..."}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Error {
    /// `error`
    #[serde(rename = "type")]
    pub kind: String,
    /// A word of docs/admin.md.
    pub code: String,
    /// For people.
    pub message: String,
    /// Milliseconds to wait before trying again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<u64>,
}

/// Sessions that were ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"ended": ["105945141827451681156:t1"]}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Ended {
    /// Their isolation keys.
    pub ended: Vec<String>,
}

/// What a revocation closed on this node.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"closed": 2, "ended": ["ann:t1"]}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Revoked {
    /// Connections that were told and closed.
    pub closed: usize,
    /// Sessions that lingered without a connection and were ended as well.
    pub ended: Vec<String>,
}

/// What is not to let anybody in any more: one token (`jti`), one user's (`user`), or everybody's (`issued_before` alone).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"user": "105945141827451681156", "issued_before": "2026-11-21T12:00:00Z"}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Revoke {
    /// The id of one token (its claim `jti`), at most 256 bytes.
    pub jti: Option<String>,
    /// With `jti`: the issuer of that token (`iss`); of any issuer where it is not given.
    pub issuer: Option<String>,
    /// Everything of one user: his tokens and his logins.
    pub user: Option<String>,
    /// Only what was issued before this time, RFC 3339; with `user` it may be left out: until now.
    pub issued_before: Option<String>,
}

/// How far to reclaim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Level {
    /// What is known to be gone.
    Conservative,
    /// Also what no connection is attached to, and what is only suspected to live.
    Moderate,
    /// Also what does not answer: everybody is asked first.
    Aggressive,
    /// The least valuable live session, one of them.
    Force,
}

/// The body of `POST /v1/admin/users/{user}/reclaim`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"level": "aggressive"}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Reclaim {
    /// How far to go.
    pub level: Level,
}

/// What reclaim took.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"evicted": [{"key": "ann:t1", "thread": "t1", "level": "aggressive",
    "evidence": {"missed_pings": 0, "missed_probes": 2, "silent_for": 61000}}], "used": 19, "limit": 20}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Reclaimed {
    /// What went on the node that was asked, in the order in which they went.
    pub evicted: Vec<Evicted>,
    /// Sessions that the user holds now; those on other nodes as of his last admission on this one.
    pub used: usize,
    /// Sessions that he may hold.
    pub limit: usize,
    /// Other nodes that were told to do the same, by name: each judges the sessions that it has. With `force` it is one of them
    /// at most, and nothing went here then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub asked: Vec<String>,
    /// Whether nobody could tell if he has sessions on other nodes, so that none was asked.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub elsewhere_unknown: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl From<Level> for lychgate_core::ReclaimLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Conservative => Self::Conservative,
            Level::Moderate => Self::Moderate,
            Level::Aggressive => Self::Aggressive,
            Level::Force => Self::Force,
        }
    }
}

/// A session that was reclaimed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Evicted {
    /// Its isolation key.
    pub key: String,
    /// Its thread.
    pub thread: String,
    /// How far reclaim had to go for it.
    pub level: String,
    /// What was known of its best connection.
    pub evidence: Evidence,
}

/// What is known of a connection, and what it was judged by.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Evidence {
    /// Heartbeats in a row without an answer.
    pub missed_pings: u32,
    /// Pings of the last probe without an answer, 0 to 2.
    pub missed_probes: u32,
    /// Milliseconds since the oldest ping that stayed unanswered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered_for: Option<u64>,
    /// Milliseconds since anything was heard.
    pub silent_for: u64,
    /// Milliseconds that the last answer took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_in: Option<u64>,
    /// Milliseconds in which bytes waited and the peer took none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_for: Option<u64>,
    /// Bytes that waited when it was last asked.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub queued_bytes: u32,
    /// Milliseconds in which the peer's kernel acknowledged nothing while bytes were in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unacked_for: Option<u64>,
}

impl From<&lychgate_core::Evidence> for Evidence {
    fn from(evidence: &lychgate_core::Evidence) -> Self {
        Self {
            missed_pings: evidence.missed_pings,
            missed_probes: evidence.missed_probes,
            unanswered_for: evidence.unanswered_for.map(super::millis),
            silent_for: super::millis(evidence.silent_for),
            answered_in: evidence.answered_in.map(super::millis),
            blocked_for: evidence.blocked_for.map(super::millis),
            queued_bytes: evidence.backlog.queued_bytes,
            unacked_for: evidence.backlog.unacked_for.map(super::millis),
        }
    }
}

/// The body of `PUT /v1/admin/users/{user}/limits`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"max_sessions": 40, "for": "2h"}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Lend {
    /// Sessions that the user may hold, 1 to 1,000.
    pub max_sessions: usize,
    /// For how long, with a unit, at most 30 days: `"30m"`, `"2h"`.
    #[serde(rename = "for")]
    pub lasting: String,
}

/// The limit in force for a user.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"used": 20, "limit": 40, "until": "2026-11-21T12:00:00.000Z"}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct LimitInForce {
    /// Sessions that he holds; those on other nodes as of his last admission on this one.
    pub used: usize,
    /// Sessions that he may hold.
    pub limit: usize,
    /// Until when, where it is a limit for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// The drain was asked for; it takes up to `server.drain_timeout`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"draining": true}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Draining {
    /// Always.
    pub draining: bool,
}

/// The body of `POST /v1/admin/publish`, for the document; [`super::http::Publish`] reads it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"user": "ann", "thread": "t1", "key": "order-17-shipped",
    "events": [{"type": "CUSTOM", "name": "order", "value": "shipped"}]}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct PublishBody {
    /// Whose.
    pub user: String,
    /// On which of his threads; without it on each that he has open on this node.
    pub thread: Option<String>,
    /// Names this publication for good, 1 to 256 bytes.
    pub key: String,
    /// 1 to 256 AG-UI events, none of which is a RUN_* event.
    #[cfg_attr(test, ts(type = "unknown[]"))]
    pub events: Vec<serde_json::Value>,
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"entries": [{"id": 7, "at": "2026-11-21T12:00:00.000Z", "request": "req_5f0d7bd2c5a9425f8a7c0a3e2a1b4c6d",
    "operator": "key:ops", "action": "evict", "user": "ann", "thread": "t1", "parameters": {}, "outcome": "done",
    "result": {"ended": ["ann:t1"]}}], "next": 7}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct AuditPage {
    /// Newest first, or with `after` oldest first.
    pub entries: Vec<AuditEntry>,
    /// What to give as `before` (with `after`: as `after`) for more; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct AuditEntry {
    /// Rises with every entry.
    pub id: u64,
    /// When.
    pub at: String,
    /// The request, as in the header `x-request-id` of its answer and in the log.
    pub request: String,
    /// `key:NAME`, `user:ID`, or `nobody`.
    pub operator: String,
    /// What: `evict`, `log_out`, `revoke`, `reclaim`, `lend_limit`, `restore_limit`, `drain`, `publish`, or the route that was refused.
    pub action: String,
    /// Whom it concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Which of his conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// What was asked for beside it.
    #[schema(value_type = Object)]
    #[cfg_attr(test, ts(type = "unknown"))]
    pub parameters: Box<RawValue>,
    /// `done`, `failed`, `refused`, `begun`; of a rule `dry_run` or `held`; or `unknown` where the process died before it was over.
    pub outcome: String,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    #[cfg_attr(test, ts(optional, type = "unknown"))]
    pub result: Option<Box<RawValue>>,
}
