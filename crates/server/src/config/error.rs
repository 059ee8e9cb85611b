//! What can be wrong with a configuration: each names where it was said, the key, and the remedy.

use std::fmt;
use std::path::PathBuf;

/// Where a key got its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The defaults that are part of the program.
    #[default]
    Default,
    /// A line of a file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// An argument of the command line.
    Argument(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default.toml (built in)"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Argument(flag) => write!(f, "argument {flag}"),
        }
    }
}

/// Why a configuration is not one. It is always the operator's to mend; exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The file could not be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The file is not TOML.
    Syntax {
        /// Where it stops being TOML.
        place: Place,
        /// What was expected there.
        why: String,
    },
    /// There is no such key.
    UnknownKey {
        /// Where it was said.
        place: Place,
        /// The key as it was written, with its sections.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// A key has a value that it cannot have.
    Value {
        /// Where it was said.
        place: Place,
        /// The key with its sections.
        key: String,
        /// What is wrong, as the end of a sentence that starts with the key.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// Two keys contradict each other.
    Contradiction(Box<Contradiction>),
}

/// Two keys that cannot both hold, and where each was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Where the first was said.
    pub place: Place,
    /// The first key with its sections.
    pub key: String,
    /// Where the second was said.
    pub against_place: Place,
    /// The second key with its sections.
    pub against: String,
    /// What would be right, between the two keys.
    pub rule: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, why } => write!(
                f,
                "{}: the configuration cannot be read: {why}\n  Name an existing file with --config, or leave it out to run on the defaults.",
                path.display()
            ),
            Self::Syntax { place, why } => write!(
                f,
                "{place}: this is not TOML: {why}\n  A line is `key = value`; text, addresses and durations stand in double quotes."
            ),
            Self::UnknownKey { place, key, nearest } => {
                write!(f, "{place}: there is no key {key}\n  ")?;
                if let Some(nearest) = nearest {
                    write!(f, "Did you mean {nearest}? ")?;
                }
                f.write_str("`lychgate config` prints every key that is set; docs/configuration.md explains them.")
            }
            Self::Value { place, key, what, remedy } => match place {
                // Whoever set nothing has nothing to look up.
                Place::Default => write!(f, "{key} {what}\n  {remedy}"),
                Place::File { .. } | Place::Environment(_) | Place::Argument(_) => {
                    write!(f, "{place}: {key} {what}\n  {remedy}")
                }
            },
            Self::Contradiction(both) => write!(
                f,
                "{}: {} {} {}\n  {} was set by {}. Change one of the two.",
                both.place, both.key, both.rule, both.against, both.against, both.against_place
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

/// What a section finds wrong with itself; [`super::load`] adds where it was said.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) key: String,
    pub(super) against: Option<String>,
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Fault {
    /// A value that is wrong by itself. `what` continues a sentence that starts with the key.
    pub(super) fn value(key: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.into(), against: None, what: what.into(), remedy: remedy.into() }
    }

    /// Two keys that cannot both hold; `rule` stands between them.
    pub(super) fn against(key: impl Into<String>, rule: impl Into<String>, against: impl Into<String>) -> Self {
        Self { key: key.into(), against: Some(against.into()), what: rule.into(), remedy: String::new() }
    }
}

/// Refuses a number outside its range.
pub(super) fn in_range(key: &str, value: usize, least: usize, most: usize) -> Result<(), Fault> {
    match value {
        value if value < least => Err(Fault::value(
            key,
            format!("is {value}; it must be at least {least}"),
            format!("Set it to {least} or more, or leave it out for the default."),
        )),
        value if value > most => Err(Fault::value(
            key,
            format!("is {value}; it must be at most {most}"),
            format!("Set it to {most} or less, or leave it out for the default."),
        )),
        _ => Ok(()),
    }
}

/// Refuses a duration too short to be meant.
pub(super) fn not_zero(key: &str, value: std::time::Duration) -> Result<(), Fault> {
    match value.as_millis() {
        0 => Err(Fault::value(
            key,
            "is shorter than a millisecond",
            "Set it to \"1ms\" or more, or leave it out for the default.",
        )),
        _ => Ok(()),
    }
}
