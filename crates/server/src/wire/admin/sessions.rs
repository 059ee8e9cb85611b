//! The list of sessions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Evidence;

/// A page of users with their sessions.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"users": [{"user": "105945141827451681156", "used": 20, "limit": 20, "level": "full", "waiting": 0,
    "sessions": [{"key": "105945141827451681156:t1", "thread": "t1", "liveness": "suspect", "health": 80,
        "reasons": [{"reason": "missed_pings", "points": 20}], "unused_for": 61000, "connections": ["c_0123456789abcdef0123456789abcdef"]}],
    "connections": [{"connection": "c_0123456789abcdef0123456789abcdef", "liveness": "suspect", "heartbeat": "app",
        "evidence": {"missed_pings": 1, "missed_probes": 0, "silent_for": 31000}}]}], "next": "cC4wLjY0"}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Listed {
    /// The users; those without a session that was asked for are left out.
    pub users: Vec<User>,
    /// What to give as `after` for more; absent at the end. A page may be short, or empty, and have a next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A user on this node.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct User {
    /// Who.
    pub user: String,
    /// Sessions that he holds: `sessions` and `elsewhere` where he was asked for by name and nothing is left out; else those on
    /// other nodes as of his last admission on this one.
    pub used: usize,
    /// Sessions that he may hold. Where neither a session nor a connection of his is on this node, it does not know his plan: then it is
    /// what whoever has no plan may hold.
    pub limit: usize,
    /// `ok`, `watch`, `warn`, `high`, or `full`.
    pub level: String,
    /// The plan of his newest token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// A limit that an operator set for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lent: Option<LentLimit>,
    /// Opens that wait for a slot.
    pub waiting: usize,
    /// His sessions, as far as they were asked for.
    pub sessions: Vec<Session>,
    /// The connections that show them.
    pub connections: Vec<Connection>,
    /// His sessions on other nodes; told where he is asked for by name and nothing is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub elsewhere: Vec<SessionElsewhere>,
    /// Whether nobody could tell if he has sessions on other nodes.
    #[serde(default, skip_serializing_if = "super::is_false")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub elsewhere_unknown: bool,
}

/// A session on another node. How it is says that node; where it did not within a second, only that it is there.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct SessionElsewhere {
    /// The node, as its operator named it.
    pub node: String,
    /// The same as `GET /v1/admin/cluster` has it: two nodes may have one name.
    pub incarnation: String,
    /// Its thread.
    pub thread: String,
    /// `alive`, `suspect`, `detached`, or `gone` where its connections are dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness: Option<String>,
    /// 0 (worst) to 100; 0 where it has no connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<u8>,
    /// Milliseconds since a person last used it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused_for: Option<u64>,
    /// Whether it is spared while another choice is left: a run is in flight, or the plan pins it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
}

/// A limit for a while.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct LentLimit {
    /// Sessions.
    pub max_sessions: usize,
    /// Milliseconds that it holds still.
    pub ends_in: u64,
}

/// A session.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Session {
    /// Its isolation key.
    pub key: String,
    /// Its thread.
    pub thread: String,
    /// `alive`, `suspect`, `zombie_half_open`, `zombie_stalled`, ..., of its best connection; `detached` where it has none.
    pub liveness: String,
    /// 0 (worst) to 100.
    pub health: u8,
    /// What cost points.
    pub reasons: Vec<HealthReason>,
    /// Milliseconds since a person last used it.
    pub unused_for: u64,
    /// Milliseconds that it stays warm without a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lingers_for: Option<u64>,
    /// The run in flight on its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Who is attached.
    pub connections: Vec<String>,
}

/// Why a health is below 100.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct HealthReason {
    /// `missed_pings`, `missed_probes`, `slow_answers`, `backlog`, `unacknowledged`, `memory`, `idle`, or `detached`.
    pub reason: String,
    /// What it cost.
    pub points: u8,
}

/// A connection.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Connection {
    /// Its id.
    pub connection: String,
    /// As that of a session.
    pub liveness: String,
    /// What counts as life on it: `app` or `ws`.
    pub heartbeat: String,
    /// What it was judged by.
    pub evidence: Evidence,
    /// Milliseconds until its token expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}
