//! Golden frames that both sides replay: what we write is read by the SDK's tests (`sdk/ts/golden/server.json`), what the
//! SDK writes is read by ours (`client.json`).

use std::path::Path;
use std::sync::Arc;

use lychgate_core::{Pressure, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::event::Event;
use super::{Client, Evidence, Limits, Message, Notice, Opened, Reconnect, Server};

const RENEW: &str = "RENEW_GOLDEN_FILES=1 cargo test -p lychgate golden";

/// One frame and what it shows.
#[derive(Serialize, Deserialize)]
struct Golden {
    name: String,
    frame: Value,
}

/// Compares a file of the repository with what it is made from, and says how to make it anew.
pub(super) fn is_golden(path: &str, text: &str, renew: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("RENEW_GOLDEN_FILES").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} is stale: {renew}", path.display());
}

fn limits(used: usize, level: Pressure) -> Limits {
    Limits::from(Usage { used, limit: 20, level, reserve_left: None })
}

fn opened(reference: Option<&'static str>) -> Opened<'static> {
    Opened {
        thread: "t1",
        reference,
        epoch: "eGWj",
        after: 7,
        head: 9,
        run: None,
        limits: limits(1, Pressure::Ok),
        reset: false,
        messages: None,
        state: None,
        more: false,
    }
}

fn evidence() -> Evidence {
    Evidence {
        missed_pings: 2,
        missed_probes: 2,
        unanswered_for: Some(41_000),
        silent_for: 61_000,
        blocked_for: None,
        queued_bytes: 0,
        unacked_for: Some(30_000),
    }
}

/// Every kind of frame, with all that it can carry and with as little as it can.
fn frames() -> Vec<(&'static str, String)> {
    let mut frames = beginnings();
    frames.extend(ends());
    frames.extend(advice());
    frames.push(("ping", Server::Ping.to_json()));
    frames
}

/// Of a connection, a session and an answer.
fn beginnings() -> Vec<(&'static str, String)> {
    let message: Arc<Message> = serde_json::from_str(r#"{"id":"u1","role":"user","content":"hi"}"#).unwrap();
    let state = serde_json::json!({"cart": [1, 2]});
    let bare_hello = Server::Hello {
        connection: "c_Bd3g",
        user: "105945141827451681156",
        ping: 20_000,
        window: 512,
        expires_in: None,
        limits: limits(0, Pressure::Ok),
    };
    let hello = Server::Hello {
        connection: "c_Bd3g",
        user: "ann",
        ping: 20_000,
        window: 512,
        expires_in: Some(3_600),
        limits: Limits { reserve_until: Some(1_795_234_786_000), ..limits(20, Pressure::Full) },
    };
    let first_open = Opened {
        after: 0,
        run: Some("r1"),
        reset: true,
        messages: Some(std::slice::from_ref(&message)),
        state: Some(&state),
        more: true,
        ..opened(Some("o1"))
    };
    vec![
        ("hello of a first connection", bare_hello.to_json()),
        ("hello with a token that expires, in the reserve", hello.to_json()),
        ("opened, resumed", Server::Opened(opened(None)).to_json()),
        ("opened, a reset with everything", Server::Opened(first_open).to_json()),
        ("event", event(r#"{"type":"TEXT_MESSAGE_CONTENT","messageId":"m1","delta":"Hel"}"#)),
        ("event of a type that nobody knows", event(r#"{"type":"FROM_THE_FUTURE","value":null}"#)),
    ]
}

/// Of a session, and refusals.
fn ends() -> Vec<(&'static str, String)> {
    let evicted = Server::Closed {
        thread: "t1",
        reference: Some("o1"),
        reason: "evicted",
        reconnect: Reconnect::OnDemand,
        retry_in: None,
        message: Some("Made room for a newer tab."),
        level: Some("aggressive"),
        evidence: Some(evidence()),
    };
    let drained = Server::Closed {
        thread: "t1",
        reference: None,
        reason: "draining",
        reconnect: Reconnect::Resume,
        retry_in: Some(7_300),
        message: None,
        level: None,
        evidence: None,
    };
    let error = Server::Error {
        code: "busy",
        message: "An answer is still being written.",
        thread: Some("t1"),
        run: Some("r2"),
        reference: None,
        retry_in: Some(1_000),
    };
    let refused_open = Server::Error {
        code: "draining",
        message: "This node is being stopped.",
        thread: Some("t1"),
        run: None,
        reference: Some("o1"),
        retry_in: Some(900),
    };
    let bare_error = Server::Error {
        code: "bad_frame",
        message: "What was it?",
        thread: None,
        run: None,
        reference: None,
        retry_in: None,
    };
    vec![
        ("closed, evicted with evidence", evicted.to_json()),
        ("closed, to come back after a time", drained.to_json()),
        ("error of a run", error.to_json()),
        ("error of an open", refused_open.to_json()),
        ("error, bare", bare_error.to_json()),
    ]
}

/// What may be ignored.
fn advice() -> Vec<(&'static str, String)> {
    let queued = |reference| Server::Notice(Notice::Queued { thread: "t1", reference, position: 2, deadline: 5_800 });
    vec![
        ("notice limit", Server::Notice(Notice::Limit(limits(18, Pressure::High))).to_json()),
        ("notice queued", queued(None).to_json()),
        ("notice queued, of a named open", queued(Some("o1")).to_json()),
        ("notice run_queued", Server::Notice(Notice::RunQueued { thread: "t1", run: "r2", position: 1 }).to_json()),
        ("notice run_ended", Server::Notice(Notice::RunEnded { thread: "t1", run: "r1" }).to_json()),
        (
            "notice reconnect",
            Server::Notice(Notice::Reconnect { why: "draining", retry_in: 700, deadline: 9_000 }).to_json(),
        ),
        ("notice expiring", Server::Notice(Notice::Expiring { expires_in: 60 }).to_json()),
    ]
}

/// As sessions put it together.
fn event(json: &str) -> String {
    let event = Event::parse(RawValue::from_string(json.to_owned()).unwrap()).unwrap();
    format!(r#"{{"type":"event","thread":"t1","offset":8,"event":{}}}"#, event.json())
}

#[test]
fn golden_frames_of_ours_are_what_the_sdk_reads() {
    let golden: Vec<Golden> = frames()
        .into_iter()
        .map(|(name, text)| Golden { name: name.to_owned(), frame: serde_json::from_str(&text).unwrap() })
        .collect();
    is_golden("sdk/ts/golden/server.json", &format!("{}\n", serde_json::to_string_pretty(&golden).unwrap()), RENEW);
}

#[test]
fn golden_frames_of_the_sdk_are_what_we_read() {
    let text = include_str!("../../../../sdk/ts/golden/client.json");
    let golden: Vec<Golden> = serde_json::from_str(text).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for Golden { name, frame } in golden {
        let read = Client::parse(&frame.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
        kinds.insert(match read {
            Client::Hello(_) => "hello",
            Client::Open(_) => "open",
            Client::Leave(_) => "leave",
            Client::Run(_) => "run",
            Client::Stop(_) => "stop",
            Client::Ack(_) => "ack",
        });
    }
    let kinds: Vec<_> = kinds.into_iter().collect();
    assert_eq!(kinds, ["ack", "hello", "leave", "open", "run", "stop"], "the SDK says every kind of frame");
}
