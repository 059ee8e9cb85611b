//! SIGHUP has the configuration read again: what changed is told, and holds, or is named as waiting for a restart. And what
//! systemd is told meanwhile.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::gateway::{Gateway, Process, SECRET, claims, configuration, sign, soon};
use crate::http::client::Ask;

/// Writes other lines into the gateway's file and has it read.
fn rewrite(gateway: &mut Gateway, keys: &[&str]) {
    fs::write(gateway.process.file(), configuration(keys).join("\n")).unwrap();
    gateway.process.signal(Signal::HUP);
}

async fn limit_of(gateway: &Gateway, user: &str) -> u64 {
    gateway.connect(user).await.hello["limits"]["limit"].as_u64().unwrap()
}

#[tokio::test]
async fn a_limit_that_changed_holds_at_once_and_evicts_nobody() {
    let mut gateway = Gateway::start(&["limits.max_sessions_per_user = 3"]).await;
    let mut client = gateway.connect("ann").await;
    for thread in ["t1", "t2", "t3"] {
        client.open(thread).await;
    }
    rewrite(&mut gateway, &["limits.max_sessions_per_user = 2"]);
    gateway.process.line_with("limits.max_sessions_per_user: 3 -> 2").await;
    gateway.process.line_with("configuration read again").await;
    assert_eq!(limit_of(&gateway, "ann").await, 2);
    assert_eq!(gateway.metric("lychgate_sessions").await, 3.0);
}

#[tokio::test]
async fn a_plan_that_is_new_holds_for_the_next_token_that_names_it() {
    let mut gateway = Gateway::start(&[]).await;
    rewrite(&mut gateway, &["plans.pro.max_sessions_per_user = 40"]);
    gateway.process.line_with("configuration read again").await;
    let mut claims = claims("ann");
    claims["plan"] = json!("pro");
    let mut client = crate::gateway::Call::with_token(&crate::gateway::token(&claims)).dial(&gateway).await.unwrap();
    client.say(json!({"type": "hello"})).await;
    assert_eq!(client.expect("hello").await["limits"]["limit"], 40);
}

