//! All configured agents by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Agent;
use super::deadline::Deadline;
use super::demo::Demo;
use super::http::BadEndpoint;
use super::openai::OpenAi;
use crate::config::agents as config;

/// Who answers: built once from `[agents]`, then only read.
pub struct Agents {
    default: Arc<str>,
    named: BTreeMap<Arc<str>, Arc<dyn Agent>>,
}

/// Why `[agents]` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentsError {
    /// `default` names an agent that is not configured.
    #[error("agents.default is \"{0}\", but there is no section [agents.{0}]; add it, or name one that is there")]
    NoDefault(String),
    /// An agent's address or key cannot be used.
    #[error("agents.{name}.{reason}")]
    BadEndpoint {
        /// Which agent.
        name: String,
        /// Which key of it, and what is wrong with it.
        reason: BadEndpoint,
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
        let mut named: BTreeMap<Arc<str>, Arc<dyn Agent>> = BTreeMap::new();
        for (name, agent) in &config.named {
            let agent: Arc<dyn Agent> = match agent {
                config::AgentConfig::Demo(demo) => Arc::new(Demo::new(demo)),
                config::AgentConfig::OpenAi(openai) => match OpenAi::new(openai) {
                    Ok(agent) => Arc::new(agent),
                    Err(reason) => {
                        return Err(AgentsError::BadEndpoint { name: name.clone(), reason });
                    }
                },
            };
            let agent = Deadline::new(agent, config.first_event_timeout, config.idle_timeout);
            named.insert(Arc::from(name.as_str()), Arc::new(agent));
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
            Some((name, agent)) => Ok((name.clone(), agent.clone())),
            None => Err(UnknownAgent(name.chars().take(64).collect())),
        }
    }

    /// The names of all agents, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(|name| &**name)
    }
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

    fn openai(base_url: &str, api_key: Option<&str>) -> config::AgentConfig {
        config::AgentConfig::OpenAi(config::OpenAi {
            base_url: base_url.to_owned(),
            model: "m".to_owned(),
            api_key: api_key.map(str::to_owned),
            system_prompt: None,
            connect_timeout: Duration::from_secs(5),
        })
    }

    fn configured(default: &str, other: config::AgentConfig) -> Result<Agents, AgentsError> {
        let demo = config::AgentConfig::Demo(config::Demo { delay: Duration::ZERO });
        Agents::new(&config::Agents {
            default: default.to_owned(),
            first_event_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            named: [("demo".to_owned(), demo), ("other".to_owned(), other)].into(),
        })
    }

    #[test]
    fn a_run_that_names_no_agent_gets_the_default_one() {
        let agents = configured("demo", openai("http://127.0.0.1:1/v1", None)).unwrap();
        assert_eq!(&*agents.named(None).unwrap().0, "demo");
        assert_eq!(&*agents.named(Some("other")).unwrap().0, "other");
        assert_eq!(agents.names().collect::<Vec<_>>(), ["demo", "other"]);
    }

    #[test]
    fn a_name_that_is_not_configured_is_an_error_of_bounded_length() {
        let agents = configured("demo", openai("http://127.0.0.1:1/v1", None)).unwrap();
        let Err(error) = agents.named(Some(&"x".repeat(1_000_000))) else {
            panic!("nobody has this name");
        };
        assert_eq!(error.0.len(), 64);
    }

    #[test]
    fn a_default_that_is_not_configured_names_the_key() {
        let error = configured("gpt", openai("http://127.0.0.1:1/v1", None)).unwrap_err();
        assert!(error.to_string().starts_with("agents.default is \"gpt\""), "{error}");
    }

    #[test]
    fn an_address_or_key_that_cannot_be_used_names_the_key_and_hides_the_secret() {
        for (base_url, api_key, expected) in [
            ("not a url", None, "agents.other.base_url"),
            ("ftp://127.0.0.1/v1", None, "agents.other.base_url"),
            ("http://127.0.0.1/v1", Some("geheim\n"), "agents.other.api_key"),
        ] {
            let error = configured("demo", openai(base_url, api_key)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("geheim"), "{error}");
        }
    }
}
