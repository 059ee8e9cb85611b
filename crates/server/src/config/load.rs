//! Layers in, one raw configuration out, with the place of every key.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use super::change::{self, Change};
use super::error::{Contradiction, Fault};
use super::reference;
use super::secret::Outside;
use super::sources::Sources;
use super::tls::Occasion;
use super::{
    Config, ConfigError, Journal, Place, admin, agents, alerts, auth, cluster, explain, forecast, journal, limits, log,
    login, overview, remediation, runs, server, traces, web, websocket,
};
use crate::wire::admin::Setting;

const ENVIRONMENT_PREFIX: &str = "LYCHGATE__";
/// A configuration has a few hundred lines; what is larger is another file, named by mistake.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Reads all layers and merges them. What this returns has known keys and right types; [`Loaded::check`] does the rest.
///
/// # Errors
/// [`ConfigError`] names the place, the key and the remedy.
pub fn load(sources: Sources) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::defaults()?;
    if let Some(path) = &sources.file {
        let text = read(path)?;
        layers.lay(&text, &|line| Place::File { path: path.clone(), line })?;
    }
    for (name, value) in &sources.environment {
        layers.lay_variable(name, value)?;
    }
    for argument in &sources.arguments {
        let place = Place::Argument(argument.flag.to_owned());
        let path: Vec<&str> = argument.key.split('.').collect();
        layers.lay_value(&path, &argument.value, &place)?;
    }
    let mut loaded = layers.finish(sources.environment)?;
    loaded.raw.login.is_demo = sources.is_demo;
    loaded.file = sources.file;
    Ok(loaded)
}

/// Configuration with known keys and right types, not yet checked against itself.
pub struct Loaded {
    raw: Raw,
    /// What `raw` was read from, secrets included.
    table: toml::Table,
    places: BTreeMap<String, Place>,
    environment: BTreeMap<OsString, OsString>,
    file: Option<PathBuf>,
    /// Made when they are first asked for.
    settings: OnceLock<Vec<Setting>>,
}

impl Loaded {
    /// The defaults with the keys of `text` laid over them; neither file nor environment is read.
    ///
    /// # Errors
    /// As [`load`], with the lines of `text`.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let mut layers = Layers::defaults()?;
        let path = PathBuf::from("(text)");
        layers.lay(text, &|line| Place::File { path: path.clone(), line })?;
        layers.finish(BTreeMap::new())
    }

    /// Ranges, contradictions, secrets: everything that a type alone cannot say. Reads the files and variables that
    /// hold secrets.
    ///
    /// # Errors
    /// [`ConfigError::Value`] and [`ConfigError::Contradiction`], of the first fault that is found.
    pub fn check(&self) -> Result<Config, ConfigError> {
        self.raw.check(&self.environment, Occasion::Start).map_err(|fault| self.located(fault))
    }

    /// As [`Self::check`], for a process that serves already: a certificate whose time is over, or has not come, is a
    /// warning in the log, because the one in force stays.
    ///
    /// # Errors
    /// As [`Self::check`], that one excepted.
    pub fn check_again(&self) -> Result<Config, ConfigError> {
        self.raw.check(&self.environment, Occasion::Reload).map_err(|fault| self.located(fault))
    }

    /// The section `[journal]` alone, for whoever works on its files and needs no secret.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn journal(&self) -> Result<Journal, ConfigError> {
        self.raw.journal.check_without_secrets().map_err(|fault| self.located(fault))
    }

    /// Where `key` (with its sections) got its value; of one that was not said, where the nearest of its sections was.
    #[must_use]
    pub fn place(&self, key: &str) -> Place {
        let above = std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(section, _)| section));
        above.filter_map(|key| self.places.get(key)).next().cloned().unwrap_or_default()
    }

    /// Uses this secret instead of whatever source was configured.
    pub(crate) fn set_jwt_secret(&mut self, flag: &str, secret: String) {
        self.raw.auth.set_secret(secret);
        self.settings.take();
        self.places.insert("auth.jwt.secret".to_owned(), Place::Argument(flag.to_owned()));
    }

    /// What a newer configuration says otherwise.
    #[must_use]
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        change::between(self, newer)
    }

    /// This configuration with everything of a newer one that can be put in force without a restart.
    ///
    /// # Errors
    /// As [`load`]; only where the two together make no sense.
    pub fn reloaded(&self, newer: &Self) -> Result<Self, ConfigError> {
        let table = change::overlay(&self.table, &newer.table);
        let layers = Layers { table, places: newer.places.clone() };
        let mut loaded = layers.finish(newer.environment.clone())?;
        loaded.raw.login.is_demo = newer.raw.login.is_demo;
        loaded.file.clone_from(&newer.file);
        Ok(loaded)
    }

    pub(super) fn table(&self) -> &toml::Table {
        &self.table
    }

    /// As [`Loaded::table`], secrets masked.
    pub(super) fn masked(&self) -> toml::Table {
        toml::Table::try_from(&self.raw).unwrap_or_default()
    }

    /// Everything in force as TOML that can be read back, secrets masked.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.raw).expect("sections of text, numbers and lists always serialise")
    }

    /// Every key that has a value: what it is, what it would be by itself, and who said so. Secrets are masked. The first call
    /// reads the defaults for it, which takes milliseconds; every other one is free.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        self.settings.get_or_init(|| overview::settings(self))
    }

    /// The file that was read, where one was.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn located(&self, fault: Fault) -> ConfigError {
        match fault.against {
            Some(against) => ConfigError::Contradiction(Box::new(Contradiction {
                place: self.place(&fault.key),
                against_place: self.place(&against),
                key: fault.key,
                against,
                rule: fault.what,
            })),
            None => ConfigError::Value {
                place: self.place(&fault.key),
                key: fault.key,
                what: fault.what,
                remedy: fault.remedy,
            },
        }
    }
}

