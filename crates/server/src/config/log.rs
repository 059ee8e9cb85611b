//! `[log]`: what is written to standard error.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::error::Fault;

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// `text` or `json`. Default `text`.
    pub format: LogFormat,
    /// A filter as of `tracing_subscriber::EnvFilter`. Default `info`.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    format: LogFormat,
    level: String,
}

impl RawLog {
    pub(super) fn check(&self) -> Result<Log, Fault> {
        match EnvFilter::builder().parse(&self.level) {
            Ok(_) => Ok(Log { format: self.format, level: self.level.clone() }),
            Err(error) => Err(Fault::value(
                "log.level",
                format!("is {:?}, which is no filter: {error}", self.level),
                "Write `error`, `warn`, `info`, `debug` or `trace`, or a list such as \"info,lychgate::ws=debug\".",
            )),
        }
    }
}
