//! `[agents]`: who answers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::MapAccess;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use super::address::Address;
use super::error::{Fault, not_zero};
use super::secret::Outside;
use super::value::{Secret, Span};

mod remote;

pub use remote::{ApiKey, Breaker, Identity, IdentityJwt, Remote};

/// Who answers.
#[derive(Clone, Debug)]
pub struct Agents {
    /// The agent of runs that name none; a key of `named`.
    pub default: String,
    /// All agents by name.
    pub named: BTreeMap<String, AgentConfig>,
}

/// `[agents.NAME]`
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// What it is, and the keys of that kind.
    pub kind: AgentKind,
    /// From the start of a run to its first event. Default: that of `[agents]`, 30 s.
    pub first_event_timeout: Duration,
    /// Between two events. Default: that of `[agents]`, 60 s.
    pub idle_timeout: Duration,
}

/// What an agent is.
#[derive(Clone, Debug)]
pub enum AgentKind {
    /// `kind = "demo"`
    Demo(Demo),
    /// `kind = "openai"`
    OpenAi(OpenAi),
    /// `kind = "agui"`
    Agui(Agui),
}

/// The built-in agent that needs nothing.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Between two words. Default 30 ms; 0 is as fast as possible.
    pub delay: Duration,
}

/// Any endpoint that speaks the OpenAI chat-completions protocol.
#[derive(Clone, Debug)]
pub struct OpenAi {
    /// Up to and without `/chat/completions`; no slash at its end.
    pub base_url: Address,
    /// The `model` to ask for.
    pub model: String,
    /// Put before the thread's messages.
    pub system_prompt: Option<String>,
    /// Whether the user's id goes into the field `user` of the request. Default: no.
    pub send_user: bool,
    /// Whether attachments that the endpoint has to fetch (http, https) or look up (file ids) reach it. Default: no.
    pub remote_media: bool,
    /// How it is asked.
    pub remote: Remote,
}

/// Any agent that speaks AG-UI over HTTP.
#[derive(Clone, Debug)]
pub struct Agui {
    /// The whole address that runs are posted to.
    pub url: Address,
    /// Whether RAW events and the field `rawEvent` reach clients. Default: no.
    pub raw_events: bool,
    /// How it is asked.
    pub remote: Remote,
}

const DEFAULT_DELAY: Duration = Duration::from_millis(30);

#[derive(Debug, Default)]
pub(super) struct RawAgents {
    default: String,
    first_event_timeout: Span,
    idle_timeout: Span,
    named: BTreeMap<String, RawAgent>,
}

/// The keys of all kinds in one table: which of them a kind knows, [`RawAgent::keys`] says.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct RawAgent {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event_timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_user: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_media: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_events: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, Secret>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers_env: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_jwt_secret_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_jwt_secret_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_jwt_header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrent_runs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker_failures: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker_window: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker_open: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Demo,
    OpenAi,
    Agui,
}

impl Kind {
    /// The word that the file has for it.
    fn word(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::OpenAi => "openai",
            Self::Agui => "agui",
        }
    }
}

impl RawAgents {
    pub(super) fn check(&self, outside: &Outside<'_>) -> Result<Agents, Fault> {
        not_zero("agents.first_event_timeout", self.first_event_timeout.0)?;
        not_zero("agents.idle_timeout", self.idle_timeout.0)?;
        let mut named = BTreeMap::new();
        for (name, raw) in &self.named {
            named.insert(name.clone(), self.check_one(&At { name }, raw, outside)?);
        }
        if !named.contains_key(&self.default) {
            let known: Vec<&str> = named.keys().map(String::as_str).collect();
            return Err(Fault::value(
                "agents.default",
                format!("is {:?}, and there is no table [agents.{}]", self.default, self.default),
                format!("Name one of these, or add the table: {}.", known.join(", ")),
            ));
        }
        Ok(Agents { default: self.default.clone(), named })
    }

    fn check_one(&self, at: &At<'_>, raw: &RawAgent, outside: &Outside<'_>) -> Result<AgentConfig, Fault> {
        let wait = |field: &str, own: Option<Span>, everybodys: Span| {
            let wait = own.unwrap_or(everybodys).0;
            not_zero(&at.key(field), wait).map(|()| wait)
        };
        Ok(AgentConfig {
            kind: raw.check(at, outside)?,
            first_event_timeout: wait("first_event_timeout", raw.first_event_timeout, self.first_event_timeout)?,
            idle_timeout: wait("idle_timeout", raw.idle_timeout, self.idle_timeout)?,
        })
    }
}

/// Which table is being checked.
struct At<'a> {
    name: &'a str,
}

impl At<'_> {
    /// A key of the table, with its sections.
    fn key(&self, field: &str) -> String {
        format!("agents.{}.{field}", self.name)
    }
}

