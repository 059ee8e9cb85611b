use std::collections::{BTreeMap, BTreeSet};

use lychgate_core::{
    AdmissionPath, Census, ConnectionId, Event, EvictReason, Eviction, Evidence, Limits, PingOutcome, ReclaimLevel,
    Refusal, SessionKey, ThreadId, UserId, ZombieKind,
};

use super::spec::{PREFIX, Spec, Values};
use super::*;

mod drawn;

fn key() -> SessionKey {
    SessionKey::new(UserId::parse("ann").unwrap(), ThreadId::parse("t1").unwrap())
}

fn created(path: AdmissionPath, waited: u64, was_full: bool) -> Event {
    Event::SessionCreated {
        key: key(),
        connection: ConnectionId::from_random(1),
        path,
        waited: Duration::from_millis(waited),
        was_full,
    }
}

fn scrape(metrics: &Metrics) -> String {
    metrics.encode(&Population::default())
}

/// Every sample of a scrape: its name, its labels, its value.
fn samples(text: &str) -> Vec<(String, BTreeMap<String, String>, f64)> {
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        let labels = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
            let (name, value) = label.split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('"').to_owned())
        });
        (name.to_owned(), labels.collect(), value.parse().unwrap())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

#[test]
fn a_lockout_was_prevented_where_the_user_was_full_whatever_the_path() {
    let metrics = Metrics::new();
    metrics.on_event(&created(AdmissionPath::Free, 0, false));
    metrics.on_event(&created(AdmissionPath::Free, 800, true));
    metrics.on_event(&created(AdmissionPath::Queue, 800, false));
    metrics.on_event(&created(AdmissionPath::Reclaimed(ReclaimLevel::Aggressive), 1_040, true));
    let text = scrape(&metrics);
    assert!(text.contains("lychgate_lockouts_prevented_total 2\n"), "{text}");
    assert!(text.contains("lychgate_admissions_total{path=\"free\"} 2\n"), "{text}");
    assert!(text.contains("lychgate_admissions_total{path=\"aggressive\"} 1\n"), "{text}");
    assert!(text.contains("lychgate_admission_wait_seconds_bucket{le=\"1.0\",path=\"aggressive\"} 0\n"), "{text}");
    assert!(text.contains("lychgate_admission_wait_seconds_bucket{le=\"1.5\",path=\"aggressive\"} 1\n"), "{text}");
}

#[test]
fn a_refused_open_is_an_admission_that_failed_after_its_time_and_a_refused_connect_is_none() {
    let metrics = Metrics::new();
    let refused = |thread: bool, refusal| Event::Refused {
        user: key().user().clone(),
        connection: ConnectionId::from_random(1),
        thread: thread.then(|| key().thread().clone()),
        refusal,
        waited: Duration::from_secs(8),
    };
    let retry_in = Duration::from_secs(1);
    metrics.on_event(&refused(true, Refusal::NoSlot { retry_in }));
    metrics.on_event(&refused(false, Refusal::Overload { retry_in }));
    metrics.on_event(&refused(false, Refusal::Shed { retry_in }));
    metrics.on_event(&refused(true, Refusal::NotConnected));
    let text = scrape(&metrics);
    assert!(text.contains("lychgate_admissions_total{path=\"refused\"} 1\n"), "{text}");
    assert!(text.contains("lychgate_admission_wait_seconds_sum{path=\"refused\"} 8.0\n"), "{text}");
    for reason in ["no_slot", "overload", "shed", "not_connected"] {
        assert!(text.contains(&format!("lychgate_refusals_total{{reason=\"{reason}\"}} 1\n")), "{text}");
    }
}

#[test]
fn evictions_and_zombies_are_counted_by_level_reason_and_kind_and_those_for_another_node_apart() {
    let metrics = Metrics::new();
    metrics.on_event(&Event::SessionEvicted {
        key: key(),
        reason: EvictReason::MadeRoom,
        eviction: Eviction { level: ReclaimLevel::Force, evidence: Evidence::default() },
        cause: lychgate_core::Cause::OtherNode,
    });
    let (user, connection, kind) = (key().user().clone(), ConnectionId::from_random(1), ZombieKind::HalfOpen);
    let evidence = Evidence { missed_pings: 1, missed_probes: 2, ..Evidence::default() };
    metrics.on_event(&Event::Zombie { user: user.clone(), connection, kind, evidence });
    metrics.on_event(&Event::VerdictDisproved { user, connection, kind });
    let text = scrape(&metrics);
    assert!(text.contains("lychgate_evictions_total{level=\"force\",reason=\"made_room\"} 1\n"), "{text}");
    assert!(text.contains("lychgate_cluster_sessions_taken_total 1\n"), "{text}");
    assert!(text.contains("lychgate_zombies_total{kind=\"half_open\"} 1\n"), "{text}");
    assert!(text.contains("lychgate_verdicts_disproved_total{kind=\"half_open\"} 1\n"), "{text}");
    assert!(text.contains("lychgate_heartbeat_misses_total 3\n"), "{text}");
}

