//! Frames of the operators' socket (`GET /v1/admin/live`), and what a node was at a moment.
//!
//! Times are milliseconds since 1970 here: a page draws them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{AlertState, Told};

/// What the node says; `type` names the frame.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Live<'a> {
    /// The first frame.
    Hello {
        /// Who the node takes you for: `key:NAME` or `user:ID`.
        operator: &'a str,
        /// `read` or `write`.
        role: &'a str,
        /// Where you are.
        node: NodeName,
        /// Milliseconds between two samples.
        every: u64,
        /// The samples of the last 15 minutes, oldest first; none of before the last restart.
        history: Vec<&'a Sample>,
    },
    /// What the node was a moment ago.
    Sample {
        /// The newest.
        sample: &'a Sample,
        /// Samples before this one that were left out, because you took no bytes when they were due; absent where none was.
        #[serde(skip_serializing_if = "Option::is_none")]
        skipped: Option<u64>,
    },
    /// What was decided since the last such frame and is of interest; at most four frames a second.
    Decisions {
        /// Oldest first, at most 200.
        decisions: Vec<Told>,
        /// Decisions that were forgotten before they could be told, whether they were of interest or not.
        missed: u64,
    },
    /// Every alert: at the beginning, and when one of them has changed; at most one frame a second.
    Alerts {
        /// In the order of docs/alerts.md.
        alerts: Vec<AlertState>,
    },
    /// Answer with `{"type":"ack"}`, or be taken for dead.
    Ping,
}

/// Which node.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NodeName {
    /// The name of its machine.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// When it began to serve.
    pub started: u64,
    /// What time it is there.
    pub now: u64,
}

/// What a node was at a moment, and what happened since the sample before. A sample that could not be taken in time is not
/// there: `at` says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Sample {
    /// When.
    pub at: u64,
    /// Milliseconds since the sample before, in which all of this happened.
    pub span_ms: u64,
    /// Sessions that users hold, lingering ones included.
    pub sessions: u64,
    /// Those without a connection.
    pub lingering: u64,
    /// Connections with an identity.
    pub connections: u64,
    /// Runs in flight.
    pub runs: u64,
    /// Threads for which an open waits.
    pub waiters: u64,
    /// Users with any record.
    pub users: u64,
    /// Users by the band of their limit that they are in.
    pub bands: Bands,
    /// Users who hold a session, by the share of their limit: up to 10 %, up to 20 %, ..., up to 100 %, and more; eleven numbers.
    pub histogram: Vec<u64>,
    /// Opens that were answered since the sample before, by the way to a session (`refused` among them).
    pub admissions: BTreeMap<String, u64>,
    /// Sessions that were reclaimed since then, by level.
    pub reclaims: BTreeMap<String, u64>,
    /// Opens since then that a gateway which only checks would have refused.
    pub lockouts_prevented: u64,
    /// Opens and connects that were refused since then.
    pub refusals: u64,
    /// Connections that were found dead since then.
    pub zombies: u64,
    /// Of those that were found dead, how many have shown since then that they were not.
    pub verdicts_disproved: u64,
    /// Milliseconds from an open to its answer since the sample before, the middle one; absent where none was answered. As
    /// exact as the buckets of `lychgate_admission_wait_seconds`, between whose bounds it is interpolated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admission_p50_ms: Option<f64>,
    /// The same, which 99 of 100 stayed below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admission_p99_ms: Option<f64>,
    /// Milliseconds by which the asynchronous runtime last ran late.
    pub runtime_lag_ms: f64,
    /// Milliseconds by which the reaper last woke late.
    pub reaper_lag_ms: f64,
    /// Memory of the process that is in RAM.
    pub resident_bytes: u64,
    /// Processors that the process kept busy since the sample before: 1.5 is one and a half; 0 in the first sample.
    pub cpu: f64,
    /// Every agent by its name.
    pub agents: BTreeMap<String, AgentSample>,
}

/// Users by band.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Bands {
    /// Below half of their limit.
    pub ok: u64,
    /// From half of it.
    pub watch: u64,
    /// From 60 %.
    pub warn: u64,
    /// From 70 %.
    pub high: u64,
    /// At it.
    pub full: u64,
}

/// What an agent did since the sample before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct AgentSample {
    /// Answers that ended.
    pub runs: u64,
    /// Those of them that failed, or never began.
    pub errors: u64,
    /// Milliseconds from the question to the first event, the middle one; absent where none began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_event_p50_ms: Option<f64>,
    /// The same, which 99 of 100 stayed below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_event_p99_ms: Option<f64>,
    /// `closed`, `open` or `probing`: whether it is asked.
    pub breaker: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_the_one_that_the_outbox_writes() {
        assert_eq!(serde_json::to_string(&Live::Ping).unwrap(), r#"{"type":"ping"}"#);
    }

    #[test]
    fn samples_that_were_left_out_are_told_and_none_is_not() {
        let sample = Sample::default();
        let told = |skipped| serde_json::to_value(Live::Sample { sample: &sample, skipped }).unwrap();
        assert_eq!(told(Some(3))["skipped"], 3);
        assert!(told(None).get("skipped").is_none() && told(None)["sample"].get("admission_p50_ms").is_none());
    }
}