impl RawAgent {
    fn check(&self, at: &At<'_>, outside: &Outside<'_>) -> Result<AgentKind, Fault> {
        let Some(kind) = self.kind else {
            return Err(Fault::value(
                at.key("kind"),
                "is not set",
                "Set kind = \"agui\" for an AG-UI agent, \"openai\" for an OpenAI-compatible endpoint, or \"demo\".",
            ));
        };
        self.refuse_foreign(at, kind)?;
        Ok(match kind {
            Kind::Demo => AgentKind::Demo(Demo { delay: self.delay.map_or(DEFAULT_DELAY, |span| span.0) }),
            Kind::OpenAi => AgentKind::OpenAi(OpenAi {
                base_url: base_url(at.key("base_url"), self.base_url.as_ref())?,
                model: required(at.key("model"), self.model.as_deref(), NEEDS_MODEL)?,
                system_prompt: self.system_prompt.clone(),
                send_user: self.send_user.unwrap_or(false),
                remote_media: self.remote_media.unwrap_or(false),
                remote: self.remote(at, kind, outside)?,
            }),
            Kind::Agui => AgentKind::Agui(Agui {
                url: url(at.key("url"), self.url.as_ref())?,
                raw_events: self.raw_events.unwrap_or(false),
                remote: self.remote(at, kind, outside)?,
            }),
        })
    }

    /// A key of another kind is a mistake, not a thing to ignore.
    fn refuse_foreign(&self, at: &At<'_>, kind: Kind) -> Result<(), Fault> {
        match self.keys().into_iter().find(|(_, is_set, kinds)| *is_set && !kinds.contains(&kind)) {
            None => Ok(()),
            Some((field, ..)) => Err(Fault::value(
                at.key(field),
                format!("is not a key of an agent of kind {:?}", kind.word()),
                format!("Leave it out, or change {}.", at.key("kind")),
            )),
        }
    }

    /// Every key that not all kinds know: its name, whether it is set, and who knows it.
    fn keys(&self) -> [(&'static str, bool, &'static [Kind]); 22] {
        const DEMO: &[Kind] = &[Kind::Demo];
        const OPENAI: &[Kind] = &[Kind::OpenAi];
        const AGUI: &[Kind] = &[Kind::Agui];
        const REMOTE: &[Kind] = &[Kind::OpenAi, Kind::Agui];
        [
            ("delay", self.delay.is_some(), DEMO),
            ("base_url", self.base_url.is_some(), OPENAI),
            ("model", self.model.is_some(), OPENAI),
            ("system_prompt", self.system_prompt.is_some(), OPENAI),
            ("send_user", self.send_user.is_some(), OPENAI),
            ("remote_media", self.remote_media.is_some(), OPENAI),
            ("url", self.url.is_some(), AGUI),
            ("raw_events", self.raw_events.is_some(), AGUI),
            ("connect_timeout", self.connect_timeout.is_some(), REMOTE),
            ("api_key_env", self.api_key_env.is_some(), REMOTE),
            ("api_key_file", self.api_key_file.is_some(), REMOTE),
            ("headers", self.headers.is_some(), REMOTE),
            ("headers_env", self.headers_env.is_some(), REMOTE),
            ("identity_header", self.identity_header.is_some(), REMOTE),
            ("plan_header", self.plan_header.is_some(), REMOTE),
            ("identity_jwt_secret_env", self.identity_jwt_secret_env.is_some(), REMOTE),
            ("identity_jwt_secret_file", self.identity_jwt_secret_file.is_some(), REMOTE),
            ("identity_jwt_header", self.identity_jwt_header.is_some(), REMOTE),
            ("max_concurrent_runs", self.max_concurrent_runs.is_some(), REMOTE),
            ("breaker_failures", self.breaker_failures.is_some(), REMOTE),
            ("breaker_window", self.breaker_window.is_some(), REMOTE),
            ("breaker_open", self.breaker_open.is_some(), REMOTE),
        ]
    }
}

const NEEDS_MODEL: &str = "An agent of kind \"openai\" needs base_url and model.";
const NEEDS_URL: &str = "An agent of kind \"agui\" needs url.";

fn required(key: String, value: Option<&str>, remedy: &str) -> Result<String, Fault> {
    match value {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err(Fault::value(key, "is not set", remedy)),
    }
}

fn base_url(key: String, value: Option<&Address>) -> Result<Address, Fault> {
    let form = "Write the address up to and without /chat/completions, such as \"http://127.0.0.1:11434/v1\".";
    let address = address(key, value, NEEDS_MODEL, form)?;
    Ok(address.as_str().trim_end_matches('/').into())
}

fn url(key: String, value: Option<&Address>) -> Result<Address, Fault> {
    let form = "Write the whole address that runs are posted to, such as \"http://127.0.0.1:8000/agent\".";
    address(key, value, NEEDS_URL, form)
}

/// An http or https address without a password in it. An error quotes no more of it than may be shown.
fn address(key: String, value: Option<&Address>, remedy: &str, form: &str) -> Result<Address, Fault> {
    let text = required(key.clone(), value.map(Address::as_str), remedy)?;
    let uri = text.parse::<http::Uri>().ok();
    let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    let address = Address::from(text.as_str());
    match uri.as_ref().and_then(http::Uri::authority) {
        None => Err(Fault::value(key, format!("is {address:?}, which is no http or https address"), form)),
        Some(authority) if authority.as_str().contains('@') => Err(Fault::value(
            key,
            "holds a user name or password, which would be printed with it",
            "Put `authorization` into headers_env instead.",
        )),
        Some(_) => Ok(address),
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