#[test]
fn attempts_successes_and_failures_of_cleanup_are_counted_by_level() {
    let metrics = Metrics::new();
    let (user, connection) = (key().user().clone(), ConnectionId::from_random(1));
    let reclaimed = |level, freed| Event::Reclaimed { user: user.clone(), level, freed };
    metrics.on_event(&reclaimed(ReclaimLevel::Aggressive, 0));
    metrics.on_event(&reclaimed(ReclaimLevel::Aggressive, 3));
    metrics.on_event(&Event::ProbeFailed { user: user.clone(), connection });
    let unconfirmed = |level| Event::CloseUnconfirmed { user: user.clone(), connection, level };
    metrics.on_event(&unconfirmed(Some(ReclaimLevel::Force)));
    metrics.on_event(&unconfirmed(None));
    let text = scrape(&metrics);
    let of = |what: &str, level: &str, count: u64| {
        let line = format!("lychgate_cleanup_{what}_total{{level=\"{level}\"}} {count}\n");
        assert!(text.contains(&line), "{line}{text}");
    };
    of("attempts", "aggressive", 2);
    of("successes", "aggressive", 1);
    of("failures", "aggressive", 1);
    of("failures", "force", 1);
    of("attempts", "moderate", 0);
    assert!(text.contains("lychgate_close_unconfirmed_total 2\n"), "{text}");
}

