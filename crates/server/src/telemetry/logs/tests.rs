use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lychgate_core::{
    AdmissionPath, Backlog, BreakerState, ConnectionId, Event, EvictReason, Eviction, Evidence, Limits, ReclaimLevel,
    ReclaimStep, Refusal, RunId, SessionKey, ThreadId, UserId, ZombieKind,
};
use serde_json::Value;

use super::*;
use crate::telemetry::traces::{Context, naming};

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

/// What is written while `write` runs.
fn written(format: LogFormat, level: &str, write: impl FnOnce()) -> String {
    let lines = Lines::default();
    let gcp_project = Some("my-project".to_owned());
    let config = Log { format, level: level.to_owned(), gcp_project, ..Log::default() };
    let writer = lines.clone();
    let subscriber = subscriber(&config, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, write);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn parsed(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn logged(level: &str, events: &[Event]) -> Vec<Value> {
    parsed(&written(LogFormat::Json, level, || events.iter().for_each(event)))
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
        Event::SessionAttached { key: key.clone(), connection, path: AdmissionPath::Takeover, waited: Duration::ZERO },
        Event::SessionLingers { key: key.clone() },
        Event::SessionReleased { key: key.clone(), reason: EvictReason::Left },
        Event::SessionEvicted {
            key: key.clone(),
            reason: EvictReason::MadeRoom,
            eviction: Eviction { level: ReclaimLevel::Force, evidence },
            cause: lychgate_core::Cause::Pressure,
        },
        Event::WouldEvict { key: key.clone(), eviction: Eviction { level: ReclaimLevel::Force, evidence } },
        Event::WouldWait { key: key.clone() },
        Event::Queued { key: key.clone(), position: 2 },
        Event::Waiting { key: key.clone(), connection },
        Event::Connected { user: user.clone(), connection, superseded: None },
        Event::Connected { user: user.clone(), connection, superseded: Some(ConnectionId::from_random(6)) },
        Event::Disconnected { user: user.clone(), connection, reason: None },
        Event::Zombie { user: user.clone(), connection, kind: ZombieKind::HalfOpen, evidence },
        Event::Pressure { user: user.clone(), usage: Limits::default().usage(10) },
        Event::Refused {
            user: user.clone(),
            connection,
            thread: Some(key.thread().clone()),
            refusal: Refusal::Overload { retry_in: Duration::from_secs(5) },
            waited: Duration::ZERO,
        },
        Event::Breaker { user: Some(user.clone()), step: ReclaimStep::Probe, state: BreakerState::Open },
        Event::Repaired { user: user.clone(), broken: "one thread holds two slots" },
        Event::Reclaimed { user: user.clone(), level: ReclaimLevel::Moderate, freed: 2 },
        Event::ProbeFailed { user: user.clone(), connection },
        Event::VerdictDisproved { user: user.clone(), connection, kind: ZombieKind::HalfOpen },
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
    for line in &lines[..10] {
        assert_eq!(line["fields"]["thread"], "t1", "{line}");
        assert_eq!(line["fields"]["isolation_key"], "org%3A105945141827451681156:t1", "{line}");
    }
}

#[test]
fn an_eviction_says_for_whom_or_for_what_it_was() {
    let newcomer = lychgate_core::Cause::Newcomer(ThreadId::parse("t21").unwrap());
    for (given, cause, made_room_for) in [
        (newcomer, "newcomer", Some("t21")),
        (lychgate_core::Cause::Pressure, "pressure", None),
        (lychgate_core::Cause::Order, "order", None),
        (lychgate_core::Cause::OtherNode, "other_node", None),
    ] {
        let mut events = every_event().split_off(5);
        events.truncate(1);
        if let Event::SessionEvicted { cause, .. } = &mut events[0] {
            *cause = given;
        }
        let line = &logged("info", &events)[0];
        assert_eq!(
            (&line["fields"]["cause"], line["fields"]["made_room_for"].as_str()),
            (&cause.into(), made_room_for)
        );
    }
}

#[test]
fn the_way_in_has_the_word_that_metrics_have_for_it() {
    for path in AdmissionPath::ALL {
        let (key, connection) = (key(), ConnectionId::from_random(7));
        let event = Event::SessionCreated { key, connection, path, waited: Duration::ZERO, was_full: false };
        assert_eq!(logged("info", &[event])[0]["fields"]["path"], path.as_str());
    }
}

#[test]
fn an_eviction_says_level_reason_and_evidence() {
    let line = &logged("info", &every_event()[5..6])[0];
    assert_eq!(line["fields"]["level"], "force");
    assert_eq!(line["fields"]["reason"], "made_room");
    let evidence = "missed_pings=1 missed_probes=2 silent_ms=61000 blocked_ms=31000 queued_bytes=700";
    assert_eq!(line["fields"]["evidence"], evidence);
}

#[test]
fn only_what_is_our_own_fault_wakes_somebody() {
    let lines = logged("warn", &every_event());
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["WARN", "WARN", "ERROR", "WARN"]);
    assert_eq!(lines[0]["fields"]["reason"], "overload");
    assert_eq!(lines[1]["fields"]["state"], "open");
    assert_eq!(lines[2]["fields"]["broken"], "one thread holds two slots");
}

#[test]
fn a_line_for_people_has_no_colour_codes() {
    let text = written(LogFormat::Text, "info", || event(&every_event()[0]));
    assert!(text.contains("isolation_key=org%3A105945141827451681156:t1"), "{text}");
    assert!(text.contains("event=\"session.created\""), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

/// What the table says of lines that the gate and runs write, word for word.
#[test]
fn the_table_lists_every_step_with_its_level_and_its_fields() {
    let run_id = RunId::parse("r1").unwrap();
    let steps = [
        RunStep::Started,
        RunStep::Refused(&"why"),
        RunStep::Failed(&"why"),
        RunStep::CutShort(&"why"),
        RunStep::Deleted,
        RunStep::EndOwed,
        RunStep::EndMissing,
        RunStep::Ended,
    ];
    let lines = parsed(&written(LogFormat::Json, "debug", || {
        every_event().iter().for_each(event);
        steps.into_iter().for_each(|step| run(step, &key(), &run_id, None));
    }));
    let mut seen = BTreeSet::new();
    for line in &lines {
        let word = line["fields"]["event"].as_str().unwrap();
        let step = STEPS.iter().find(|step| step.event == word).unwrap_or_else(|| panic!("{word} is not in the table"));
        seen.insert(word);
        assert!(step.level.to_uppercase().contains(line["level"].as_str().unwrap()), "{line}");
        let fields: BTreeSet<_> = line["fields"].as_object().unwrap().keys().map(String::as_str).collect();
        let table: BTreeSet<_> = step.fields.iter().map(|field| field.trim_end_matches('?')).collect();
        let always = step.fields.iter().filter(|field| !field.ends_with('?'));
        assert!(fields.iter().all(|field| table.contains(field) || ["event", "message"].contains(field)), "{line}");
        assert!(always.into_iter().all(|field| fields.contains(field)), "{word} lacks a field: {line}");
    }
    // The others come from the program itself; the next test finds them.
    let own =
        |step: &&Step| !["gateway.", "log.", "cluster.", "operator."].iter().any(|part| step.event.starts_with(part));
    let table: BTreeSet<_> = STEPS.iter().filter(own).map(|step| step.event).collect();
    assert_eq!(seen, table);
}

/// Reads the program's own text: a word that is in no line, or in no table, would mislead whoever writes a filter.
#[test]
fn every_word_of_the_table_is_in_the_program_and_the_other_way_round() {
    let is_word =
        |word: &&str| word.contains('.') && word.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte));
    let mut words = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("tests.rs") => {}
                false => {
                    let text = fs::read_to_string(path).unwrap();
                    let found = text.split("event = \"").skip(1).filter_map(|rest| rest.split('"').next());
                    words.extend(found.filter(|word| is_word(word)).map(str::to_owned));
                }
            }
        }
    }
    let table: BTreeSet<_> = STEPS.iter().map(|step| step.event.to_owned()).collect();
    assert_eq!(words, table);
}

