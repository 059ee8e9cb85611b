//! `[agents]`

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// Up to and without `/chat/completions`.
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

impl std::fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAi").field("base_url", &self.base_url).field("model", &self.model).finish_non_exhaustive()
    }
}
