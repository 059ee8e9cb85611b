//! What is different between two configurations, and which of it can be put in force without a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Loaded;
use super::value::MASK;

/// What a reload puts in force; everything else is read at start alone. A name with a dot at its end is a section.
pub const AT_ONCE: [&str; 9] = [
    "limits.",
    "plans.",
    "forecast.",
    "remediation.",
    "auth.",
    "login.",
    "admin.",
    "server.drain_timeout",
    "log.level",
];

/// What a reload does not put in force although its section is.
const AT_START: [&str; 1] = ["admin.public_url"];

/// One key that is said otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which, with its sections.
    pub key: String,
    /// Its value before, as TOML, a secret masked; none where it was not set.
    pub from: Option<String>,
    /// Its value now.
    pub to: Option<String>,
}

impl Change {
    /// Whether a reload puts it in force; otherwise it waits for a restart.
    #[must_use]
    pub fn is_at_once(&self) -> bool {
        is_at_once(&self.key)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unset = |value: &Option<String>| value.clone().unwrap_or_else(|| "(not set)".to_owned());
        let (from, to) = (or_unset(&self.from), or_unset(&self.to));
        match from == to {
            // A secret, of which nothing may be shown.
            true => write!(f, "{}: another value", self.key),
            false => write!(f, "{}: {from} -> {to}", self.key),
        }
    }
}

pub(super) fn is_at_once(key: &str) -> bool {
    let is_named = |name: &&str| match name.ends_with('.') {
        true => key.starts_with(*name),
        false => key == *name,
    };
    AT_ONCE.iter().any(is_named) && !AT_START.contains(&key)
}

/// Compares key by key what is in force with what is said now.
pub(super) fn between(old: &Loaded, new: &Loaded) -> Vec<Change> {
    let (old_values, new_values) = (leaves(old.table()), leaves(new.table()));
    let (old_shown, new_shown) = (leaves(&old.masked()), leaves(&new.masked()));
    let keys: BTreeSet<_> = old_values.keys().chain(new_values.keys()).collect();
    // What is not written back is a secret, too: rather one mask too many than one too few.
    let shown = |set: &BTreeMap<String, toml::Value>, shown: &BTreeMap<String, toml::Value>, key: &String| {
        set.get(key).map(|_| shown.get(key).map_or_else(|| MASK.to_owned(), ToString::to_string))
    };
    keys.into_iter()
        .filter(|key| old_values.get(*key) != new_values.get(*key))
        .map(|key| Change {
            key: key.clone(),
            from: shown(&old_values, &old_shown, key),
            to: shown(&new_values, &new_shown, key),
        })
        .collect()
}

/// The old table with those keys of the new one that can be put in force at once.
pub(super) fn overlay(old: &toml::Table, new: &toml::Table) -> toml::Table {
    lay(old, new, "")
}

fn lay(old: &toml::Table, new: &toml::Table, parent: &str) -> toml::Table {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut laid = toml::Table::new();
    for name in names {
        let key = format!("{parent}{name}");
        let empty = toml::Table::new();
        let value = match (old.get(name), new.get(name)) {
            (Some(toml::Value::Table(old)), Some(toml::Value::Table(new))) => {
                Some(toml::Value::Table(lay(old, new, &format!("{key}."))))
            }
            (None, Some(toml::Value::Table(new))) => Some(toml::Value::Table(lay(&empty, new, &format!("{key}.")))),
            (Some(toml::Value::Table(old)), None) => Some(toml::Value::Table(lay(old, &empty, &format!("{key}.")))),
            (_, new) if is_at_once(&key) => new.cloned(),
            (old, _) => old.cloned(),
        };
        // A table that is empty now was emptied by this: a plan without a key is none.
        let was_emptied =
            matches!(&value, Some(toml::Value::Table(table)) if table.is_empty()) && new.get(name).is_none();
        if let Some(value) = value.filter(|_| !was_emptied) {
            laid.insert(name.clone(), value);
        }
    }
    laid
}

/// Every key with its sections that is no section.
pub(super) fn leaves(table: &toml::Table) -> BTreeMap<String, toml::Value> {
    fn collect(table: &toml::Table, parent: &str, into: &mut BTreeMap<String, toml::Value>) {
        for (name, value) in table {
            let key = format!("{parent}{name}");
            match value {
                toml::Value::Table(inner) => collect(inner, &format!("{key}."), into),
                other => {
                    into.insert(key, other.clone());
                }
            }
        }
    }
    let mut into = BTreeMap::new();
    collect(table, "", &mut into);
    into
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Loaded {
        Loaded::from_toml(&format!("auth.jwt.secret = \"0123456789abcdef0123456789abcdef\"\n{text}")).unwrap()
    }

    fn told(old: &Loaded, new: &Loaded) -> Vec<String> {
        old.changes(new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn operators_read_what_a_reload_puts_in_force() {
        let page = include_str!("../../../../docs/operations.md");
        let told = page.lines().find(|line| line.ends_with("A limit that falls evicts nobody by itself.")).unwrap();
        for name in AT_ONCE {
            let name = name.strip_suffix('.').map_or_else(|| name.to_owned(), |section| format!("[{section}]"));
            assert!(told.contains(&format!("`{name}`")), "docs/operations.md does not say that {name} holds at once");
        }
    }

    #[test]
    fn a_change_is_told_with_its_old_and_its_new_value() {
        let (old, new) = (loaded(""), loaded("limits.max_sessions_per_user = 30\nlog.level = \"debug\""));
        let changes = told(&old, &new);
        assert_eq!(changes, ["limits.max_sessions_per_user: 20 -> 30", "log.level: \"info\" -> \"debug\""]);
        assert_eq!(told(&old, &loaded("")), [""; 0]);
    }

    #[test]
    fn a_secret_that_changed_is_told_and_not_shown() {
        let new = Loaded::from_toml("auth.jwt.secret = \"another-secret-another-secret-another\"").unwrap();
        assert_eq!(told(&loaded(""), &new), ["auth.jwt.secret: another value"]);
    }

    #[test]
    fn what_needs_a_restart_stays_as_it_was_and_the_rest_is_new() {
        let old = loaded("plans.pro.max_sessions_per_user = 30");
        let new = loaded(
            "server.listen = \"127.0.0.1:1\"\nadmin.public_url = \"https://ops.example.org\"\nliveness.ping_interval = \"1m\"\nserver.drain_timeout = \"1s\"\n\
             plans.team.max_sessions_per_user = 50",
        );
        let restart: Vec<_> =
            old.changes(&new).into_iter().filter(|change| !change.is_at_once()).map(|change| change.key).collect();
        assert_eq!(restart, ["admin.public_url", "liveness.ping_interval", "server.listen"]);
        let in_force = old.reloaded(&new).unwrap().check().unwrap();
        assert_eq!(in_force.server.listen.port(), 8787);
        assert_eq!(in_force.limits.ping_interval.as_secs(), 20);
        assert_eq!(in_force.server.drain_timeout.as_secs(), 1);
        assert!(in_force.plans.find("team").is_some() && in_force.plans.find("pro").is_none());
    }
}