impl fmt::Debug for Loaded {
    /// Nothing of the environment, as [`Sources`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("raw", &self.raw).field("places", &self.places).finish_non_exhaustive()
    }
}

/// All sections as they are written. A layer that leaves a key out gets an empty value here, which nobody sees: only
/// the merged table, which has every key of `default.toml`, is used.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    server: server::RawServer,
    limits: limits::RawLimits,
    liveness: limits::RawLiveness,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    plans: BTreeMap<String, limits::RawLimits>,
    forecast: forecast::RawForecast,
    remediation: remediation::RawRemediation,
    websocket: websocket::RawWebSocket,
    auth: auth::RawAuth,
    admin: admin::RawAdmin,
    login: login::RawLogin,
    agents: agents::RawAgents,
    runs: runs::RawRuns,
    journal: journal::RawJournal,
    cluster: cluster::RawCluster,
    alerts: alerts::RawAlerts,
    log: log::RawLog,
    explain: explain::RawExplain,
    traces: traces::RawTraces,
    web: web::RawWeb,
}

impl Raw {
    fn check(&self, environment: &BTreeMap<OsString, OsString>, occasion: Occasion) -> Result<Config, Fault> {
        let outside = Outside { environment };
        let server = self.server.check(occasion)?;
        let interval = server.environment.reclaim_interval();
        let forecast = self.forecast.check()?;
        let beside = limits::Beside { reclaim_interval: interval, expiry_grace: self.auth.grace()?, forecast };
        let (limits, plans) = limits::check(&self.limits, &self.liveness, &self.plans, beside)?;
        let login = self.login.check(&server, &outside)?;
        let agents = self.agents.check(&outside)?;
        let remediation = self.remediation.check(&agents, limits.max_sessions_per_user)?;
        let config = Config {
            server,
            login,
            limits,
            forecast,
            liveness: self.liveness.check()?,
            plans,
            websocket: self.websocket.check()?,
            log: self.log.check()?,
            explain: self.explain.check()?,
            traces: self.traces.check(&outside)?,
            web: self.web.check(),
            runs: self.runs.check()?,
            journal: self.journal.check(&outside)?,
            cluster: self.cluster.check(&outside)?,
            admin: self.admin.check()?,
            remediation,
            agents,
            alerts: self.alerts.check(&outside)?,
            // The secret comes last: whoever has none yet hears of every other mistake first.
            auth: self.auth.check(&outside, !self.login.is_empty())?,
        };
        auth::are_told_apart(&config.auth, &config.login)?;
        config.login.outlives_no_revocation(&config.auth)?;
        Ok(config)
    }
}

/// What was laid so far.
struct Layers {
    table: toml::Table,
    places: BTreeMap<String, Place>,
}

impl Layers {
    fn defaults() -> Result<Self, ConfigError> {
        let mut layers = Self { table: toml::Table::new(), places: BTreeMap::new() };
        layers.lay(reference::DEFAULT, &|_| Place::Default)?;
        Ok(layers)
    }

