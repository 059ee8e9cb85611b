//! The dashboard: made anew, as Grafana wants it, and of nothing but metrics that are there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::telemetry::metrics::spec::Spec;
use crate::telemetry::metrics::{METRICS, dashboard};

const FILE: &str = include_str!("../../../../../../deploy/grafana/lychgate.json");

#[test]
fn dates_bytes_and_processors_are_drawn_in_their_units() {
    let board: Value = serde_json::from_str(FILE).unwrap();
    let panels = board["panels"].as_array().unwrap();
    for (title, query, unit) in [
        ("Process start time", "lychgate_process_start_time_seconds{HERE} * 1000", "dateTimeAsIso"),
        ("Bytes sent, per second", "sum (rate(lychgate_bytes_sent_total{HERE}[$__rate_interval]))", "Bps"),
        (
            "Process cpu, of one processor",
            "sum (rate(lychgate_process_cpu_seconds_total{HERE}[$__rate_interval]))",
            "percentunit",
        ),
        ("Explain dropped users, since the start", "sum (lychgate_explain_dropped_users{HERE})", "short"),
    ] {
        let panel = panels.iter().find(|it| it["title"] == title).unwrap_or_else(|| panic!("there is no {title}"));
        let query = query.replace("HERE", r#"job=~"$job",instance=~"$instance""#);
        assert_eq!(panel["targets"][0]["expr"], query.as_str());
        assert_eq!(panel["fieldConfig"]["defaults"]["unit"], unit, "{title}");
    }
}

/// Functions and keywords that our queries use.
const LANGUAGE: [&str; 9] =
    ["sum", "by", "rate", "increase", "histogram_quantile", "label_values", "max", "without", "avg"];

/// What every scraped series has beside its own labels.
const OF_TARGETS: [&str; 2] = ["job", "instance"];

/// What a query asks for that no scrape has, in words; nothing where all is well.
fn strange(query: &str) -> Vec<String> {
    let known: BTreeMap<String, Vec<&str>> = METRICS.iter().flat_map(Spec::samples).collect();
    let mut strange = Vec::new();
    let mut asked: Vec<&str> = Vec::new();
    let mut grouped: Vec<&str> = Vec::new();
    let mut rest = query;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '[' | '{' | '"')) {
        rest = &rest[at..];
        match rest.as_bytes()[0] {
            // A range, such as [5m] or [$__rate_interval]; a text.
            b'[' => rest = rest.split_once(']').map_or("", |(_, after)| after),
            b'"' => rest = rest[1..].split_once('"').map_or("", |(_, after)| after),
            b'{' => {
                let (matchers, after) = rest[1..].split_once('}').unwrap_or((&rest[1..], ""));
                let names = matchers.split(',').filter_map(|it| it.split(['=', '!']).next()).map(str::trim);
                let of = asked.last().and_then(|name| known.get(*name));
                for name in names.filter(|name| !OF_TARGETS.contains(name)) {
                    if !of.is_some_and(|labels| labels.contains(&name)) {
                        strange.push(format!("label {name} of {asked:?}"));
                    }
                }
                rest = after;
            }
            _ => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                match (LANGUAGE.contains(&word), after.trim_start().starts_with('(')) {
                    (true, true) if matches!(word, "by" | "without") => {
                        let (labels, after) = after.trim_start()[1..].split_once(')').unwrap_or_default();
                        grouped.extend(labels.split(',').map(str::trim));
                        rest = after;
                        continue;
                    }
                    (true, _) => {}
                    (false, true) => strange.push(format!("function {word}")),
                    (false, false) if known.contains_key(word) => asked.push(word),
                    // The second argument of `label_values`.
                    (false, false) if query.starts_with("label_values") && OF_TARGETS.contains(&word) => {}
                    (false, false) => strange.push(format!("metric {word}")),
                }
                rest = after;
            }
        }
    }
    let of_asked = |label: &&str| asked.iter().any(|name| known[*name].contains(label)) || OF_TARGETS.contains(label);
    strange.extend(grouped.iter().filter(|label| !of_asked(label)).map(|label| format!("by {label}")));
    if asked.is_empty() {
        strange.push("nothing is asked for".to_owned());
    }
    strange
}

