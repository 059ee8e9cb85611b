//! What a scrape of a running gateway says, and what it never says.

use std::collections::BTreeSet;
use std::time::Duration;

use lychgate::telemetry::metrics::METRICS;
use lychgate::telemetry::metrics::spec::{PREFIX, Values};
use serde_json::json;

use crate::gateway::{Call, Gateway, soon};

/// Ids that look like ids, so that a part of one is found as well.
const USERS: usize = 12;
const THREADS: usize = 4;

fn user(n: usize) -> String {
    format!("105945141827451{n:06}")
}

/// Everything between quotes: the values of all labels.
fn values(scrape: &str) -> BTreeSet<&str> {
    let samples = scrape.lines().filter(|line| !line.starts_with('#'));
    samples.flat_map(|line| line.split('"').skip(1).step_by(2)).collect()
}

#[tokio::test]
async fn no_scrape_names_a_user_a_thread_a_session_or_a_connection() {
    let gateway = Gateway::start(&["limits.max_sessions_per_user = 3", "limits.reserve_sessions = 0"]).await;
    let mut ids = BTreeSet::new();
    let mut clients = Vec::new();
    for n in 0..USERS {
        let mut client = gateway.connect(&user(n)).await;
        ids.insert(user(n));
        ids.insert(client.hello["connection"].as_str().unwrap().to_owned());
        for m in 0..THREADS {
            let thread = format!("thread-in-particular-{n}-{m}");
            client.say(json!({"type": "open", "thread": thread})).await;
            // The fourth one climbs the ladder, and costs the user the session that he used longest ago.
            while client.expect_one_of(&["opened", "closed"]).await["type"] == "closed" {}
            ids.insert(thread);
        }
        let run = format!("run-in-particular-{n}");
        client.ask(&format!("thread-in-particular-{n}-3"), &run, "a message in particular").await;
        ids.extend([run, "a message in particular".to_owned()]);
        client.say(json!({"type": "open", "thread": "x".repeat(1_000)})).await;
        client.expect("error").await;
        clients.push(client);
    }
    let _stranger = Call::with_token("a token in particular").dial(&gateway).await;
    ids.insert("in particular".to_owned());
    clients.drain(..USERS / 2).for_each(drop);
    // Leaving and lingering have their metrics, too.
    soon(async { while gateway.metric("lychgate_connections").await > (USERS / 2) as f64 {} }).await;
    let (status, scrape) = gateway.get("/metrics").await;
    assert_eq!(status, 200);
    for id in &ids {
        assert!(!scrape.contains(id.as_str()), "{id} stands in a scrape");
    }
    let agents = ["demo"];
    let known: BTreeSet<&str> = METRICS
        .iter()
        .flat_map(|spec| spec.labels)
        .flat_map(|label| match label.values {
            Values::Words(words) => words,
            Values::Agents => &agents,
        })
        .copied()
        .collect();
    let strange: Vec<_> =
        values(&scrape).into_iter().filter(|value| !known.contains(value) && value.parse::<f64>().is_err()).collect();
    assert_eq!(strange, [""; 0], "labels have words of the list alone, and bounds of buckets");
    let names: BTreeSet<_> = METRICS.iter().flat_map(|spec| spec.samples()).map(|(name, _)| name).collect();
    for line in scrape.lines().filter(|line| !line.starts_with('#')) {
        let name = &line[..line.find(['{', ' ']).unwrap()];
        assert!(names.contains(name) && name.starts_with(PREFIX), "{name}");
    }
}

#[tokio::test]
async fn a_user_at_his_limit_is_counted_as_one_lockout_for_each_session_that_he_gets() {
    let gateway = Gateway::start(&["limits.max_sessions_per_user = 3", "limits.reserve_sessions = 0"]).await;
    let mut client = gateway.connect("ann").await;
    for n in 0..8 {
        client.say(json!({"type": "open", "thread": format!("t{n}")})).await;
        while client.expect_one_of(&["opened", "closed"]).await["type"] == "closed" {}
    }
    // Attached, at the limit.
    client.open("t7").await;
    assert_eq!(gateway.metric("lychgate_lockouts_prevented_total").await, 5.0);
    assert_eq!(gateway.metric("lychgate_admissions_total").await, 9.0);
    assert_eq!(gateway.metric(r#"lychgate_users{band="full"}"#).await, 1.0);
    assert_eq!(gateway.metric(r#"lychgate_cleanup_successes_total{level="force"}"#).await, 5.0);
    assert_eq!(gateway.metric("lychgate_verdicts_disproved_total").await, 0.0);
}

#[tokio::test]
async fn runs_agents_and_journal_are_timed_and_the_node_says_how_it_is() {
    let gateway = Gateway::start(&[]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.ask("t1", "r1", "hello").await;
    gateway.metric_becomes("lychgate_run_seconds_count", |count| count == 1.0).await;
    assert_eq!(gateway.metric(r#"lychgate_run_seconds_count{outcome="finished"}"#).await, 1.0);
    assert_eq!(gateway.metric(r#"lychgate_agent_runs_total{agent="demo",outcome="done"}"#).await, 1.0);
    assert_eq!(gateway.metric(r#"lychgate_agent_first_event_seconds_count{agent="demo"}"#).await, 1.0);
    assert_eq!(gateway.metric(r#"lychgate_agent_up{agent="demo"}"#).await, 1.0);
    assert!(gateway.metric(r#"lychgate_journal_appends_total{outcome="done"}"#).await >= 2.0);
    assert!(gateway.metric("lychgate_journal_append_seconds_count").await >= 2.0);
    assert!(gateway.metric("lychgate_journal_bytes").await > 0.0);
    assert_eq!(gateway.metric("lychgate_journal_trouble").await, 0.0);
    assert_eq!(gateway.metric("lychgate_ready").await, 1.0);
    let load = gateway.metric("lychgate_node_load_ratio").await;
    assert!(load > 0.0 && load < 0.5, "{load}");
    let started = Duration::from_secs_f64(gateway.metric("lychgate_process_start_time_seconds").await);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(now.abs_diff(started) < Duration::from_secs(3_600), "{started:?} {now:?}");
}
