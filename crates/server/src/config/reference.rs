//! The reference of all keys, made from `default.toml`: its comments are the documentation.
//!
//! In that file a `# comment` explains what follows it, `key = value` is a default, and `#key = value` (no space) is a
//! key without one. `cargo test` fails when `docs/configuration.md` no longer says the same.

use std::fmt::Write;

/// The defaults that are part of the program, with every key and its meaning.
pub const DEFAULT: &str = include_str!("../../default.toml");

/// How the page is renewed.
pub const RENEW: &str = "cargo run -p lychgate -- config --reference > docs/configuration.md";

/// `docs/configuration.md`: every key with its default and its meaning.
#[must_use]
pub fn markdown() -> String {
    let mut page = format!("# Configuration\n\n<!-- Made from crates/server/default.toml by: {RENEW} -->\n");
    let mut comment: Vec<&str> = Vec::new();
    let mut in_table = false;
    for line in DEFAULT.lines() {
        match Line::of(line) {
            Line::Comment(text) => comment.push(text),
            Line::Blank => {
                if !comment.is_empty() {
                    let _ = write!(page, "\n{}\n", comment.join("\n"));
                }
                comment.clear();
            }
            Line::Section(name) => {
                let _ = write!(page, "\n## `[{name}]`\n\n{}\n", comment.join("\n"));
                comment.clear();
                in_table = false;
            }
            Line::Key { name, value, is_set } => {
                if !in_table {
                    page.push_str("\n| key | default | meaning |\n|---|---|---|\n");
                    in_table = true;
                }
                let default = match is_set {
                    true => format!("`{value}`"),
                    false => format!("none; for example `{value}`"),
                };
                let _ = writeln!(page, "| `{name}` | {default} | {} |", comment.join(" "));
                comment.clear();
            }
        }
    }
    page
}

/// Every key with its sections, those without a default too; sections themselves are listed as well. Agents beside
/// `demo`, and issuers, are called `NAME`.
pub(super) fn known_keys() -> Vec<String> {
    let mut keys = Vec::new();
    let mut section = "";
    for line in DEFAULT.lines() {
        match Line::of(line) {
            Line::Comment(_) | Line::Blank => {}
            Line::Section(name) => {
                section = name;
                keys.push(name.to_owned());
            }
            Line::Key { name, .. } => keys.push(format!("{section}.{name}")),
        }
    }
    keys
}

/// The known key that `key` was probably meant to be.
pub(super) fn nearest(key: &str) -> Option<String> {
    let (parent, last) = split(key);
    // The keys of an agent are the same whatever its name is, and those of a plan are the keys of `[limits]`.
    let (named, in_reference) = match parent.split_once('.') {
        Some(("agents", _)) => (Some(parent), "agents.NAME"),
        Some(("plans", _)) => (Some(parent), "limits"),
        Some(("login", rest)) if rest.starts_with("providers.") => (Some(parent), "login.providers.NAME"),
        Some(("auth", rest)) if rest.starts_with("issuers.") => (Some(parent), "auth.issuers.NAME"),
        Some(("alerts", rest)) if rest.starts_with("webhooks.") => (Some(parent), "alerts.webhooks.NAME"),
        Some(("remediation", rest)) if rest.starts_with("rules.") => (Some(parent), "remediation.rules.NAME"),
        Some(("admin", rest)) if rest.starts_with("keys.") => (Some(parent), "admin.keys.NAME"),
        Some(_) | None => (None, parent),
    };
    let distance = |known: &str| {
        let (known_parent, known_last) = split(known);
        let elsewhere = usize::from(known_parent != in_reference);
        (strsim::osa_distance(last, known_last) + 2 * elsewhere, elsewhere)
    };
    let bound = (last.chars().count() / 3).max(2);
    let keys = known_keys();
    let by_letters = keys.iter().min_by_key(|known| distance(known)).filter(|known| distance(known).0 <= bound);
    // A name that was cut short, such as max_sessions, is many letters away and still the obvious one.
    let likeness = |known: &str| strsim::jaro_winkler(last, split(known).1);
    let by_beginning = || {
        let siblings = keys.iter().filter(|known| split(known).0 == in_reference);
        siblings.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|known| likeness(known) >= 0.85)
    };
    let best = by_letters.or_else(by_beginning)?;
    Some(match (named, best.strip_prefix(in_reference)) {
        (Some(named), Some(key)) => format!("{named}{key}"),
        (Some(_) | None, _) => best.clone(),
    })
}

fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

enum Line<'a> {
    Blank,
    Comment(&'a str),
    Section(&'a str),
    Key { name: &'a str, value: &'a str, is_set: bool },
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        if let Some(text) = line.strip_prefix("# ") {
            return Self::Comment(text);
        }
        if line == "#" {
            return Self::Comment("");
        }
        let (is_set, rest) = match line.strip_prefix('#') {
            Some(rest) => (false, rest),
            None => (true, line),
        };
        if let Some(name) = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Self::Section(name);
        }
        match rest.split_once(" = ") {
            Some((name, value)) => Self::Key { name, value, is_set },
            None if is_set => Self::Blank,
            None => Self::Comment(rest),
        }
    }
}
