//! How the program ends: in order when it is told to, and at once, with a remedy, when it is configured wrongly.

use std::net::TcpListener;

use rustix::process::Signal;
use serde_json::json;

use crate::gateway::{Call, Gateway, Heard, Process, configuration};
use crate::http::client::Ask;

#[tokio::test]
async fn a_stop_with_nobody_there_is_an_exit_with_zero() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut gateway = Gateway::start(&[]).await;
        gateway.process.signal(signal);
        let (code, said) = gateway.process.end().await;
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("ERROR") && !said.contains("WARN"), "{said}");
    }
}

#[tokio::test]
async fn a_stop_tells_everybody_when_to_come_back() {
    let mut gateway = Gateway::start(&[]).await;
    let mut clients = [gateway.connect("ann").await, gateway.connect("ann").await, gateway.connect("bob").await];
    clients[0].open("t1").await;
    gateway.process.signal(Signal::TERM);
    for client in &mut clients {
        let notice = client.expect("notice").await;
        assert_eq!((&notice["code"], &notice["why"]), (&json!("reconnect"), &json!("draining")));
        assert!(notice["retry_in"].is_u64() && notice["deadline"].is_u64(), "{notice}");
        let reason = client.expect_close(4001).await;
        assert_eq!((&reason["reason"], &reason["reconnect"]), (&json!("draining"), &json!(true)));
        assert!(reason["retry_in"].as_u64().unwrap() > 0);
        assert_eq!(client.hear().await, Heard::End);
    }
    assert_eq!(gateway.process.end().await.0, Some(0));
}

