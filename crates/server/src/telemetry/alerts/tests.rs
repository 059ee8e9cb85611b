//! The list as a whole: one table of cases, played by our own evaluation here and by promtool in CI.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::catalogue::{OF_USERS, named};
use super::rules::{RENEW_RULES, RENEW_RUNBOOK, annotations, quoted, rules, runbook};
use super::{ALERTS, State, Watch};
use crate::telemetry::{Metrics, Population};

mod cases;

use cases::{CASES, Case, STEP};

/// How the cases of promtool are renewed.
const RENEW_CASES: &str = "RENEW_GOLDEN_FILES=1 cargo test -p lychgate promtool_is_given";

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_does_not() {
    for alert in &ALERTS {
        let of = |fires| CASES.iter().any(|case| case.alert == alert.name && case.fires == fires);
        assert!(of(true) && of(false), "{} lacks a case", alert.name);
    }
}

#[test]
fn our_own_evaluation_says_of_every_case_what_prometheus_says() {
    for case in CASES {
        assert_eq!(fires(case), case.fires, "{}: {}", case.alert, case.name);
    }
}

/// Plays a case over the text of scrapes, up to its moment.
fn fires(case: &Case) -> bool {
    let mut watch = Watch::new(&ALERTS);
    let mut is_firing = false;
    for step in 0..=case.at / STEP {
        let mut text = String::from("# HELP lychgate_x Something\n");
        for (series, values) in case.series {
            let values = values.expand();
            if let Some(value) = values.get(usize::try_from(step).unwrap()) {
                writeln!(text, "{series} {value}").unwrap();
            }
        }
        text.push_str("# EOF\n");
        let now = Duration::from_secs(step * STEP);
        let changes = watch.look(now, Timestamp::UNIX_EPOCH + now, &text);
        for change in changes.iter().filter(|change| change.alert == case.alert) {
            is_firing = change.state == State::Firing;
        }
    }
    is_firing
}

#[test]
fn metrics_that_are_not_there_fire_nothing() {
    let mut watch = Watch::new(&ALERTS);
    for step in 0..200 {
        let now = Duration::from_secs(step * STEP);
        let text = "# EOF\nlychgate_users_of_another_kind{band=\"full\"} 3\n";
        assert_eq!(watch.look(now, Timestamp::UNIX_EPOCH, text), []);
    }
}

/// A condition over a name that nobody counts would never fire.
#[test]
fn every_condition_asks_for_metrics_and_words_that_are_scraped() {
    let scrape = Metrics::with_agents(["demo"]).encode(&Population::default());
    for alert in &ALERTS {
        for (series, _) in alert.condition.series() {
            let has = |line: &str| {
                let is_name = line.strip_prefix(series.name).is_some_and(|rest| rest.starts_with(['{', ' ']));
                let word = |label: &str, word: &str| line.contains(&format!("{label}=\"{word}\""));
                is_name && series.labels.iter().all(|(label, words)| words.iter().any(|it| word(label, it)))
            };
            assert!(scrape.lines().any(has), "{}: {series} is not scraped", alert.name);
            for (label, words) in series.labels {
                for word in *words {
                    assert!(scrape.contains(&format!("{label}=\"{word}\"")), "{}: no {label}={word}", alert.name);
                }
            }
        }
    }
}

#[test]
fn an_alert_whose_metric_vanishes_is_resolved_and_one_that_fires_is_told_once() {
    let mut watch = Watch::new(&ALERTS);
    let mut look = |second, text: &str| {
        let changes = watch.look(Duration::from_secs(second), Timestamp::from_second(second as i64).unwrap(), text);
        changes.into_iter().map(|it| (it.alert, it.state, it.since.as_second())).collect::<Vec<_>>()
    };
    let half = "lychgate_users{band=\"watch\"} 2\n";
    assert_eq!(look(5, half), [("LychgateUserAt50", State::Firing, 5)]);
    assert_eq!(look(6, half), []);
    assert_eq!(look(7, ""), [("LychgateUserAt50", State::Resolved, 5)]);
    assert_eq!(look(8, ""), []);
}

#[test]
fn names_and_texts_follow_the_conventions() {
    let names: BTreeSet<&str> = ALERTS.iter().map(|alert| alert.name).collect();
    assert_eq!(names.len(), ALERTS.len(), "every name once");
    for alert in &ALERTS {
        assert!(
            alert.name.strip_prefix("Lychgate").is_some_and(|rest| rest.bytes().all(|it| it.is_ascii_alphanumeric()))
        );
        assert!(!alert.summary.ends_with('.') && alert.meaning.ends_with('.'), "{}", alert.name);
        assert!(!alert.look_at.is_empty() && !alert.press.is_empty(), "{} says nothing to do", alert.name);
        assert!(!alert.meaning.contains("  "), "{} has a gap in its text", alert.name);
    }
    assert!(OF_USERS.iter().all(|name| named(name).is_some()));
}

/// A runbook that names a button which is not there is worse than none.
#[test]
fn the_runbook_names_keys_and_sections_of_the_configuration_that_exist() {
    let (sections, keys) = configuration();
    let page = runbook(&ALERTS);
    for quoted in page.split('`').skip(1).step_by(2) {
        if let Some((section, _)) = quoted.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            assert!(sections.contains(section), "there is no section [{section}]");
        }
        let key = quoted.split([' ', '=']).next().unwrap_or(quoted);
        let is_key = key.contains('.') && key.bytes().all(|it| it.is_ascii_alphabetic() || b"._".contains(&it));
        assert!(!is_key || keys.contains(key), "there is no key {key}");
    }
}