fn board() -> Value {
    serde_json::from_str(FILE).unwrap()
}

fn drawn(board: &Value) -> Vec<&Value> {
    board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

fn queries(panel: &Value) -> Vec<&str> {
    panel["targets"].as_array().unwrap().iter().map(|target| target["expr"].as_str().unwrap()).collect()
}

#[test]
fn the_file_is_what_the_list_draws() {
    assert!(FILE == dashboard::json(), "deploy/grafana/lychgate.json is stale; renew it with: {}", dashboard::RENEW);
}

#[test]
fn no_panel_asks_for_a_metric_or_a_label_that_does_not_exist() {
    let board = board();
    for panel in drawn(&board) {
        for query in queries(panel) {
            assert_eq!(strange(query), [""; 0], "{}: {query}", panel["title"]);
        }
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        assert_eq!(strange(variable["query"]["query"].as_str().unwrap()), [""; 0], "{variable}");
    }
}

#[test]
fn a_panel_that_asks_for_what_is_not_there_is_found() {
    let is_found = |query: &str, what: &str| assert_eq!(strange(query)[0], what, "{query}");
    is_found("sum(rate(lychgate_lockouts_total[5m]))", "metric lychgate_lockouts_total");
    // A counter without its ending, and a histogram without one.
    is_found("rate(lychgate_admissions{path=\"free\"}[5m]) / lychgate_sessions", "metric lychgate_admissions");
    is_found("lychgate_run_seconds + lychgate_runs", "metric lychgate_run_seconds");
    is_found("lychgate_users{user=\"ann\"}", "label user of [\"lychgate_users\"]");
    is_found("sum by (thread) (lychgate_sessions)", "by thread");
    is_found("quantile_of(lychgate_sessions)", "function quantile_of");
}

#[test]
fn every_metric_is_drawn() {
    let board = board();
    let all: String = drawn(&board).into_iter().flat_map(queries).collect();
    for spec in METRICS {
        assert!(all.contains(&spec.full_name()), "{}", spec.full_name());
    }
}

/// Grafana's model is published as types of TypeScript alone (`Dashboard` of @grafana/schema 13.2.3, which this file satisfies);
/// this is what an import needs of it, by <https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/>.
#[test]
fn grafana_can_import_it() {
    let board = board();
    for key in ["title", "uid", "description", "refresh", "timezone"] {
        assert!(board[key].is_string(), "{key}");
    }
    assert!(board["schemaVersion"].as_u64().is_some_and(|version| version >= 36));
    assert!(board["uid"].as_str().unwrap().len() <= 40);
    assert_eq!(board["id"], Value::Null, "the importing Grafana gives it one");
    assert_eq!(board["__inputs"][0]["type"], "datasource");
    let input = format!("${{{}}}", board["__inputs"][0]["name"].as_str().unwrap());
    let mut ids = BTreeSet::new();
    for panel in board["panels"].as_array().unwrap() {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
    }
    let required: BTreeSet<_> =
        board["__requires"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    for panel in drawn(&board) {
        let title = &panel["title"];
        assert!(required.contains(panel["type"].as_str().unwrap()), "{title}");
        assert!(panel["description"].as_str().is_some_and(|said| said.ends_with('.')), "{title}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
        assert_eq!(panel["datasource"]["uid"], input.as_str(), "{title}");
        let targets = panel["targets"].as_array().unwrap();
        let names: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert!(!targets.is_empty() && names.len() == targets.len(), "{title}");
        assert!(targets.iter().all(|target| target["datasource"]["uid"] == input.as_str()), "{title}");
    }
}

#[test]
fn no_panel_lies_over_another_one_or_beside_the_grid() {
    let board = board();
    let mut taken = BTreeSet::new();
    for panel in board["panels"].as_array().unwrap() {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{}", panel["title"]);
        for place in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
            assert!(taken.insert(place), "{} at {place:?}", panel["title"]);
        }
    }
}
