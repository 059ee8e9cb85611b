//! All configured agents by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::agui::{Agui, WithoutRaw};
use super::breaker::BreakerState;
use super::deadline::Deadline;
use super::demo::Demo;
use super::guard::Guarded;
use super::http::BadUrl;
use super::openai::OpenAi;
use super::{Agent, AgentError};
use crate::config::agents as config;

/// Who answers: built once from `[agents]`, then only read.
pub struct Agents {
    default: Arc<str>,
    named: BTreeMap<Arc<str>, Configured>,
}

/// One agent, and what tells how it is.
struct Configured {
    agent: Arc<dyn Agent>,
    guarded: Arc<Guarded>,
}

/// How one agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentHealth<'a> {
    /// Its name in the configuration.
    pub name: &'a str,
    /// Whether a run that came now would ask it: not while it is spared, nor while another run tries whether it is back.
    pub would_ask: bool,
    /// Runs that it is answering.
    pub in_flight: usize,
    /// What its breaker is: `closed`, `open` or `probing`.
    pub breaker: &'static str,
    /// How long an open one stays so; zero where the next run tries.
    pub opens_for: Option<Duration>,
    /// What went wrong last.
    pub last_error: Option<LastError>,
}

/// What an agent failed with, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// In milliseconds since 1970.
    pub unix_ms: u64,
    /// What its user was told; holds no secret.
    pub error: AgentError,
}

/// Why `[agents]` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentsError {
    /// `default` names an agent that is not configured.
    #[error("agents.default is \"{0}\", but there is no section [agents.{0}]; add it, or name one that is there")]
    NoDefault(String),
    /// An agent's address cannot be used.
    #[error("agents.{name}.{key} {reason}")]
    BadUrl {
        /// Which agent.
        name: String,
        /// Which key of it.
        key: &'static str,
        /// What is wrong with it.
        reason: BadUrl,
    },
}

/// A run named an agent that is not configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("There is no agent named \"{0}\".")]
pub struct UnknownAgent(
    /// The name that was asked for, cut to 64 characters.
    pub String,
);

impl Agents {
    /// Builds every configured agent, each under the deadlines of `[agents]`. Opens no connection and reads no
    /// certificates: a gateway starts on a machine whose agents are all down.
    ///
    /// # Errors
    /// [`AgentsError`] names the key of the configuration and what to do about it.
    pub fn new(config: &config::Agents) -> Result<Self, AgentsError> {
        let mut named = BTreeMap::new();
        for (name, agent) in &config.named {
            let agent =
                build(name, agent).map_err(|(key, reason)| AgentsError::BadUrl { name: name.clone(), key, reason })?;
            named.insert(Arc::<str>::from(name.as_str()), agent);
        }
        match named.get_key_value(config.default.as_str()) {
            Some((default, _)) => Ok(Self { default: default.clone(), named }),
            None => Err(AgentsError::NoDefault(config.default.clone())),
        }
    }

    /// The agent of this name, or the default one, together with the name that it is configured under.
    ///
    /// # Errors
    /// [`UnknownAgent`] when no agent has this name.
    pub fn named(&self, name: Option<&str>) -> Result<(Arc<str>, Arc<dyn Agent>), UnknownAgent> {
        let name = name.unwrap_or(&self.default);
        match self.named.get_key_value(name) {
            Some((name, configured)) => Ok((name.clone(), configured.agent.clone())),
            None => Err(UnknownAgent(name.chars().take(64).collect())),
        }
    }

    /// Has an agent asked again at once, as if it had never failed. False where its breaker was closed, or none has the name.
    pub fn restart_breaker(&self, name: &str) -> bool {
        let Some(Configured { guarded, .. }) = self.named.get(name) else { return false };
        let was_closed = guarded.state() == BreakerState::Closed;
        guarded.restart();
        !was_closed
    }

    /// The names of all agents, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(|name| &**name)
    }

    /// The one that answers where nobody names another.
    #[must_use]
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// How all agents are, in alphabetical order; each as of the moment when it is asked for.
    pub fn health(&self) -> impl Iterator<Item = AgentHealth<'_>> {
        self.named.iter().map(|(name, Configured { guarded, .. })| AgentHealth {
            name,
            would_ask: guarded.would_ask(),
            in_flight: guarded.in_flight(),
            breaker: guarded.state().as_str(),
            opens_for: guarded.opens_for(),
            last_error: guarded.last_error(),
        })
    }
}

