//! The record of decisions about a user.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Evidence, SessionElsewhere};

/// What was decided about a user lately on this node.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"user": "105945141827451681156", "decisions": [
    {"at": "2026-11-21T12:00:00.000Z", "verdict": "evicted", "thread": "t3", "reason": "unresponsive", "level": "aggressive",
        "cause": "newcomer", "newcomer": "t21", "evidence": {"missed_pings": 0, "missed_probes": 2, "unanswered_for": 1002, "silent_for": 61000},
        "again": 0, "text": "Nobody answered two pings of a probe over 1.0 s; 61 s of silence; so its session was closed as dead, and its slot went to the thread \"t21\" (aggressive)."},
    {"at": "2026-11-21T12:00:00.000Z", "verdict": "admitted", "thread": "t21", "connection": "c_0123456789abcdef0123456789abcdef",
        "path": "reclaimed", "level": "aggressive", "waited": 1003, "again": 0,
        "text": "The session was opened after 1.0 s, in the slot that was reclaimed for it (aggressive)."}],
    "dropped": 0, "dropped_users": 0}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Explained {
    /// Who.
    pub user: String,
    /// Oldest first; none where nothing is known, or no longer.
    pub decisions: Vec<Decision>,
    /// Older ones of this user that gave way to newer ones.
    pub dropped: u32,
    /// Users of this node whose whole record gave way to others.
    pub dropped_users: u64,
    /// His sessions on other nodes, each of which knows what it decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub elsewhere: Vec<SessionElsewhere>,
    /// Whether nobody could tell if he has sessions on other nodes.
    #[serde(default, skip_serializing_if = "super::is_false")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub elsewhere_unknown: bool,
}

/// A page of everybody's decisions.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"decisions": [
    {"sequence": 41, "user": "105945141827451681156", "at": "2026-11-21T12:00:00.000Z", "verdict": "waits", "thread": "t21",
        "connection": "c_0123456789abcdef0123456789abcdef", "again": 0,
        "text": "No slot is free: the open waits while every connection of the user is asked for a sign of life."}],
    "next": "9f86d081884c7d65.41", "missed": 0, "restarted": false}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct DecisionPage {
    /// Oldest first.
    pub decisions: Vec<Told>,
    /// What to give as `after` for what comes then; there is always one.
    pub next: String,
    /// Decisions after the given `after` that had been dropped, to stay within `explain.feed_bytes`, before they were asked for.
    pub missed: u64,
    /// Whether `after` was of an earlier life of this node: what was decided then is gone, and this page begins with its new life.
    pub restarted: bool,
}

/// One decision, and whom it is about.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Told {
    /// Rises by one with each decision of the node.
    pub sequence: u64,
    /// Whom it is about; absent where it is about the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What.
    #[serde(flatten)]
    pub decision: Decision,
}

/// One decision.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
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
    /// What a session was reclaimed for: `newcomer`, `pressure` (the user was above a watermark), or `order` (an operator's, or a rule's).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The thread that got the slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newcomer: Option<String>,
    /// What a breaker is now: `closed`, `open` or `probing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
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
