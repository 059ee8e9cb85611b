//! `[log]`: what is written to standard error.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::error::Fault;

/// `[log]`
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// `text`, `json` or `gcp`. Default `text`.
    pub format: LogFormat,
    /// A filter as of `tracing_subscriber::EnvFilter`. Default `info`.
    pub level: String,
    /// The Google Cloud project whose traces the lines of `gcp` belong to. Default none.
    pub gcp_project: Option<String>,
    /// What becomes of many lines of one kind.
    pub storm: Storm,
}

/// What is written of lines of one kind that come faster than anybody reads. Warnings and errors are written all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// Lines of one kind that are written in one second, beside those of `every`; 0: all. Default 100.
    pub lines: u32,
    /// Beyond them one of so many is written. Default 100.
    pub every: u32,
}

impl Default for Storm {
    fn default() -> Self {
        Self { lines: 100, every: 100 }
    }
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
    /// One JSON object per line, with the names that Google Cloud Logging knows.
    Gcp,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    format: LogFormat,
    level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gcp_project: Option<String>,
    storm_lines: u32,
    storm_every: u32,
}

impl RawLog {
    pub(super) fn check(&self) -> Result<Log, Fault> {
        check_level(&self.level)?;
        if self.storm_every == 0 {
            return Err(Fault::value(
                "log.storm_every",
                "is 0, and one of none cannot be written",
                "Write 1 or more; with `log.storm_lines = 0` every line is written.",
            ));
        }
        let gcp_project = self.gcp_project.clone();
        if let Some(project) = gcp_project.as_deref().filter(|project| !is_project(project)) {
            return Err(Fault::value(
                "log.gcp_project",
                format!("is {project:?}, which is no id of a project"),
                "Write the project's id, such as \"my-project-42\", without `projects/` before it.",
            ));
        }
        let storm = Storm { lines: self.storm_lines, every: self.storm_every };
        Ok(Log { format: self.format, level: self.level.clone(), gcp_project, storm })
    }
}

/// A filter takes a word that it does not know for the name of a module, and then everything else is silent: a mistyped level
/// would leave no log at all. So a module needs its level here.
fn check_level(filter: &str) -> Result<(), Fault> {
    let wrong = |what: String| {
        let remedy =
            "Write `off`, `error`, `warn`, `info`, `debug` or `trace`, or a list such as \"info,lychgate::ws=debug\".";
        Err(Fault::value("log.level", format!("is {filter:?}, {what}"), remedy))
    };
    if let Err(error) = EnvFilter::builder().parse(filter) {
        return wrong(format!("which is no filter: {error}"));
    }
    let is_level = |part: &&str| part.parse::<LevelFilter>().is_ok();
    let has_level = |part: &&str| part.rsplit_once('=').map_or_else(|| is_level(part), |(_, level)| !level.is_empty());
    // What stands in brackets is about spans, and the filter itself reads it.
    match filter.split(',').filter(|part| !part.contains(['[', ']'])).find(|part| !has_level(part)) {
        None => Ok(()),
        Some(part) => wrong(format!("and {part:?} is no level")),
    }
}

/// Letters, digits, hyphens; old ids have a domain and a colon before them.
fn is_project(id: &str) -> bool {
    (1..=100).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte))
}