#[test]
fn the_page_about_logs_has_the_table_of_this_program() {
    let page = include_str!("../../../../../docs/logs.md");
    assert!(page.contains(&markdown()), "docs/logs.md is stale; its table must be:\n{}", markdown());
}

/// What a client, a token or a backend may have sent, to look like a line of ours.
const FORGED: &str =
    "ann\"}\n2026-01-01T00:00:00Z ERROR lychgate: forged\r\u{2028}\u{85}\u{1b}[31m\u{202e}\u{0}\\ \u{e9}\u{1f480}";

fn forge() {
    let error = std::io::Error::other(FORGED);
    tracing::info!(user = %FORGED, plain = FORGED, debug = ?FORGED, %error, ratio = f64::NAN, "{FORGED}");
    tracing::info!(cause = &error as &dyn std::error::Error, number = u128::MAX, flag = true, "next");
}

#[test]
fn nothing_that_a_field_holds_begins_a_line_for_people() {
    let text = written(LogFormat::Text, "info", forge);
    assert_eq!(text.lines().count(), 2, "{text}");
    let odd = |char: &char| char.is_control() && *char != '\n' || ['\u{2028}', '\u{202e}'].contains(char);
    assert_eq!(text.chars().find(odd), None, "{text:?}");
    assert!(text.contains("\\u{a}2026-01-01T00:00:00Z ERROR lychgate: forged\\u{d}"), "{text}");
}