/// An agent under its deadlines and bounds; the error names the key of its address.
fn build(name: &str, config: &config::AgentConfig) -> Result<Configured, (&'static str, BadUrl)> {
    let guarded = |agent: Arc<dyn Agent>, max: usize, breaker: config::Breaker| {
        let in_time = Deadline::new(agent, config.first_event_timeout, config.idle_timeout);
        Arc::new(Guarded::new(name, Arc::new(in_time), max, breaker))
    };
    Ok(match &config.kind {
        // It has nothing to be spared.
        config::AgentKind::Demo(demo) => {
            let guarded = guarded(Arc::new(Demo::new(demo)), usize::MAX, config::Breaker::default());
            Configured { agent: guarded.clone(), guarded }
        }
        config::AgentKind::OpenAi(openai) => {
            let agent = OpenAi::new(openai).map_err(|bad| ("base_url", bad))?;
            let guarded = guarded(Arc::new(agent), openai.remote.max_concurrent_runs, openai.remote.breaker);
            Configured { agent: guarded.clone(), guarded }
        }
        config::AgentKind::Agui(agui) => {
            let agent = Agui::new(agui).map_err(|bad| ("url", bad))?;
            let guarded = guarded(Arc::new(agent), agui.remote.max_concurrent_runs, agui.remote.breaker);
            match agui.raw_events {
                true => Configured { agent: guarded.clone(), guarded },
                false => Configured { agent: Arc::new(WithoutRaw(guarded.clone())), guarded },
            }
        }
    })
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agents").field("default", &self.default).field("named", &self.named.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn openai(base_url: &str) -> config::AgentKind {
        config::AgentKind::OpenAi(config::OpenAi {
            base_url: base_url.into(),
            model: "m".to_owned(),
            system_prompt: None,
            send_user: false,
            remote_media: false,
            remote: config::Remote::default(),
        })
    }

    fn configured(default: &str, other: config::AgentKind) -> Result<Agents, AgentsError> {
        let agent = |kind| config::AgentConfig {
            kind,
            first_event_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
        };
        let demo = agent(config::AgentKind::Demo(config::Demo { delay: Duration::ZERO }));
        Agents::new(&config::Agents {
            default: default.to_owned(),
            named: [("demo".to_owned(), demo), ("other".to_owned(), agent(other))].into(),
        })
    }

    #[test]
    fn a_run_that_names_no_agent_gets_the_default_one() {
        let agents = configured("demo", openai("http://127.0.0.1:1/v1")).unwrap();
        assert_eq!(&*agents.named(None).unwrap().0, "demo");
        assert_eq!(&*agents.named(Some("other")).unwrap().0, "other");
        assert_eq!(agents.names().collect::<Vec<_>>(), ["demo", "other"]);
    }

    #[test]
    fn the_health_of_an_agent_counts_its_runs() {
        let agents = configured("demo", openai("http://127.0.0.1:1/v1")).unwrap();
        let run = agents.named(None).unwrap().1.run(crate::agent::tests::request("hello"));
        let health = |name, in_flight| AgentHealth {
            name,
            would_ask: true,
            in_flight,
            breaker: "closed",
            opens_for: None,
            last_error: None,
        };
        assert_eq!(agents.health().collect::<Vec<_>>(), [health("demo", 1), health("other", 0)]);
        drop(run);
        assert!(agents.health().all(|agent| agent.in_flight == 0));
    }

    #[test]
    fn a_name_that_is_not_configured_is_an_error_of_bounded_length() {
        let agents = configured("demo", openai("http://127.0.0.1:1/v1")).unwrap();
        let Err(error) = agents.named(Some(&"x".repeat(1_000_000))) else {
            panic!("nobody has this name");
        };
        assert_eq!(error.0.len(), 64);
    }

    #[test]
    fn a_default_that_is_not_configured_names_the_key() {
        let error = configured("gpt", openai("http://127.0.0.1:1/v1")).unwrap_err();
        assert!(error.to_string().starts_with("agents.default is \"gpt\""), "{error}");
    }

    #[test]
    fn an_address_that_cannot_be_used_names_the_key() {
        for base_url in ["not a url", "ftp://127.0.0.1/v1"] {
            let error = configured("demo", openai(base_url)).unwrap_err().to_string();
            assert!(error.starts_with("agents.other.base_url is not an address"), "{error}");
        }
    }
}