/// The sections of the configuration reference, and its keys with their sections.
fn configuration() -> (BTreeSet<String>, BTreeSet<String>) {
    let page = crate::config::reference::markdown();
    let (mut sections, mut keys) = (BTreeSet::new(), BTreeSet::new());
    let mut section = "";
    for line in page.lines() {
        let quoted = |before| line.strip_prefix(before).and_then(|rest: &str| rest.split('`').next());
        if let Some(name) = quoted("## `[") {
            section = name.trim_end_matches(']');
            sections.insert(section.to_owned());
        } else if let Some(name) = quoted("| `") {
            keys.insert(format!("{section}.{name}"));
        }
    }
    (sections, keys)
}

#[test]
fn the_runbook_names_routes_that_exist() {
    // Another test holds that page to the routes.
    let routes = std::fs::read_to_string(root().join("docs/admin.md")).unwrap();
    let page = runbook(&ALERTS);
    for quoted in page.split('`').skip(1).step_by(2) {
        let Some((method, path)) = route(quoted) else { continue };
        let path = path.split('?').next().unwrap_or(path);
        let wanted = format!("`{method} {}`", path.replace("USER", "{user}").replace("SESSION", "{key}"));
        assert!(routes.contains(&wanted), "there is no {wanted}");
    }
}

/// The route that a quoted text is about: `GET /readyz`, or a line for curl.
fn route(quoted: &str) -> Option<(&str, &str)> {
    match quoted.split_once(' ')? {
        (method @ ("GET" | "POST" | "PUT" | "DELETE"), path) => Some((method, path)),
        ("curl", words) => {
            let (words, path) = words.split_once("\"$U").unwrap();
            let body = words.split_once("-d '").map(|(_, body)| body.split('\'').next().unwrap());
            let is_json = |body| serde_json::from_str::<serde_json::Value>(body).is_ok();
            assert!(body.is_none_or(is_json), "{body:?} is no body");
            let ordered = words.split_once("-X ").and_then(|(_, rest)| rest.split(' ').next());
            Some((ordered.unwrap_or(if body.is_some() { "POST" } else { "GET" }), path.trim_end_matches('"')))
        }
        _ => None,
    }
}

#[test]
fn whoever_is_called_for_a_user_is_told_first_how_to_find_him() {
    for name in OF_USERS.into_iter().chain(["LychgateLimitsInSight", "LychgateLockout", "LychgateWrongVerdict"]) {
        let first = named(name).unwrap().look_at[0];
        assert!(first.starts_with("`curl ") && first.contains("who it "), "{name}: {first}");
    }
}

#[test]
fn the_rules_of_prometheus_are_those_of_the_list() {
    is_current("deploy/prometheus/lychgate.rules.yml", &rules(&ALERTS), RENEW_RULES);
}

#[test]
fn the_runbook_is_that_of_the_list() {
    is_current("docs/alerts.md", &runbook(&ALERTS), RENEW_RUNBOOK);
}

#[test]
fn promtool_is_given_the_same_cases() {
    let path = "deploy/prometheus/lychgate.test.yml";
    if std::env::var_os("RENEW_GOLDEN_FILES").is_some() {
        std::fs::write(root().join(path), for_promtool()).unwrap();
    }
    is_current(path, &for_promtool(), RENEW_CASES);
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn is_current(path: &str, made: &str, renew: &str) {
    let committed = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    assert!(committed == made, "{path} is stale; renew it with: {renew}");
}

/// The cases as `promtool test rules` reads them.
fn for_promtool() -> String {
    const INSTANCE: &str = "gateway:8081";
    let mut file = format!("# Made from crates/server/src/telemetry/alerts/tests/cases.rs by: {RENEW_CASES}\n");
    let _ = write!(file, "rule_files:\n  - lychgate.rules.yml\nevaluation_interval: {STEP}s\ntests:\n");
    for case in CASES {
        let _ = write!(
            file,
            "  - name: {}\n    interval: {STEP}s\n    input_series:",
            quoted(&format!("{}: {}", case.alert, case.name))
        );
        file.push_str(if case.series.is_empty() { " []\n" } else { "\n" });
        for (series, values) in case.series {
            let own = format!("job=\"lychgate\",instance=\"{INSTANCE}\"");
            let series = match series.split_once('{') {
                Some((name, labels)) => format!("{name}{{{own},{labels}"),
                None => format!("{series}{{{own}}}"),
            };
            let _ = writeln!(file, "      - series: {}\n        values: {}", quoted(&series), quoted(&values.text()));
        }
        let _ =
            writeln!(file, "    alert_rule_test:\n      - eval_time: {}s\n        alertname: {}", case.at, case.alert);
        let (true, Some(alert)) = (case.fires, named(case.alert)) else {
            continue;
        };
        let _ = write!(
            file,
            "        exp_alerts:\n          - exp_labels:\n              severity: {}\n              job: lychgate\n              \
             instance: {}\n            exp_annotations:\n",
            alert.severity.as_str(),
            quoted(INSTANCE)
        );
        for (name, text) in annotations(alert, INSTANCE) {
            let _ = writeln!(file, "              {name}: {}", quoted(&text));
        }
    }
    file
}
