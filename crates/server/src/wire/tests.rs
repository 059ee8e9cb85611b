//! Golden frames: what a client sees, letter by letter. They move only together with a line in CHANGELOG.md.

use std::time::Duration;

use lychgate_core::{Pressure, Usage};
use serde_json::value::RawValue;

use super::event::Event;
use super::{Client, Limits, Message, Notice, Opened, Reconnect, Server};

const USAGE: Usage = Usage { used: 1, limit: 20, level: Pressure::Ok, reserve_left: None };

fn assert_frame(frame: &Server<'_>, golden: &str) {
    assert_eq!(frame.to_json(), golden);
}

#[test]
fn hello_says_who_you_are_and_how_the_wire_beats() {
    let hello = Server::Hello {
        connection: "c_Bd3g",
        user: "ann",
        ping: 20_000,
        window: 512,
        expires_in: None,
        limits: Limits::from(Usage { used: 0, ..USAGE }),
    };
    assert_frame(
        &hello,
        r#"{"type":"hello","connection":"c_Bd3g","user":"ann","ping":20000,"window":512,"limits":{"used":0,"limit":20,"level":"ok"}}"#,
    );
}

#[test]
fn a_first_open_is_a_reset_and_a_resume_is_not() {
    let message: std::sync::Arc<Message> = serde_json::from_str(r#"{"id":"u1","role":"user","content":"hi"}"#).unwrap();
    let opened = Opened {
        thread: "t1",
        reference: Some("o1"),
        epoch: "eGWj",
        after: 0,
        head: 0,
        run: None,
        limits: USAGE.into(),
        reset: true,
        messages: Some(std::slice::from_ref(&message)),
        state: None,
        more: false,
    };
    assert_frame(
        &Server::Opened(opened),
        r#"{"type":"opened","thread":"t1","ref":"o1","epoch":"eGWj","after":0,"head":0,"limits":{"used":1,"limit":20,"level":"ok"},"reset":true,"messages":[{"id":"u1","role":"user","content":"hi"}]}"#,
    );
    let resumed = Opened {
        thread: "t1",
        reference: None,
        epoch: "eGWj",
        after: 7,
        head: 9,
        run: Some("r1"),
        limits: USAGE.into(),
        reset: false,
        messages: None,
        state: None,
        more: false,
    };
    assert_frame(
        &Server::Opened(resumed),
        r#"{"type":"opened","thread":"t1","epoch":"eGWj","after":7,"head":9,"run":"r1","limits":{"used":1,"limit":20,"level":"ok"}}"#,
    );
}

#[test]
fn a_closed_frame_says_whether_to_come_back() {
    let closed = Server::Closed {
        thread: "t1",
        reference: Some("o1"),
        reason: "evicted",
        reconnect: Reconnect::OnDemand,
        retry_in: None,
        message: Some("Made room."),
        level: None,
        evidence: None,
    };
    assert_frame(
        &closed,
        r#"{"type":"closed","thread":"t1","ref":"o1","reason":"evicted","reconnect":"on_demand","message":"Made room."}"#,
    );
}

#[test]
fn a_closed_frame_of_a_reclaimed_session_carries_level_and_evidence() {
    let evidence = lychgate_core::Evidence {
        missed_probes: 2,
        unanswered_for: Some(Duration::from_secs(1)),
        silent_for: Duration::from_millis(20_500),
        ..lychgate_core::Evidence::default()
    };
    let eviction = lychgate_core::Eviction { level: lychgate_core::ReclaimLevel::Aggressive, evidence };
    let closing = crate::close::Close::Unresponsive.closing();
    let frame: serde_json::Value =
        serde_json::from_str(&closing.to_frame("t1", None, Some(eviction)).to_json()).unwrap();
    assert_eq!(frame["level"], "aggressive");
    let evidence =
        serde_json::json!({"missed_pings": 0, "missed_probes": 2, "unanswered_for": 1000, "silent_for": 20500});
    assert_eq!(frame["evidence"], evidence);
}

#[test]
fn whoever_waits_is_told_his_position_and_until_when() {
    let queued = Notice::Queued { thread: "t1", reference: Some("o1"), position: 2, deadline: 6_900 };
    assert_frame(
        &Server::Notice(queued),
        r#"{"type":"notice","code":"queued","thread":"t1","ref":"o1","position":2,"deadline":6900}"#,
    );
}

#[test]
fn an_open_reserve_says_until_when() {
    let usage = Usage { used: 21, reserve_left: Some(Duration::from_secs(60)), ..USAGE };
    let until = Limits::from(usage).reserve_until.unwrap();
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    assert!((now..=now + 60_000).contains(&until), "{until} at {now}");
}

#[test]
fn notices_carry_their_code_beside_the_type() {
    assert_frame(
        &Server::Notice(Notice::Limit(USAGE.into())),
        r#"{"type":"notice","code":"limit","used":1,"limit":20,"level":"ok"}"#,
    );
    assert_frame(
        &Server::Notice(Notice::Reconnect { why: "draining", retry_in: 10, deadline: 20 }),
        r#"{"type":"notice","code":"reconnect","why":"draining","retry_in":10,"deadline":20}"#,
    );
}

#[test]
fn ping_and_error_are_as_short_as_they_can_be() {
    assert_frame(&Server::Ping, r#"{"type":"ping"}"#);
    let error = Server::Error {
        code: "busy",
        message: "wait",
        thread: Some("t"),
        run: Some("r"),
        reference: None,
        retry_in: Some(5),
    };
    assert_frame(&error, r#"{"type":"error","code":"busy","message":"wait","thread":"t","run":"r","retry_in":5}"#);
}

#[test]
fn unknown_fields_of_a_client_are_ignored_and_unknown_types_are_named() {
    let parse = Client::parse;
    assert!(matches!(parse(r#"{"type":"open","thread":"t","later":1}"#), Ok(Client::Open(_))));
    let error = parse(r#"{"type":"opne"}"#).unwrap_err().to_string();
    assert!(error.contains("opne") && error.contains("open"), "{error}");
}

#[test]
fn a_run_keeps_what_we_do_not_read_of_its_messages() {
    let text = r#"{"type":"run","thread":"t","run":"r","input":{"messages":[{"id":"u","role":"user","content":[{"type":"text","text":"é"}],"x":1}],"tools":[{"name":"n"}],"state":null}}"#;
    let Ok(Client::Run(run)) = Client::parse(text) else { panic!("a run frame") };
    let back = serde_json::to_string(&run.input).unwrap();
    assert!(back.contains(r#""content":[{"type":"text","text":"é"}]"#) && back.contains(r#""x":1"#), "{back}");
    assert!(back.contains(r#""tools":[{"name":"n"}]"#), "{back}");
}

#[test]
fn an_event_keeps_its_bytes_and_needs_a_type() {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let event = Event::parse(raw(r#"{"type":"NEW_KIND","runId":"r","x":1.0}"#)).unwrap();
    assert_eq!((event.kind(), event.head().run_id.as_deref()), ("NEW_KIND", Some("r")));
    assert_eq!(event.json().get(), r#"{"type":"NEW_KIND","runId":"r","x":1.0}"#);
    assert!(Event::parse(raw(r#"{"runId":"r"}"#)).is_err());
    assert!(Event::parse(raw("[]")).is_err());
}
