//! Core decides and does nothing else: what it may not reach, it may not name.
//!
//! Purity is what makes one seed give one history (M30); a single read of a clock would end that without a test failing.

use super::source::Source;
use super::{Finding, Tree};

const CORE: &str = "crates/core/src/";

/// Crates and modules that core names nowhere, not even in its tests.
const BANNED: [&[&str]; 19] = [
    &["tokio"],
    &["futures"],
    &["futures_util"],
    &["serde"],
    &["serde_json"],
    &["tracing"],
    &["log"],
    &["rand"],
    &["getrandom"],
    &["uuid"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "net"],
    &["std", "os"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
];

/// Crate roots that must forbid unsafe code, so that nobody can allow it further down.
const WITHOUT_UNSAFE: [&str; 4] = [
    "crates/core/src/lib.rs",
    "crates/leases-model/src/lib.rs",
    "crates/scenario/src/lib.rs",
    "crates/scenario/src/main.rs",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let core = tree.rust.iter().filter(|source| source.path.starts_with(CORE)).flat_map(reaches_out);
    let unsafe_code = tree.rust.iter().filter_map(lets_unsafe_in);
    core.chain(unsafe_code).collect()
}

fn reaches_out(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in source.paths() {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        // `use std::time;` and `use std::*;` would bring a clock in under a name that we do not see.
        let open = segments.strip_suffix(&["*"]).unwrap_or(&segments);
        let banned = BANNED.iter().find(|banned| {
            segments.starts_with(banned) || (path.imported && banned.len() > open.len() && banned.starts_with(open))
        });
        if let Some(banned) = banned {
            let text = format!("core uses `{}`; it must not reach `{}`", segments.join("::"), banned.join("::"));
            findings.push(Finding::error(&source.path, path.line, text));
        }
    }
    findings
}

fn lets_unsafe_in(source: &Source) -> Option<Finding> {
    if !WITHOUT_UNSAFE.contains(&source.path.as_str()) {
        return None;
    }
    let wanted = ["#", "!", "[", "forbid", "(", "unsafe_code", ")", "]"];
    let forbids = (0..source.tokens.len()).any(|index| source.has(index, &wanted));
    (!forbids).then(|| Finding::error(&source.path, 1, "`#![forbid(unsafe_code)]` is missing".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<Finding> {
        let tree = Tree { rust: vec![Source::new(path, text)], sizes: Vec::new(), scripts: Vec::new() };
        check(&tree)
    }

    #[test]
    fn core_that_reaches_out_is_found_however_it_is_written() {
        for text in [
            "use tokio::sync::mpsc;",
            "use serde::Serialize;",
            "fn now() -> std::time::Instant { std::time::Instant::now() }",
            "use std::time::{Duration, SystemTime};",
            "use std::{collections::BTreeMap, net::IpAddr};",
            "use std::time;",
            "use std::time::*;",
            "use std as s;",
            "use ::std::fs;",
            "#[cfg(test)] mod tests { fn f() { std::thread::yield_now(); } }",
            "fn f() { tracing::info!(\"x\") }",
        ] {
            assert_eq!(findings("crates/core/src/gate.rs", text).len().min(1), 1, "{text}");
        }
    }

    #[test]
    fn core_that_keeps_to_itself_passes_and_other_crates_may_reach_out() {
        let pure =
            "use std::time::Duration; use std::collections::BTreeMap; use std::fmt; // std::fs\nuse crate::time;";
        assert_eq!(findings("crates/core/src/gate.rs", pure), []);
        assert_eq!(findings("crates/server/src/driver.rs", "use std::thread; use tokio::sync;"), []);
    }

    #[test]
    fn a_crate_root_that_does_not_forbid_unsafe_code_is_found() {
        assert_eq!(findings("crates/core/src/lib.rs", "//! Doc.\n#![forbid(unsafe_code)]\nmod id;"), []);
        assert_eq!(findings("crates/core/src/lib.rs", "// #![forbid(unsafe_code)]\nmod id;").len(), 1);
        assert_eq!(findings("crates/scenario/src/main.rs", "#![deny(unsafe_code)]").len(), 1);
        assert_eq!(findings("crates/server/src/lib.rs", ""), []);
    }
}
