//! The list of alerts as Prometheus wants it, and as people do: a file of rules and the runbook.

use std::fmt::Write;

use super::catalogue::Alert;
use super::condition::Promql;

/// How the rules are renewed.
pub const RENEW_RULES: &str = "cargo run -q -p lychgate -- alerts --rules > deploy/prometheus/lychgate.rules.yml";

/// How the runbook is renewed.
pub const RENEW_RUNBOOK: &str = "cargo run -q -p lychgate -- alerts --runbook > docs/alerts.md";

/// `deploy/prometheus/lychgate.rules.yml`: one rule for each alert, evaluated for each gateway by itself.
#[must_use]
pub fn rules(alerts: &[Alert]) -> String {
    let mut file = format!("# Made from crates/server/src/telemetry/alerts/catalogue.rs by: {RENEW_RULES}\n");
    file.push_str("groups:\n  - name: lychgate\n    rules:\n");
    for alert in alerts {
        let _ = writeln!(file, "      - alert: {}", alert.name);
        let _ = writeln!(file, "        expr: {}", quoted(&alert.condition.to_string()));
        if !alert.holds_for.is_zero() {
            let _ = writeln!(file, "        for: {}", Promql(alert.holds_for));
        }
        let _ = writeln!(file, "        labels:\n          severity: {}", alert.severity.as_str());
        file.push_str("        annotations:\n");
        for (name, text) in annotations(alert, "{{ $labels.instance }}") {
            let _ = writeln!(file, "          {name}: {}", quoted(&text));
        }
    }
    file
}

/// What is told with an alert that fires on this instance.
pub(super) fn annotations(alert: &Alert, instance: &str) -> [(&'static str, String); 3] {
    [
        ("summary", format!("{} ({instance})", alert.summary)),
        ("description", alert.meaning.to_owned()),
        ("runbook_url", alert.runbook()),
    ]
}

/// A string of JSON is one of YAML.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `docs/alerts.md`: a section for each alert.
#[must_use]
pub fn runbook(alerts: &[Alert]) -> String {
    let mut page = format!("# Alerts\n\n<!-- Made from crates/server/src/telemetry/alerts by: {RENEW_RUNBOOK} -->\n\n");
    page.push_str(include_str!("runbook.md"));
    page.push_str("\n| alert | severity | fires when | for |\n|---|---|---|---|\n");
    for alert in alerts {
        let (name, anchor) = (alert.name, alert.name.to_ascii_lowercase());
        let holds_for = match alert.holds_for {
            it if it.is_zero() => "at once".to_owned(),
            it => Promql(it).to_string(),
        };
        let severity = alert.severity.as_str();
        let summary = alert.summary;
        let _ = writeln!(page, "| [{name}](#{anchor}) | {severity} | {summary} | {holds_for} |");
    }
    for alert in alerts {
        let _ = write!(page, "\n## {}\n\n{}. {}\n\n", alert.name, alert.summary, alert.meaning);
        let _ = write!(page, "```promql\n{}\n```\n", alert.condition);
        list(&mut page, "Look at", alert.look_at);
        list(&mut page, "Press", alert.press);
    }
    page
}

fn list(page: &mut String, title: &str, items: &[&str]) {
    let _ = write!(page, "\n{title}\n\n");
    for item in items {
        let _ = writeln!(page, "- {item}");
    }
}