#[test]
fn an_alert_of_a_user_is_counted_once_although_it_is_told_for_him_and_for_the_node() {
    use crate::telemetry::alerts::{Change, Listener, Severity, State};
    let metrics = Metrics::new();
    let change = |alert, user| Change {
        alert,
        severity: Severity::Info,
        user,
        state: State::Firing,
        value: 1.0,
        since: jiff::Timestamp::UNIX_EPOCH,
    };
    metrics.changed(&change("LychgateUserAt50", UserId::parse("ann").ok()));
    metrics.changed(&change("LychgateUserAt50", None));
    metrics.changed(&change("LychgateLockout", None));
    let text = scrape(&metrics);
    for alert in ["LychgateUserAt50", "LychgateLockout"] {
        let line = format!("lychgate_alerts_total{{alert=\"{alert}\",state=\"firing\"}} 1\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}

#[test]
fn gauges_are_what_was_counted_when_they_were_scraped() {
    let metrics = Metrics::with_agents(["demo", "gpt"]);
    let census = Census {
        sessions: 3,
        lingering: 1,
        connections: 5,
        runs: 2,
        waiting: 4,
        by_pressure: [7, 0, 0, 1, 2],
        open_breakers: 6,
        ..Census::default()
    };
    let population = Population {
        census,
        unidentified: 1,
        load: 0.25,
        is_ready: true,
        is_draining: true,
        journal_trouble: true,
        cluster: ClusterCensus { is_known: false, nodes: 3, leases: 8 },
        agents: vec![("gpt".into(), true)],
        ..Population::default()
    };
    let text = metrics.encode(&population);
    for line in [
        "sessions 3",
        "sessions_lingering 1",
        "connections 5",
        "runs 2",
        "waiters 4",
        "users{band=\"high\"} 1",
        "users{band=\"full\"} 2",
        "breakers_open{scope=\"user\"} 6",
        "breakers_open{scope=\"node\"} 0",
        "unidentified_sockets 1",
        "node_load_ratio 0.25",
        "ready 1",
        "draining 1",
        "journal_trouble 1",
        "cluster_store_known 0",
        "cluster_nodes 3.0",
        "cluster_leases 8",
        "agent_up{agent=\"gpt\"} 1",
        "agent_up{agent=\"demo\"} 0",
    ] {
        assert!(text.contains(&format!("\nlychgate_{line}\n")), "{line} in {text}");
    }
    let text = scrape(&metrics);
    assert!(text.contains("lychgate_cluster_store_known 1\n"), "a node that is alone has nobody to ask: {text}");
    for gauge in ["sessions", "connections", "runs", "unidentified_sockets", "ready", "draining"] {
        assert!(text.contains(&format!("lychgate_{gauge} 0\n")), "{text}");
    }
}

#[test]
fn runs_agents_and_doors_are_counted_by_their_words() {
    let metrics = Metrics::with_agents(["demo"]);
    metrics.on_run(RunOutcome::Finished, Duration::from_secs(3));
    metrics.on_agent_run("demo", AgentOutcome::Timeout);
    metrics.on_first_event("demo", Duration::from_millis(300));
    metrics.on_auth_failure("expired");
    metrics.on_login(true);
    metrics.on_ping(PingOutcome::Queued);
    metrics.set_reaper_lag(Duration::from_millis(250));
    let text = scrape(&metrics);
    for line in [
        "run_seconds_bucket{le=\"5.0\",outcome=\"finished\"} 1",
        "agent_runs_total{agent=\"demo\",outcome=\"timeout\"} 1",
        "agent_first_event_seconds_bucket{le=\"0.5\",agent=\"demo\"} 1",
        "auth_failures_total{reason=\"expired\"} 1",
        "logins_total{outcome=\"done\"} 1",
        "pings_total{outcome=\"queued\"} 1",
        "reaper_lag_seconds 0.25",
    ] {
        assert!(text.contains(&format!("\nlychgate_{line}\n")), "{line} in {text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn every_metric_is_named_once_explained_and_ends_with_its_unit() {
    let names: BTreeSet<_> = METRICS.iter().map(|spec| spec.name).collect();
    assert_eq!(names.len(), METRICS.len());
    for spec in METRICS {
        let Spec { name, help, .. } = spec;
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert!(!help.ends_with('.') && !help.contains(['\n', '|']) && help.len() > 20, "{name}: {help}");
        let has_unit_elsewhere = ["_ms", "_millis", "_kib", "_percent"].iter().any(|unit| name.contains(unit));
        assert!(!has_unit_elsewhere && !name.ends_with("_total"), "{name}");
    }
    let text = scrape(&Metrics::with_agents(["demo"]));
    for spec in METRICS {
        // OpenMetrics tells the kind of a counter without its `_total`.
        let name = format!("{PREFIX}_{}", spec.name);
        assert!(text.contains(&format!("# TYPE {name} {}\n", spec.kind.as_str())), "{name} in {text}");
        assert!(text.contains(&format!("# HELP {name} {}.\n", spec.help)), "{name} in {text}");
        if let Some(unit) = spec.unit() {
            assert!(text.contains(&format!("# UNIT {name} {}\n", unit.as_str())), "{name} in {text}");
        }
    }
}

/// Words that name somebody, or something of somebody's: no label is called so (hazard R25).
const NAMES_OF_IDS: [&str; 12] =
    ["user", "user_id", "thread", "session", "connection", "client", "tab", "run", "request", "key", "address", "id"];

#[test]
fn no_label_can_carry_an_id_because_its_values_are_a_closed_list() {
    for spec in METRICS {
        for label in spec.labels {
            assert!(!NAMES_OF_IDS.contains(&label.name), "{}{{{}}}", spec.name, label.name);
            match label.values {
                Values::Agents => assert_eq!(label.name, "agent"),
                Values::Words(words) => {
                    let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                    assert!(words.iter().all(is_word) && !words.is_empty() && words.len() <= 20, "{words:?}");
                    assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len(), "{words:?}");
                }
            }
        }
    }
}

#[test]
fn a_scrape_has_the_series_of_the_list_from_the_start_and_never_another_one() {
    let metrics = Metrics::with_agents(["demo"]);
    let series =
        |text: &str| samples(text).into_iter().map(|(name, labels, _)| (name, labels)).collect::<BTreeSet<_>>();
    let at_first = series(&scrape(&metrics));
    let user = UserId::parse("somebody-in-particular").unwrap();
    let key = SessionKey::new(user.clone(), ThreadId::parse("thread-in-particular").unwrap());
    let connection = ConnectionId::from_random(0xabc);
    for event in [
        created(AdmissionPath::Reserve, 5, true),
        Event::SessionReleased { key: key.clone(), reason: EvictReason::Left },
        Event::SessionAttached { key: key.clone(), connection, path: AdmissionPath::Attach, waited: Duration::ZERO },
        Event::Waiting { key, connection },
        Event::Pressure { user: user.clone(), usage: Limits::default().usage(20) },
        Event::Disconnected { user: user.clone(), connection, reason: Some(EvictReason::Slow) },
        Event::Refused { user, connection, thread: None, refusal: Refusal::NotConnected, waited: Duration::ZERO },
    ] {
        metrics.on_event(&event);
    }
    let text = scrape(&metrics);
    assert_eq!(series(&text), at_first);
    assert!(!text.contains("in-particular") && !text.contains(&connection.to_string()), "{text}");
    let known: BTreeMap<_, _> = METRICS.iter().flat_map(Spec::samples).collect();
    for (name, labels) in at_first {
        let of_list: BTreeSet<_> = known[&name].iter().copied().collect();
        assert_eq!(labels.keys().map(String::as_str).collect::<BTreeSet<_>>(), of_list, "{name}");
    }
}

#[test]
#[should_panic(expected = "has no series")]
fn a_word_that_is_not_in_the_list_is_counted_nowhere_and_is_a_defect() {
    Metrics::new().on_auth_failure("somebody-in-particular");
}

#[test]
fn the_page_of_metrics_is_what_the_list_says() {
    let page = include_str!("../../../../../docs/metrics.md");
    assert!(page == reference::markdown(), "docs/metrics.md is stale; renew it with: {}", reference::RENEW);
}