#[test]
fn a_line_of_json_is_one_object_whatever_its_fields_hold() {
    let lines = parsed(&written(LogFormat::Json, "info", forge));
    assert_eq!(lines.len(), 2);
    let fields = &lines[0]["fields"];
    assert_eq!(
        (&fields["user"], &fields["plain"], &fields["message"]),
        (&FORGED.into(), &FORGED.into(), &FORGED.into())
    );
    assert_eq!(fields["ratio"], Value::Null);
    assert_eq!(lines[1]["fields"]["cause"], FORGED);
}

#[test]
fn a_line_of_googles_is_one_object_whatever_its_fields_hold() {
    let lines = parsed(&written(LogFormat::Gcp, "info", forge));
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["logging.googleapis.com/labels"]["user"], FORGED);
    assert_eq!((&lines[0]["plain"], &lines[0]["message"]), (&FORGED.into(), &FORGED.into()));
}

#[test]
fn googles_line_has_the_names_that_google_reads() {
    let span = Context::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let lines = parsed(&written(LogFormat::Gcp, "trace", || {
        naming(span, || event(&every_event()[0]));
        tracing::error!(severity = "mine", "1");
        tracing::warn!("2");
        tracing::debug!("3");
        tracing::trace!("4");
    }));
    let line = &lines[0];
    assert_eq!(line["severity"], "INFO");
    assert_eq!(line["logging.googleapis.com/trace"], "projects/my-project/traces/0af7651916cd43dd8448eb211c80319c");
    assert_eq!(line["logging.googleapis.com/spanId"], "b7ad6b7169203331");
    assert_eq!(line["logging.googleapis.com/trace_sampled"], true);
    assert_eq!(line["logging.googleapis.com/labels"]["event"], "session.created");
    assert_eq!(line["logging.googleapis.com/labels"]["isolation_key"], "org%3A105945141827451681156:t1");
    assert_eq!((&line["level"], &line["waited_ms"]), (&"aggressive".into(), &1_040.into()));
    assert!(line["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
    let place = &line["logging.googleapis.com/sourceLocation"];
    assert!(place["file"].as_str().unwrap().ends_with("lifecycle.rs") && place["line"].is_string(), "{line}");
    let severities: Vec<_> = lines[1..].iter().map(|line| line["severity"].as_str().unwrap()).collect();
    assert_eq!(severities, ["ERROR", "WARNING", "DEBUG", "DEBUG"]);
    assert_eq!(lines[1]["field_severity"], "mine");
    assert_eq!(lines[1].get("logging.googleapis.com/trace"), None);
}

#[test]
fn a_line_names_the_span_that_it_belongs_to() {
    let span = Context::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let lines = parsed(&written(LogFormat::Json, "info", || {
        naming(span, || tracing::info!("within"));
        tracing::info!("beside");
    }));
    assert_eq!(
        (&lines[0]["trace_id"], &lines[0]["span_id"]),
        (&"0af7651916cd43dd8448eb211c80319c".into(), &"b7ad6b7169203331".into())
    );
    assert_eq!(lines[1].get("trace_id"), None);
}
