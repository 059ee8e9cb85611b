//! The record of decisions about a user.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Evidence;

/// What was decided about a user lately on this node.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"user": "105945141827451681156", "decisions": [
    {"at": "2026-11-21T12:00:00.000Z", "verdict": "evicted", "thread": "t3", "reason": "made_room", "level": "force",
        "evidence": {"missed_pings": 0, "missed_probes": 0, "silent_for": 120}, "again": 0,
        "text": "The session was closed (made_room): reclaim had to go as far as force."},
    {"at": "2026-11-21T12:00:00.000Z", "verdict": "admitted", "thread": "t21", "connection": "c_0123456789abcdef0123456789abcdef",
        "path": "reclaimed", "level": "force", "waited": 3, "again": 0,
        "text": "The session was opened in a slot that was reclaimed for it (force), after 3 ms."}],
    "dropped": 0, "dropped_users": 0}))]
pub struct Explained {
    /// Who.
    pub user: String,
    /// Oldest first; none where nothing is known, or no longer.
    pub decisions: Vec<Decision>,
    /// Older ones of this user that gave way to newer ones.
    pub dropped: u32,
    /// Users of this node whose whole record gave way to others.
    pub dropped_users: u64,
}

/// One decision.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// When; the last time, where it was decided several times in a row.
    pub at: String,
    /// `admitted`, `waits`, `queued`, `refused`, `released`, `evicted`, `would_evict`, `would_wait`, `dead`, `closed`, `breaker`, or `repaired`.
    pub verdict: String,
    /// The conversation that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The connection that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Which way an open was admitted: `attach`, `takeover`, `free`, `reclaimed`, `reserve`, `queue`, or `shadow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Why it ended, was refused, or counts as dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How far reclaim had to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Milliseconds from `open` until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited: Option<u64>,
    /// The place in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// Milliseconds after which whoever was refused was told to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<u64>,
    /// What it was decided by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// How often more the same was decided in a row.
    pub again: u32,
    /// The same for people.
    pub text: String,
}
