use lychgate_core::{ConnectionId, Evidence, Limits, SessionKey, ThreadId, UserId};

use super::*;

fn key() -> SessionKey {
    SessionKey::new(UserId::parse("ann").unwrap(), ThreadId::parse("t1").unwrap())
}

fn created(path: AdmissionPath, waited: u64) -> Event {
    Event::SessionCreated {
        key: key(),
        connection: ConnectionId::from_random(1),
        path,
        waited: Duration::from_millis(waited),
    }
}

#[test]
fn an_admission_by_reclaim_is_a_lockout_that_was_prevented() {
    let metrics = Metrics::new();
    metrics.on_event(&created(AdmissionPath::Free, 0));
    metrics.on_event(&created(AdmissionPath::Reclaimed(ReclaimLevel::Aggressive), 1_040));
    let text = metrics.encode(Population::default());
    assert!(text.contains("lychgate_lockouts_prevented_total 1\n"), "{text}");
    assert!(text.contains("lychgate_admissions_total{path=\"free\"} 1\n"), "{text}");
    assert!(text.contains("lychgate_admissions_total{path=\"aggressive\"} 1\n"), "{text}");
    assert!(text.contains("lychgate_admission_wait_seconds_bucket{le=\"1.0\",path=\"aggressive\"} 0\n"), "{text}");
    assert!(text.contains("lychgate_admission_wait_seconds_bucket{le=\"1.5\",path=\"aggressive\"} 1\n"), "{text}");
}

#[test]
fn evictions_and_zombies_are_counted_by_level_reason_and_kind() {
    let metrics = Metrics::new();
    metrics.on_event(&Event::SessionEvicted {
        key: key(),
        reason: EvictReason::MadeRoom,
        eviction: lychgate_core::Eviction { level: ReclaimLevel::Force, evidence: Evidence::default() },
    });
    metrics.on_event(&Event::Zombie {
        user: key().user().clone(),
        connection: ConnectionId::from_random(1),
        kind: ZombieKind::HalfOpen,
        evidence: Evidence { missed_pings: 1, missed_probes: 2, ..Evidence::default() },
    });
    let text = metrics.encode(Population::default());
    assert!(text.contains("lychgate_evictions_total{level=\"force\",reason=\"made_room\"} 1\n"), "{text}");
    assert!(text.contains("lychgate_zombies_total{kind=\"half_open\"} 1\n"), "{text}");
    assert!(text.contains("lychgate_heartbeat_misses_total 3\n"), "{text}");
}

#[test]
fn gauges_are_what_was_counted_when_they_were_scraped() {
    let metrics = Metrics::new();
    let population = Population {
        sessions: 3,
        connections: 5,
        runs: 2,
        unidentified: 1,
        explained_bytes: 900,
        explained_dropped: 4,
        ..Population::default()
    };
    assert!(metrics.encode(population).contains("lychgate_sessions 3\n"));
    let text = metrics.encode(Population::default());
    for gauge in ["sessions", "connections", "runs", "unidentified_sockets"] {
        assert!(text.contains(&format!("lychgate_{gauge} 0\n")), "{text}");
    }
}

#[test]
fn every_metric_is_named_explained_and_ends_the_scrape_properly() {
    let metrics = Metrics::new();
    metrics.set_reaper_lag(Duration::from_millis(250));
    let text = metrics.encode(Population::default());
    assert!(text.contains("lychgate_reaper_lag_seconds 0.25\n"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let helps: Vec<&str> = text.lines().filter(|line| line.starts_with("# HELP")).collect();
    assert!(text.contains("lychgate_admissions_total{path=\"force\"} 0\n"), "{text}");
    assert!(types.len() >= 14 && types.len() == helps.len(), "{text}");
}

#[test]
fn no_metric_names_a_user_or_a_thread() {
    let metrics = Metrics::new();
    let user = UserId::parse("somebody-in-particular").unwrap();
    let key = SessionKey::new(user.clone(), ThreadId::parse("thread-in-particular").unwrap());
    let connection = ConnectionId::from_random(0xabc);
    for event in [
        Event::SessionReleased { key: key.clone(), reason: EvictReason::Left },
        Event::SessionAttached { key: key.clone(), connection, path: AdmissionPath::Attach },
        Event::Waiting { key, connection },
        Event::Pressure { user: user.clone(), usage: Limits::default().usage(20) },
        Event::Disconnected { user: user.clone(), connection, reason: Some(EvictReason::Slow) },
        Event::Refused { user, connection, thread: None, refusal: Refusal::NotConnected },
    ] {
        metrics.on_event(&event);
    }
    let text = metrics.encode(Population::default());
    assert!(!text.contains("in-particular") && !text.contains(&connection.to_string()), "{text}");
    assert!(text.contains("lychgate_refusals_total{reason=\"not_connected\"} 1\n"), "{text}");
}
