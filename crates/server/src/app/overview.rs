//! What operators see of the parts that the admin routes do not know: the agents, and the node itself.

use std::sync::Arc;

use tokio::time::Instant;

use super::Ready;
use super::reload::Standing;
use crate::agent::{AgentHealth, Agents};
use crate::api::Health;
use crate::config::agents::AgentKind;
use crate::config::{Config, Environment};
use crate::telemetry::History;
use crate::telemetry::history::{AgentTotals, Breakers};
use crate::wire::admin::{AgentError, AgentRow, FirstEvent, NodeName, NodeView, rfc3339};
use crate::wire::{millis, unix_ms};

/// Which node this is, and since when.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    name: String,
    began: Instant,
    unix_ms: u64,
}

impl Identity {
    /// Of a node that begins now, by the name of its machine.
    pub(super) fn now() -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { name, began: Instant::now(), unix_ms: unix_ms() }
    }

    /// As a page shows it.
    pub(super) fn named(&self) -> NodeName {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        NodeName { name: self.name.clone(), version, started: self.unix_ms, now: unix_ms() }
    }
}

/// The node, its state and its configuration. Reads no file.
pub(super) fn node(identity: &Identity, standing: &Standing, health: &Health, addresses: Ready) -> NodeView {
    let (loaded, config) = (standing.loaded(), standing.config());
    let not_ready_because = health.trouble();
    NodeView {
        name: identity.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        features: features(),
        environment: environment(&config).to_owned(),
        started: rfc3339(identity.unix_ms),
        uptime_ms: millis(identity.began.elapsed()),
        draining: health.is_draining(),
        ready: not_ready_because.is_none(),
        not_ready_because,
        listen: addresses.listen.to_string(),
        admin: addresses.admin.to_string(),
        file: loaded.file().map(|path| path.display().to_string()),
        configuration: loaded.settings().to_vec(),
    }
}

fn features() -> Vec<String> {
    let built_in = [("oidc", cfg!(feature = "oidc")), ("otlp", cfg!(feature = "otlp"))];
    built_in.into_iter().filter(|(_, is_in)| *is_in).map(|(name, _)| name.to_owned()).collect()
}

fn environment(config: &Config) -> &'static str {
    match config.server.environment {
        Environment::Development => "development",
        Environment::Production => "production",
        Environment::Test => "test",
    }
}

/// Every agent, as of now; what is counted is as of the newest sample.
pub(super) fn agents(agents: &Agents, config: &Config, history: &History) -> Vec<AgentRow> {
    let mut totals = history.agents();
    let row = |agent: AgentHealth<'_>| {
        let AgentTotals { runs, first_event } = totals.remove(agent.name).unwrap_or_default();
        let percentile = |share| first_event.percentile_ms(share);
        AgentRow {
            name: agent.name.to_owned(),
            kind: config.agents.named.get(agent.name).map_or("", |agent| kind(&agent.kind)).to_owned(),
            is_default: agent.name == agents.default_name(),
            breaker: agent.breaker.to_owned(),
            opens_for: agent.opens_for.map(millis),
            runs,
            in_flight: agent.in_flight,
            first_event: FirstEvent {
                p50_ms: percentile(0.5),
                p90_ms: percentile(0.9),
                p99_ms: percentile(0.99),
                count: first_event.count(),
            },
            last_error: agent.last_error.map(|last| AgentError {
                at: rfc3339(last.unix_ms),
                code: last.error.code,
                message: last.error.message,
            }),
        }
    };
    agents.health().map(row).collect()
}

fn kind(kind: &AgentKind) -> &'static str {
    match kind {
        AgentKind::Demo(_) => "demo",
        AgentKind::OpenAi(_) => "openai",
        AgentKind::Agui(_) => "agui",
    }
}

/// What every agent's breaker is.
pub(super) fn breakers(agents: &Agents) -> Breakers {
    agents.health().map(|agent| (Arc::from(agent.name), agent.breaker)).collect()
}
