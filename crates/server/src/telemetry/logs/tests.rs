use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lychgate_core::{
    Backlog, BreakerState, ConnectionId, EvictReason, Eviction, Limits, ReclaimLevel, ReclaimStep, ThreadId, UserId,
    ZombieKind,
};
use serde_json::Value;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(level: &str, events: &[Event]) -> Vec<Value> {
    let lines = Lines::default();
    let config = Log { format: LogFormat::Json, level: level.to_owned() };
    let writer = lines.clone();
    let subscriber = subscriber(&config, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || events.iter().for_each(event));
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn key() -> SessionKey {
    let user = UserId::parse("org:105945141827451681156").unwrap();
    SessionKey::new(user, ThreadId::parse("t1").unwrap())
}

fn every_event() -> Vec<Event> {
    let (key, connection) = (key(), ConnectionId::from_random(7));
    let user = key.user().clone();
    let evidence = Evidence {
        missed_pings: 1,
        missed_probes: 2,
        silent_for: Duration::from_secs(61),
        blocked_for: Some(Duration::from_secs(31)),
        backlog: Backlog { queued_bytes: 700, unacked_for: None },
        ..Evidence::default()
    };
    vec![
        Event::SessionCreated {
            key: key.clone(),
            connection,
            path: AdmissionPath::Reclaimed(ReclaimLevel::Aggressive),
            waited: Duration::from_millis(1_040),
            was_full: true,
        },
        Event::SessionAttached { key: key.clone(), connection, path: AdmissionPath::Attach, waited: Duration::ZERO },
        Event::SessionLingers { key: key.clone() },
        Event::SessionReleased { key: key.clone(), reason: EvictReason::Left },
        Event::SessionEvicted {
            key: key.clone(),
            reason: EvictReason::MadeRoom,
            eviction: Eviction { level: ReclaimLevel::Force, evidence },
        },
        Event::WouldEvict { key: key.clone(), eviction: Eviction { level: ReclaimLevel::Force, evidence } },
        Event::WouldWait { key: key.clone() },
        Event::Queued { key: key.clone(), position: 2 },
        Event::Waiting { key: key.clone(), connection },
        Event::Connected { user: user.clone(), connection, superseded: Some(ConnectionId::from_random(6)) },
        Event::Disconnected { user: user.clone(), connection, reason: None },
        Event::Zombie { user: user.clone(), connection, kind: ZombieKind::HalfOpen, evidence },
        Event::Pressure { user: user.clone(), usage: Limits::default().usage(10) },
        Event::Refused {
            user: user.clone(),
            connection,
            thread: None,
            refusal: Refusal::Overload { retry_in: Duration::from_secs(5) },
            waited: Duration::ZERO,
        },
        Event::Breaker { user: Some(user.clone()), step: ReclaimStep::Probe, state: BreakerState::Open },
        Event::Repaired { user: user.clone(), broken: "one thread holds two slots" },
        Event::CloseUnconfirmed { user, connection, level: None },
    ]
}

#[test]
fn every_event_of_the_gate_is_one_line_that_names_its_user() {
    let events = every_event();
    let lines = logged("debug", &events);
    assert_eq!(lines.len(), events.len());
    for line in lines {
        assert_eq!(line["fields"]["user"], "org:105945141827451681156", "{line}");
    }
}

#[test]
fn a_line_about_a_session_carries_the_one_isolation_key() {
    let lines = logged("debug", &every_event());
    for line in &lines[..9] {
        assert_eq!(line["fields"]["thread"], "t1", "{line}");
        assert_eq!(line["fields"]["isolation_key"], "org%3A105945141827451681156:t1", "{line}");
    }
}

#[test]
fn an_eviction_says_level_reason_and_evidence() {
    let line = &logged("info", &every_event()[4..5])[0];
    assert_eq!(line["fields"]["level"], "force");
    assert_eq!(line["fields"]["reason"], "made_room");
    let evidence = "missed_pings=1 missed_probes=2 silent_ms=61000 blocked_ms=31000 queued_bytes=700";
    assert_eq!(line["fields"]["evidence"], evidence);
}

#[test]
fn only_what_is_our_own_fault_wakes_somebody() {
    let lines = logged("warn", &every_event());
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["WARN", "WARN", "ERROR"]);
    assert_eq!(lines[0]["fields"]["reason"], "overload");
    assert_eq!(lines[1]["fields"]["state"], "open");
    assert_eq!(lines[2]["fields"]["broken"], "one thread holds two slots");
}

#[test]
fn text_lines_have_no_colour_codes() {
    let lines = Lines::default();
    let writer = lines.clone();
    let config = Log { format: LogFormat::Text, level: "info".to_owned() };
    let subscriber = subscriber(&config, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || event(&every_event()[0]));
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("isolation_key=org%3A105945141827451681156:t1"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}
