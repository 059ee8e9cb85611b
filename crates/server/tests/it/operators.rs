//! What operators see, and do, on the listener that is theirs.

mod audit;
mod decisions;
mod examples;
mod keys;
mod list;
mod live;
mod openapi;
mod overview;
mod publish;
mod steer;
mod users;

use std::sync::{Arc, mpsc};

use lychgate::app;
use lychgate::config::Loaded;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::gateway::{Doors, Gateway, Heard, configuration, soon};
use crate::http::client::Ask;

/// Google's ids have 21 digits; the other holds what an isolation key escapes.
const GOOGLE: &str = "105945141827451681156";
const COLONS: &str = "a:b%3Ac/ü";

/// An operator who may change things asks: status and body.
async fn ask(gateway: &Doors, ask: Ask) -> (u16, Value) {
    let mut answer = ask.by_operator().send_to_admin(gateway).await;
    (answer.status, answer.json().await)
}

/// As a part of a path.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// More silent sockets than the admin listener keeps.
const CROWD: usize = 300;

#[tokio::test]
async fn a_crowd_on_the_admin_listener_is_bounded_apart_from_the_users() {
    let gateway = Gateway::start(&[r#"server.header_timeout = "1h""#]).await;
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(soon(TcpStream::connect(gateway.admin)).await.unwrap());
    }
    // The oldest goes for the newest: far fewer are kept than the users' listener would keep.
    let gone = soon(crowd[0].read(&mut [0; 1])).await;
    assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
    assert_eq!(gateway.get("/readyz").await.0, 200, "whoever speaks is heard all the same");
    let mut users = Vec::new();
    for _ in 0..CROWD {
        users.push(soon(TcpStream::connect(gateway.address)).await.unwrap());
    }
    gateway.metric_becomes("lychgate_unidentified_sockets", |count| count == CROWD as f64).await;
    gateway.serves_others().await;
}

/// Heartbeats that would find everybody dead within the time for which the test stops the world.
const HASTY: [&str; 5] = [
    r#"liveness.ping_interval = "300ms""#,
    r#"liveness.ping_answer = "200ms""#,
    "liveness.missed_pings = 2",
    r#"liveness.write_stall = "500ms""#,
    r#"liveness.runtime_stuck_after = "500ms""#,
];

#[tokio::test]
async fn a_runtime_that_is_stuck_is_seen_from_outside_and_held_against_nobody() {
    let read = || Loaded::from_toml(&configuration(&HASTY).join("\n"));
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ready, addresses) = oneshot::channel();
    runtime
        .spawn(app::serve(Arc::new(read().unwrap()), Box::new(read), move |addresses| ready.send(addresses).unwrap()));
    let addresses = soon(addresses).await.unwrap();
    let gateway = Doors { address: addresses.listen, admin: addresses.admin };
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    assert_eq!(gateway.get("/readyz").await, (200, "ready\n".to_owned()));

    // The only worker waits for us, as it would in a call that blocks; the client goes on, and would answer any ping.
    let (release, held) = mpsc::channel::<()>();
    runtime.spawn(async move { held.recv() });
    let reads = tokio::spawn(async move {
        match client.hear_late().await {
            Heard::Frame(frame) => (client, frame),
            end @ (Heard::Close(..) | Heard::End) => panic!("a healthy session was ended: {end:?}"),
        }
    });
    soon(async { while !gateway.get("/readyz").await.1.starts_with("not ready: runtime stuck for ") {} }).await;
    gateway.metric_becomes("lychgate_runtime_lag_seconds", |lag| lag > 3.0).await;
    assert_eq!(gateway.get("/healthz").await.0, 200);
    assert!(gateway.metric("lychgate_runtime_stuck_total").await >= 1.0);
    assert_eq!(gateway.metric("lychgate_sessions").await, 1.0);
    drop(release);

    soon(async { while gateway.get("/readyz").await.0 != 200 {} }).await;
    let mut other = gateway.connect("ann").await;
    other.open("t1").await;
    other.run("t1", "r1", "hello").await;
    let (mut client, first) = soon(reads).await.unwrap();
    assert_eq!(first["type"], "event", "nothing but the answer was heard: {first}");
    assert_eq!(client.events_to_end().await.last().unwrap()["event"]["type"], "RUN_FINISHED");
    assert_eq!(gateway.metric("lychgate_zombies_total").await, 0.0);
    assert!(gateway.metric("lychgate_runtime_stuck_total").await >= 1.0);
    runtime.shutdown_background();
}

#[tokio::test]
async fn pings_events_and_bytes_are_counted_as_they_are_sent() {
    let gateway = Gateway::start(&[r#"liveness.ping_interval = "100ms""#, r#"liveness.ping_answer = "90ms""#]).await;
    let mut client = gateway.connect("ann").await;
    client.open("t1").await;
    let events = client.ask("t1", "r1", "hello").await;
    let bytes: usize = events.iter().map(|event| event.to_string().len()).sum();
    client.close().await;
    // The answer to the open is one of them.
    gateway.metric_becomes("lychgate_events_sent_total", |count| count == events.len() as f64 + 1.0).await;
    gateway.metric_becomes("lychgate_bytes_sent_total", |count| count > bytes as f64).await;
    let _silent = gateway.connect("ann").await;
    let before = gateway.metric("lychgate_pings_total").await;
    gateway.metric_becomes("lychgate_pings_total", |count| count > before + 1.0).await;
}