#[tokio::test]
async fn a_node_that_drains_is_not_ready_and_sends_newcomers_away() {
    let mut gateway = Gateway::start(&[r#"server.drain_timeout = "1h""#]).await;
    assert_eq!(gateway.get("/readyz").await.0, 200);
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.run("t1", "r1", "stall").await;
    client.expect_event("TEXT_MESSAGE_CONTENT").await;
    gateway.process.signal(Signal::TERM);
    assert_eq!(client.expect("notice").await["code"], "reconnect");
    assert_eq!(gateway.get("/readyz").await, (503, "not ready: draining\n".to_owned()));
    assert_eq!((gateway.metric("lychgate_ready").await, gateway.metric("lychgate_draining").await), (0.0, 1.0));
    assert_eq!(gateway.get("/healthz").await.0, 200);

    let mut newcomer = Call::with_token(&gateway.token("bob")).dial(&gateway).await.unwrap();
    newcomer.say(json!({"type": "hello"})).await;
    newcomer.expect_error("draining").await;
    assert_eq!(newcomer.expect_close(4001).await["reconnect"], true);
    client.say(json!({"type": "open", "thread": "t2"})).await;
    assert_eq!(client.expect_error("draining").await["thread"], "t2");

    client.say(json!({"type": "stop", "thread": "t1", "run": "r1"})).await;
    assert_eq!(client.events_to_end().await.last().unwrap()["event"]["outcome"]["type"], "cancelled");
    assert_eq!(client.expect_close(4001).await["reason"], "draining");
    assert_eq!(gateway.process.end().await.0, Some(0), "nobody waits an hour when the last run has ended");
}

#[tokio::test]
async fn a_run_that_has_time_is_finished_and_one_that_has_none_is_told_why_it_ended() {
    let keys = [r#"server.drain_timeout = "2s""#, r#"agents.slow.kind = "demo""#, r#"agents.slow.delay = "20ms""#];
    let mut gateway = Gateway::start(&keys).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    let mut run = crate::gateway::client::run_frame("t1", "r1", "hello");
    run["agent"] = json!("slow");
    client.say(run).await;
    let mut stalled = gateway.connect("bob").await;
    stalled.open("t1").await;
    stalled.run("t1", "r1", "stall").await;
    client.expect_event("TEXT_MESSAGE_CONTENT").await;
    stalled.expect_event("TEXT_MESSAGE_CONTENT").await;
    gateway.process.signal(Signal::TERM);
    assert_eq!(client.events_to_end().await.last().unwrap()["event"]["type"], "RUN_FINISHED");
    let end = stalled.events_to_end().await.pop().unwrap();
    assert_eq!((&end["event"]["type"], &end["event"]["code"]), (&json!("RUN_ERROR"), &json!("gateway_stopping")));
    stalled.expect_close(4001).await;
    client.expect_close(4001).await;
    assert_eq!(gateway.process.end().await.0, Some(0));
}

#[tokio::test]
async fn a_second_signal_waits_for_no_run() {
    let mut gateway = Gateway::start(&[r#"server.drain_timeout = "1h""#]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.run("t1", "r1", "stall").await;
    client.expect_event("TEXT_MESSAGE_CONTENT").await;
    gateway.process.signal(Signal::TERM);
    client.expect("notice").await;
    gateway.process.signal(Signal::TERM);
    client.expect_close(4001).await;
    assert_eq!(gateway.process.end().await.0, Some(0));
}

#[tokio::test]
async fn a_signal_after_a_drain_by_the_api_is_no_hurry_and_the_next_one_is() {
    let mut gateway = Gateway::start(&[r#"server.drain_timeout = "1h""#]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    client.run("t1", "r1", "stall").await;
    client.expect_event("TEXT_MESSAGE_CONTENT").await;
    let asked = Ask::post("/v1/admin/drain", &json!({})).by_operator().send_to_admin(&gateway).await;
    assert_eq!(asked.status / 100, 2, "{}", asked.head);
    assert_eq!(client.expect("notice").await["code"], "reconnect");
    gateway.process.signal(Signal::TERM);
    gateway.process.line_with("as the node does already").await;
    client.say(json!({"type": "ack"})).await;
    client.expect_nothing().await;
    gateway.process.signal(Signal::TERM);
    client.expect_close(4001).await;
    assert_eq!(gateway.process.end().await.0, Some(0));
}

#[tokio::test]
async fn a_reload_that_waits_for_a_file_for_ever_keeps_nobody_from_stopping_the_node() {
    let path = std::env::temp_dir().join(format!("lychgate-secret-{}", std::process::id()));
    std::fs::write(&path, crate::gateway::SECRET).unwrap();
    let file = format!("auth.issuers.slow.secret_file = {:?}", path.to_str().unwrap());
    let keys = [&file, r#"auth.issuers.slow.issuer = "slow""#, r#"auth.issuers.slow.audience = "a""#];
    let mut gateway = Gateway::start(&keys).await;
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    gateway.process.signal(Signal::HUP);
    gateway.process.signal(Signal::TERM);
    let (code, said) = gateway.process.end().await;
    assert_eq!(code, Some(0), "{said}");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_client_that_answers_no_close_does_not_hold_up_the_stop() {
    let mut gateway = Gateway::start(&[]).await;
    let mut silent = gateway.connect("ann").await;
    silent.open("t1").await;
    gateway.process.signal(Signal::TERM);
    assert_eq!(gateway.process.end().await.0, Some(0));
}

/// Starts with a configuration that is none: answers what the program says, after exit code 2.
async fn refused(keys: &[&str]) -> (Process, String) {
    let mut process = Process::serve(&configuration(keys));
    let (code, said) = process.end().await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.lines().count() < 8 && !said.contains("panicked"), "{said}");
    (process, said)
}

/// The last line of a file with the usual keys alone; a key of a test that is not among them stands below.
fn last_line() -> usize {
    configuration(&[]).len()
}

#[tokio::test]
async fn a_port_in_use_names_file_line_key_and_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    for key in ["server.listen", "server.admin_listen"] {
        let line = format!("{key} = \"{}\"", taken.local_addr().unwrap());
        let (process, said) = refused(&[&line]).await;
        let place = format!("{}:{}", process.file(), last_line());
        assert!(said.contains(&format!("{place}: {line}").replace('"', "")), "{said}");
        assert!(said.contains("choose another port"), "{said}");
    }
}

#[tokio::test]
async fn an_unknown_key_names_file_line_key_and_the_one_that_was_meant() {
    let (process, said) = refused(&["limits.max_session_per_user = 20"]).await;
    let place = format!("{}:{}", process.file(), last_line() + 1);
    assert!(said.contains(&format!("{place}: there is no key limits.max_session_per_user")), "{said}");
    assert!(said.contains("Did you mean limits.max_sessions_per_user?"), "{said}");
}

#[tokio::test]
async fn limits_that_contradict_each_other_are_both_named_with_their_places() {
    let keys = ["limits.max_connections_per_user = 4", "limits.max_connections_per_session = 9"];
    let (process, said) = refused(&keys).await;
    for part in [
        "limits.max_connections_per_user",
        "limits.max_connections_per_session",
        &format!("{}:{}", process.file(), last_line() + 1),
        &format!("{}:{}", process.file(), last_line() + 2),
        "Change one of the two",
    ] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
}

#[tokio::test]
async fn a_configuration_without_a_secret_or_with_a_value_of_the_wrong_kind_says_what_to_do() {
    let mut process = Process::serve(&["server.listen = \"127.0.0.1:0\"".to_owned()]);
    let (code, said) = process.end().await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("auth.jwt.secret"), "{said}");
    for (line, says) in [
        ("limits.linger = 10", "limits.linger"),
        ("limits.linger = \"soon\"", "limits.linger"),
        ("limits.max_sessions_per_user = 0", "at least 1"),
        ("agents.default = \"nobody\"", "agents.default"),
        ("auth.jwt.secret = \"short\"", "at least 32"),
        ("this is not toml", "not TOML"),
    ] {
        let (process, said) = refused(&[line]).await;
        assert!(said.contains(says), "{said}");
        assert!(said.contains(&process.file()), "{said}");
        assert!(!said.contains("short\""), "a secret is never told: {said}");
    }
    let (_, said) = refused(&["agents.x.kind = \"openai\""]).await;
    assert!(said.contains("agents.x.base_url is not set"), "{said}");
}
