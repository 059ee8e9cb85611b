//! Reports as webhooks want them: our own JSON, a text for Slack, events for PagerDuty.

use serde_json::{Value, json};

use super::State;
use super::desk::Report;
use crate::config::WebhookKind;

/// Users that a message names; the others are counted.
const NAMED: usize = 20;

/// The bodies to post, one after the other, each with the reports that it tells; none where there is nothing to post for
/// them.
pub(super) fn messages(kind: &WebhookKind, node: &str, reports: Vec<Report>) -> Vec<(Option<Value>, Vec<Report>)> {
    if reports.is_empty() {
        return Vec::new();
    }
    match kind {
        WebhookKind::Generic => {
            let alerts: Vec<Value> = reports.iter().map(generic).collect();
            let body = json!({ "version": 1, "node": node, "text": text(node, &reports), "alerts": alerts });
            vec![(Some(body), reports)]
        }
        WebhookKind::Slack => vec![(Some(json!({ "text": escaped(&text(node, &reports)) })), reports)],
        WebhookKind::PagerDuty { routing_key } => {
            // One incident for each alert: it is not over while it fires for anybody.
            let is_event = |report: &Report| report.state == State::Firing || report.firing == 0;
            let event = |report: Report| {
                let body = is_event(&report).then(|| pagerduty(routing_key, node, &report));
                (body, vec![report])
            };
            reports.into_iter().map(event).collect()
        }
    }
}

/// One line for each report, for people.
fn text(node: &str, reports: &[Report]) -> String {
    let lines = reports.iter().map(|report| {
        let Report { alert, state, .. } = report;
        let state = match state {
            State::Firing => alert.severity.as_str(),
            State::Resolved => "resolved",
        };
        let whom = whom(report).map_or_else(String::new, |whom| format!(": {whom}"));
        format!("[{state}] {} on {node}: {}{whom} ({})", alert.name, alert.summary, alert.runbook())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `3 users: ann, bob, eve`, and how many more.
fn whom(report: &Report) -> Option<String> {
    let users = report.users();
    let count = users.len();
    let named = users.take(NAMED).map(|user| user.as_str()).collect::<Vec<_>>().join(", ");
    match count {
        0 => None,
        1 => Some(format!("user {named}")),
        count if count <= NAMED => Some(format!("{count} users: {named}")),
        count => Some(format!("{count} users: {named} and {} more", count - NAMED)),
    }
}

fn generic(report: &Report) -> Value {
    let Report { alert, state, value, since, .. } = report;
    json!({
        "alert": alert.name,
        "state": state.as_str(),
        "severity": alert.severity.as_str(),
        "summary": alert.summary,
        "value": value,
        "since": since.to_string(),
        "runbook": alert.runbook(),
        "users": users(report),
    })
}

fn users(report: &Report) -> Option<Value> {
    let users = report.users();
    let named: Vec<&str> = users.clone().take(NAMED).map(|user| user.as_str()).collect();
    (users.len() > 0).then(|| json!({ "count": users.len(), "named": named }))
}

fn pagerduty(routing_key: &str, node: &str, report: &Report) -> Value {
    let alert = report.alert;
    let key = format!("lychgate/{node}/{}", alert.name);
    match report.state {
        State::Resolved => json!({ "routing_key": routing_key, "event_action": "resolve", "dedup_key": key }),
        State::Firing => {
            let details = json!({
                "meaning": alert.meaning,
                "runbook": alert.runbook(),
                "value": report.value,
                "firing_for": report.firing,
                "users": users(report),
            });
            let payload = json!({
                "summary": format!("{}: {}", alert.name, alert.summary),
                "source": node,
                "severity": alert.severity.as_str(),
                "timestamp": report.since.to_string(),
                "component": "lychgate",
                "custom_details": details,
            });
            json!({ "routing_key": routing_key, "event_action": "trigger", "dedup_key": key, "payload": payload })
        }
    }
}

/// Slack reads three signs as its own; a user id may hold them, and must not become a link or call everybody.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use lychgate_core::UserId;

    use super::super::catalogue::named;
    use super::*;

    fn report(state: State, users: usize, firing: usize) -> Report {
        let about = match users {
            0 => vec![None],
            users => (0..users).map(|n| UserId::parse(&format!("<u{n:03}>")).ok()).collect(),
        };
        let alert = named("LychgateUserAt50").unwrap();
        Report { alert, state, value: 0.5, since: jiff::Timestamp::UNIX_EPOCH, about, firing }
    }

    fn bodies(kind: &WebhookKind, reports: Vec<Report>) -> Vec<Value> {
        messages(kind, "n1", reports).into_iter().filter_map(|(body, _)| body).collect()
    }

    #[test]
    fn a_crowd_is_counted_and_twenty_are_named() {
        let bodies = bodies(&WebhookKind::Generic, vec![report(State::Firing, 500, 500)]);
        assert_eq!(bodies.len(), 1);
        let users = &bodies[0]["alerts"][0]["users"];
        assert_eq!((&users["count"], users["named"].as_array().unwrap().len()), (&json!(500), NAMED));
        assert!(bodies[0]["text"].as_str().unwrap().contains("500 users: <u000>, "));
        assert!(bodies[0]["text"].as_str().unwrap().contains("and 480 more"));
    }

    #[test]
    fn the_words_of_a_message_are_those_of_the_page_that_describes_it() {
        let bodies = bodies(&WebhookKind::Generic, vec![report(State::Firing, 0, 1)]);
        let page = include_str!("runbook.md");
        for word in bodies[0].as_object().unwrap().keys().chain(bodies[0]["alerts"][0].as_object().unwrap().keys()) {
            assert!(page.contains(&format!("\"{word}\"")), "{word}");
        }
        assert_eq!(bodies[0]["alerts"][0]["users"], Value::Null);
    }

    #[test]
    fn a_user_cannot_put_a_link_or_a_call_to_everybody_into_slack() {
        let bodies = bodies(&WebhookKind::Slack, vec![report(State::Firing, 1, 1), report(State::Resolved, 1, 0)]);
        let text = bodies[0]["text"].as_str().unwrap();
        assert!(!text.contains('<') && text.contains("&lt;u000&gt;") && text.lines().count() == 2, "{text}");
    }

    #[test]
    fn one_incident_is_open_while_anybody_is_concerned() {
        let kind = WebhookKind::PagerDuty { routing_key: "key".to_owned() };
        let reports = vec![report(State::Firing, 3, 3), report(State::Resolved, 1, 2), report(State::Resolved, 2, 0)];
        assert_eq!(messages(&kind, "n1", reports.clone()).len(), 3, "each is settled");
        let bodies = bodies(&kind, reports);
        let actions: Vec<_> = bodies.iter().map(|body| body["event_action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["trigger", "resolve"]);
        assert!(bodies.iter().all(|body| body["dedup_key"] == "lychgate/n1/LychgateUserAt50"));
        assert!(bodies.iter().all(|body| body["routing_key"] == "key"));
    }

    #[test]
    fn a_value_that_is_not_there_is_null() {
        let report = Report { value: f64::NAN, ..report(State::Resolved, 0, 0) };
        assert_eq!(generic(&report)["value"], Value::Null);
    }
}
