//! `[agents]`: who answers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::MapAccess;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{Fault, not_zero};
use super::secret::Outside;
use super::value::Span;

/// Who answers.
#[derive(Clone, Debug)]
pub struct Agents {
    /// The agent of runs that name none; a key of `named`.
    pub default: String,
    /// From the start of a run to its first event. Default 30 s.
    pub first_event_timeout: Duration,
    /// Between two events. Default 60 s.
    pub idle_timeout: Duration,
    /// All agents by name.
    pub named: BTreeMap<String, AgentConfig>,
}

/// `[agents.NAME]`
#[derive(Clone, Debug)]
pub enum AgentConfig {
    /// `kind = "demo"`
    Demo(Demo),
    /// `kind = "openai"`
    OpenAi(OpenAi),
}

/// The built-in agent that needs nothing.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Between two words. Default 30 ms; 0 is as fast as possible.
    pub delay: Duration,
}

/// Any endpoint that speaks the OpenAI chat-completions protocol.
#[derive(Clone)]
pub struct OpenAi {
    /// Up to and without `/chat/completions`; no slash at its end.
    pub base_url: String,
    /// The `model` to ask for.
    pub model: String,
    /// Sent as bearer token; from `api_key_env` or `api_key_file`.
    pub api_key: Option<String>,
    /// Put before the thread's messages.
    pub system_prompt: Option<String>,
    /// Default 5 s.
    pub connect_timeout: Duration,
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi").field("base_url", &self.base_url).field("model", &self.model).finish_non_exhaustive()
    }
}

const DEFAULT_DELAY: Duration = Duration::from_millis(30);
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct RawAgents {
    default: String,
    first_event_timeout: Span,
    idle_timeout: Span,
    named: BTreeMap<String, RawAgent>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct RawAgent {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_timeout: Option<Span>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Demo,
    OpenAi,
}

impl RawAgents {
    pub(super) fn check(&self, outside: &Outside<'_>) -> Result<Agents, Fault> {
        not_zero("agents.first_event_timeout", self.first_event_timeout.0)?;
        not_zero("agents.idle_timeout", self.idle_timeout.0)?;
        let mut named = BTreeMap::new();
        for (name, raw) in &self.named {
            named.insert(name.clone(), raw.check(name, outside)?);
        }
        if !named.contains_key(&self.default) {
            let known: Vec<&str> = named.keys().map(String::as_str).collect();
            return Err(Fault::value(
                "agents.default",
                format!("is {:?}, and there is no table [agents.{}]", self.default, self.default),
                format!("Name one of these, or add the table: {}.", known.join(", ")),
            ));
        }
        Ok(Agents {
            default: self.default.clone(),
            first_event_timeout: self.first_event_timeout.0,
            idle_timeout: self.idle_timeout.0,
            named,
        })
    }
}

impl RawAgent {
    fn check(&self, name: &str, outside: &Outside<'_>) -> Result<AgentConfig, Fault> {
        let key = |field: &str| format!("agents.{name}.{field}");
        match self.kind {
            None => Err(Fault::value(
                key("kind"),
                "is not set",
                "Set kind = \"openai\" for an OpenAI-compatible endpoint, or kind = \"demo\".",
            )),
            Some(Kind::Demo) => {
                self.refuse_foreign(name, "demo", &self.openai_fields())?;
                Ok(AgentConfig::Demo(Demo { delay: self.delay.map_or(DEFAULT_DELAY, |span| span.0) }))
            }
            Some(Kind::OpenAi) => {
                self.refuse_foreign(name, "openai", &[("delay", self.delay.is_some())])?;
                let connect_timeout = self.connect_timeout.map_or(DEFAULT_CONNECT_TIMEOUT, |span| span.0);
                not_zero(&key("connect_timeout"), connect_timeout)?;
                Ok(AgentConfig::OpenAi(OpenAi {
                    base_url: base_url(key("base_url"), self.base_url.as_deref())?,
                    model: required(key("model"), self.model.as_deref())?,
                    api_key: self.api_key(name, outside)?,
                    system_prompt: self.system_prompt.clone(),
                    connect_timeout,
                }))
            }
        }
    }

    fn openai_fields(&self) -> [(&'static str, bool); 6] {
        [
            ("base_url", self.base_url.is_some()),
            ("model", self.model.is_some()),
            ("api_key_env", self.api_key_env.is_some()),
            ("api_key_file", self.api_key_file.is_some()),
            ("system_prompt", self.system_prompt.is_some()),
            ("connect_timeout", self.connect_timeout.is_some()),
        ]
    }

    /// A key of another kind is a mistake, not a thing to ignore.
    fn refuse_foreign(&self, name: &str, kind: &str, foreign: &[(&str, bool)]) -> Result<(), Fault> {
        match foreign.iter().find(|(_, is_set)| *is_set) {
            None => Ok(()),
            Some((field, _)) => Err(Fault::value(
                format!("agents.{name}.{field}"),
                format!("is not a key of an agent of kind {kind:?}"),
                format!("Leave it out, or change agents.{name}.kind."),
            )),
        }
    }

    fn api_key(&self, name: &str, outside: &Outside<'_>) -> Result<Option<String>, Fault> {
        let (env, file) = (format!("agents.{name}.api_key_env"), format!("agents.{name}.api_key_file"));
        match (&self.api_key_env, &self.api_key_file) {
            (None, None) => Ok(None),
            (Some(variable), None) => outside.variable(&env, variable).map(Some),
            (None, Some(path)) => outside.file(&file, path).map(Some),
            (Some(_), Some(_)) => Err(Fault::against(env, "must not be set together with", file)),
        }
    }
}

fn required(key: String, value: Option<&str>) -> Result<String, Fault> {
    match value {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err(Fault::value(key, "is not set", "An agent of kind \"openai\" needs base_url and model.")),
    }
}

fn base_url(key: String, value: Option<&str>) -> Result<String, Fault> {
    let text = required(key.clone(), value)?;
    let uri = text.parse::<http::Uri>().ok();
    let is_http = uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    match is_http {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err(Fault::value(
            key,
            format!("is {text:?}, which is no http or https address"),
            "Write the address up to and without /chat/completions, such as \"http://127.0.0.1:11434/v1\".",
        )),
    }
}

impl<'de> Deserialize<'de> for RawAgents {
    /// Three keys are ours, every other one names an agent. Not `serde(flatten)`: it would lose the line of an error.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = RawAgents;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of agents")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawAgents, A::Error> {
                let mut agents = RawAgents::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "default" => agents.default = map.next_value()?,
                        "first_event_timeout" => agents.first_event_timeout = map.next_value()?,
                        "idle_timeout" => agents.idle_timeout = map.next_value()?,
                        _ => {
                            let agent = map.next_value()?;
                            agents.named.insert(key, agent);
                        }
                    }
                }
                Ok(agents)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl Serialize for RawAgents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3 + self.named.len()))?;
        map.serialize_entry("default", &self.default)?;
        map.serialize_entry("first_event_timeout", &self.first_event_timeout)?;
        map.serialize_entry("idle_timeout", &self.idle_timeout)?;
        for (name, agent) in &self.named {
            map.serialize_entry(name, agent)?;
        }
        map.end()
    }
}