    /// Checks one document by itself, then merges it. `place` turns a line into where it was said.
    fn lay(&mut self, text: &str, place: &dyn Fn(usize) -> Place) -> Result<(), ConfigError> {
        let syntax = |error: &toml::de::Error| ConfigError::Syntax {
            place: place(line_of(text, error.span())),
            why: error.message().to_owned(),
        };
        let deserializer = toml::Deserializer::parse(text).map_err(|error| syntax(&error))?;
        let _: Raw = serde_path_to_error::deserialize(deserializer).map_err(|error| wrong(text, &error, place))?;
        let table: toml::Table = toml::from_str(text).map_err(|error| syntax(&error))?;
        let lines = DeTable::parse(text).map_err(|error| syntax(&error))?;
        note_places(lines.get_ref(), "", &|offset| place(line_at(text, offset)), &mut self.places);
        merge(&mut self.table, table);
        Ok(())
    }

    fn lay_variable(&mut self, name: &OsStr, value: &OsStr) -> Result<(), ConfigError> {
        let name = name.to_string_lossy();
        let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
            return Ok(());
        };
        let place = Place::Environment(name.clone().into_owned());
        let lower = rest.to_ascii_lowercase();
        let path: Vec<&str> = lower.split("__").collect();
        match value.to_str() {
            Some(text) => self.lay_value(&path, text, &place),
            None => Err(ConfigError::Value {
                place,
                key: path.join("."),
                what: "is not UTF-8 text".to_owned(),
                remedy: "Set the variable to text.".to_owned(),
            }),
        }
    }

    /// One key whose value has no quotes: `25`, `true` and `["a"]` are read as TOML where the key wants that, and as
    /// text where it wants text. So a secret of digits stays text.
    fn lay_value(&mut self, path: &[&str], text: &str, place: &Place) -> Result<(), ConfigError> {
        let document = |value: toml::Value| {
            let key: Vec<String> = path.iter().map(|part| toml::Value::from(*part).to_string()).collect();
            format!("{} = {value}", key.join("."))
        };
        let as_toml = toml::de::ValueDeserializer::parse(text).and_then(toml::Value::deserialize);
        let as_text = document(toml::Value::from(text));
        match as_toml {
            Ok(value) => match self.lay(&document(value), &|_| place.clone()) {
                Ok(()) => Ok(()),
                Err(first) => self.lay(&as_text, &|_| place.clone()).map_err(|_| first),
            },
            Err(_) => self.lay(&as_text, &|_| place.clone()),
        }
    }

    fn finish(self, environment: BTreeMap<OsString, OsString>) -> Result<Loaded, ConfigError> {
        let table = self.table;
        let raw = Raw::deserialize(table.clone())
            .map_err(|error| ConfigError::Syntax { place: Place::Default, why: error.message().to_owned() })?;
        Ok(Loaded { raw, table, places: self.places, environment, file: None, settings: OnceLock::new() })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable { path: path.to_owned(), why };
    match std::fs::metadata(path) {
        Err(error) => Err(unreadable(error.to_string())),
        Ok(found) if !found.is_file() => Err(unreadable("it is not a file".to_owned())),
        Ok(found) if found.len() > MAX_FILE_BYTES => Err(unreadable("it is larger than 1 MiB".to_owned())),
        Ok(_) => std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string())),
    }
}

/// Says in our words what serde found wrong.
fn wrong(
    text: &str,
    error: &serde_path_to_error::Error<toml::de::Error>,
    place: &dyn Fn(usize) -> Place,
) -> ConfigError {
    let message = error.inner().message();
    let place = place(line_of(text, error.inner().span()));
    let path = match error.path().to_string() {
        path if path == "." => String::new(),
        path => path,
    };
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    match unknown {
        Some(name) => {
            let is_in_path = path == name || path.ends_with(&format!(".{name}"));
            let key = match (is_in_path, path.is_empty()) {
                (true, _) => path,
                (false, true) => name.to_owned(),
                (false, false) => format!("{path}.{name}"),
            };
            ConfigError::UnknownKey { place, nearest: reference::nearest(&key), key }
        }
        None => ConfigError::Value {
            place,
            what: format!("has a wrong value: {message}"),
            remedy: match reference::nearest(&path).is_some_and(|nearest| nearest == path) {
                true => format!("docs/configuration.md shows how {path} is written."),
                false => "docs/configuration.md shows how it is written.".to_owned(),
            },
            key: path,
        },
    }
}

fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> usize {
    line_at(text, span.map_or(0, |span| span.start))
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn note_places(
    table: &DeTable<'_>,
    parent: &str,
    place: &dyn Fn(usize) -> Place,
    places: &mut BTreeMap<String, Place>,
) {
    for (name, value) in table {
        let key = match parent {
            "" => name.get_ref().to_string(),
            parent => format!("{parent}.{}", name.get_ref()),
        };
        if let DeValue::Table(inner) = value.get_ref() {
            note_places(inner, &key, place, places);
        }
        places.insert(key, place(name.span().start));
    }
}

fn merge(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}