#[tokio::test]
async fn a_key_that_is_read_at_start_alone_is_named_and_changes_nothing() {
    let mut gateway = Gateway::start(&[]).await;
    rewrite(&mut gateway, &[r#"liveness.ping_interval = "50s""#]);
    let line = gateway.process.line_with("needs a restart").await;
    assert!(line.contains(r#"liveness.ping_interval: "20s" -> "50s""#), "{line}");
    gateway.process.line_with("configuration read again").await;
    assert_eq!(gateway.connect("ann").await.hello["ping"], 20_000);
}

#[tokio::test]
async fn a_file_that_is_wrong_is_told_with_its_line_and_the_old_one_stays_in_force() {
    let mut gateway = Gateway::start(&["limits.max_sessions_per_user = 3"]).await;
    rewrite(&mut gateway, &["limits.max_sessions_per_user = 0"]);
    let line = gateway.process.line_with("the old one stays in force").await;
    assert!(line.contains(&gateway.process.file()) && line.contains("max_sessions_per_user"), "{line}");
    assert_eq!(limit_of(&gateway, "ann").await, 3);
    rewrite(&mut gateway, &["limits.max_sessions_per_user = 4"]);
    gateway.process.line_with("limits.max_sessions_per_user: 3 -> 4").await;
    gateway.process.line_with("configuration read again").await;
    assert_eq!(limit_of(&gateway, "ann").await, 4);
}

#[tokio::test]
async fn an_issuer_that_is_new_lets_its_users_in_and_one_that_went_does_not() {
    let mut gateway = Gateway::start(&[]).await;
    let mut tab = gateway.connect("ann").await;
    let issuer = [
        r#"auth.issuers.new.issuer = "https://new.test""#,
        r#"auth.issuers.new.audience = "lychgate""#,
        r#"auth.issuers.new.secret = "another secret of the tests, long enough for HS256""#,
    ];
    let token = |issuer: &str, secret: &str| {
        let mut claims = claims("ann");
        claims["iss"] = json!(issuer);
        sign(&claims, secret)
    };
    let ours = token("lychgate", SECRET);
    let theirs = token("https://new.test", "another secret of the tests, long enough for HS256");
    let is_in = async |gateway: &Gateway, token: &str| {
        let ask = Ask::get("/v1/threads").header("authorization", format!("Bearer {token}"));
        ask.send(gateway).await.status == 200
    };
    assert!(is_in(&gateway, &ours).await && !is_in(&gateway, &theirs).await);
    rewrite(&mut gateway, &issuer);
    gateway.process.line_with("configuration read again").await;
    assert!(is_in(&gateway, &ours).await && is_in(&gateway, &theirs).await);
    rewrite(&mut gateway, &[r#"auth.jwt.secret = "a third secret of the tests, long enough for HS256""#]);
    gateway.process.line_with("auth.jwt.secret: another value").await;
    soon(async { while is_in(&gateway, &ours).await {} }).await;
    assert!(!is_in(&gateway, &theirs).await);
    tab.open("t1").await;
}

#[tokio::test]
async fn what_is_right_only_after_a_restart_is_told_as_such_and_not_as_wrong() {
    let mut gateway = Gateway::start(&["limits.max_sessions_per_user = 3"]).await;
    let provider = [
        "limits.max_sessions_per_user = 4",
        r#"server.public_url = "https://chat.example.org""#,
        r#"login.providers.p.issuer_url = "https://login.example.org""#,
        r#"login.providers.p.client_id = "lychgate""#,
    ];
    rewrite(&mut gateway, &provider);
    gateway.process.line_with("server.public_url: (not set)").await;
    gateway.process.line_with("is right, but what changed needs a restart").await;
    assert_eq!(limit_of(&gateway, "ann").await, 3);
}

#[tokio::test]
async fn a_secret_that_changed_is_not_in_the_log() {
    let mut gateway = Gateway::start(&[]).await;
    rewrite(&mut gateway, &[r#"auth.jwt.secret = "hunter2-hunter2-hunter2-hunter2-hunter2""#]);
    gateway.process.line_with("auth.jwt.secret: another value").await;
    gateway.process.signal(Signal::TERM);
    let (code, said) = gateway.process.end().await;
    assert_eq!(code, Some(0));
    assert!(!said.contains("hunter2") && !said.contains(SECRET), "{said}");
}

#[tokio::test]
async fn the_level_of_the_log_follows_the_file() {
    let mut gateway = Gateway::start(&[]).await;
    rewrite(&mut gateway, &[r#"log.level = "debug""#]);
    gateway.process.line_with("log.level").await;
    gateway.process.line_with("configuration read again").await;
    gateway.connect("ann").await;
    gateway.process.line_with("DEBUG").await;
}

#[tokio::test]
async fn systemd_is_told_of_start_reload_and_stop_and_that_we_live() {
    let path = std::env::temp_dir().join(format!("lychgate-notify-{}", std::process::id()));
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let mut gateway = Gateway::started(Process::serve_in(&configuration(&[]), &environment)).await;
    let told = move |what: &'static str| {
        let systemd = systemd.try_clone().unwrap();
        soon(async move {
            let heard = tokio::task::spawn_blocking(move || {
                let mut bytes = [0; 256];
                loop {
                    let length = systemd.recv(&mut bytes).unwrap();
                    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                    if text.contains(what) {
                        return text;
                    }
                }
            });
            heard.await.unwrap()
        })
    };
    told("READY=1").await;
    told("WATCHDOG=1").await;
    gateway.process.signal(Signal::HUP);
    assert!(told("RELOADING=1").await.contains("MONOTONIC_USEC="));
    told("READY=1").await;
    gateway.process.signal(Signal::TERM);
    assert!(told("STOPPING=1").await.contains("EXTEND_TIMEOUT_USEC="));
    assert_eq!(gateway.process.end().await.0, Some(0));
    fs::remove_file(path).unwrap();
}
