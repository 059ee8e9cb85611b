//! What is shown of a node as a whole: who asks, its users in one line each, its agents, its configuration, its alerts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::LentLimit;

/// Who asks.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"operator": "key:ops", "role": "write"}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Me {
    /// `key:NAME` or `user:ID`.
    pub operator: String,
    /// `read`, or `write` for whoever may change things, too.
    pub role: String,
}

/// A page of users in one line each.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"users": [{"user": "105945141827451681156", "used": 20, "limit": 20, "level": "full", "waiting": 1,
    "connections": 19, "runs": 2, "alive": 17, "suspect": 1, "zombie": 1, "detached": 1}], "total": 4711, "next": "cC4wLjY0"}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct UserPage {
    /// The users.
    pub users: Vec<UserRow>,
    /// Users on this node, whoever was asked for.
    pub total: usize,
    /// What to give as `after` for more; absent at the end. A page may be short, or empty, and have a next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A user in one line.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct UserRow {
    /// Who.
    pub user: String,
    /// Sessions that he holds; those on other nodes as of his last admission on this one.
    pub used: usize,
    /// Sessions that he may hold.
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
    /// His connections.
    pub connections: usize,
    /// His runs in flight.
    pub runs: usize,
    /// Sessions whose best connection is alive.
    pub alive: usize,
    /// Sessions whose best connection is suspect.
    pub suspect: usize,
    /// Sessions whose best connection is dead.
    pub zombie: usize,
    /// Sessions that are kept warm without a connection.
    pub detached: usize,
    /// Until when his reserve is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserve_until: Option<String>,
}

/// Every agent of the configuration.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"agents": [{"name": "demo", "kind": "demo", "is_default": true, "breaker": "closed", "runs": {"done": 12, "stopped": 1},
    "in_flight": 1, "first_event": {"p50_ms": 40.0, "p90_ms": 95.0, "p99_ms": 99.5, "count": 13}}]}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct AgentList {
    /// In alphabetical order.
    pub agents: Vec<AgentRow>,
}

/// An agent.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct AgentRow {
    /// Its name in the configuration.
    pub name: String,
    /// `demo`, `openai` or `agui`.
    pub kind: String,
    /// Whether it answers where nobody names another one.
    pub is_default: bool,
    /// `closed`: it is asked; `open`: it counts as down and is spared; `probing`: one run tries.
    pub breaker: String,
    /// Milliseconds until one run tries whether an open one is back; 0 where the next run does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_for: Option<u64>,
    /// Answers since the start, by what became of them: the words of the metric `lychgate_agent_runs_total`.
    pub runs: BTreeMap<String, u64>,
    /// Runs that it is answering.
    pub in_flight: usize,
    /// From the question to the first event, since the start.
    pub first_event: FirstEvent,
    /// What went wrong last, if anything has since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<AgentError>,
}

/// How soon answers began. As exact as the buckets of `lychgate_agent_first_event_seconds`.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct FirstEvent {
    /// Half of them within so many milliseconds; absent where none began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// 90 of 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90_ms: Option<f64>,
    /// 99 of 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Answers that began.
    pub count: u64,
}

/// What an agent failed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct AgentError {
    /// When.
    pub at: String,
    /// A word of docs/agents.md.
    pub code: String,
    /// What the user was told.
    pub message: String,
}

/// The node, and the configuration that is in force.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "gw-1", "version": "0.1.0", "profile": "release", "features": ["oidc", "otlp"], "environment": "production",
    "started": "2026-11-21T12:00:00.000Z", "uptime_ms": 61000, "draining": false, "ready": true, "listen": "127.0.0.1:8787",
    "admin": "127.0.0.1:8788", "file": "lychgate.toml", "configuration": [
        {"section": "limits", "key": "max_sessions_per_user", "value": "30", "default": "20", "origin": "file", "place": "lychgate.toml:3", "needs_restart": false}]}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct NodeView {
    /// The name of its machine.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// How the program was built: `release` or `debug`.
    pub profile: String,
    /// What is built in.
    pub features: Vec<String>,
    /// `server.environment`.
    pub environment: String,
    /// When it began to serve.
    pub started: String,
    /// Milliseconds since then.
    pub uptime_ms: u64,
    /// Whether it is being drained.
    pub draining: bool,
    /// What `/readyz` says.
    pub ready: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_ready_because: Option<String>,
    /// Where users connect.
    pub listen: String,
    /// Where operators do.
    pub admin: String,
    /// The file of the configuration, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Every key that has a value, by section and name. Secrets are masked.
    pub configuration: Vec<Setting>,
}

/// A key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct Setting {
    /// Its section, such as `limits` or `agents.demo`.
    pub section: String,
    /// Its name.
    pub key: String,
    /// What is in force, as TOML; a secret is `"********"`.
    pub value: String,
    /// What is in force where nobody says otherwise; absent for a key without a default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// `default`, `file`, `environment` or `argument`.
    pub origin: String,
    /// Which line, variable or argument; absent for a default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Whether a change of it waits for a restart; otherwise it holds from the next SIGHUP on.
    pub needs_restart: bool,
}

/// Every alert of docs/alerts.md.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"alerts": [{"name": "LychgateUserAt100", "severity": "warning", "summary": "A user is at his limit", "meaning": "...",
    "state": "firing", "since": "2026-11-21T12:00:00.000Z", "value": 1.0, "users": ["105945141827451681156"], "users_firing": 1,
    "runbook": ["..."], "page": "docs/alerts.md#lychgateuserat100"}]}))]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct AlertList {
    /// In the order of docs/alerts.md.
    pub alerts: Vec<AlertState>,
}

/// An alert, and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub struct AlertState {
    /// The same in Prometheus and in messages.
    pub name: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// What is the case while it fires.
    pub summary: String,
    /// What that means for users, and what the gateway does by itself.
    pub meaning: String,
    /// `ok`; `pending` while its condition holds and not for long enough yet; or `firing`.
    pub state: String,
    /// Since when it is pending or fires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What its condition compares, as of the last look; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// For whom it fires, at most 100 of them; for alerts of users alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<String>>,
    /// For how many users it fires; for alerts of users alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users_firing: Option<u64>,
    /// Where to look and what to press, line by line.
    pub runbook: Vec<String>,
    /// The part of the runbook that is about it.
    pub page: String,
}
