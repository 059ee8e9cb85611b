//! The failure that Lychgate exists to end: a user whose slots are held by the dead, or who opens many at once.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::gateway::{Client, Gateway, Heard, soon};

/// Probes that are over soon, and sessions that do not linger.
pub(crate) const QUICK: [&str; 4] = [
    r#"limits.linger = "100ms""#,
    r#"limits.ladder_deadline = "2s""#,
    r#"liveness.probe_deadline = "500ms""#,
    r#"liveness.probe_gap = "100ms""#,
];

/// A client in a task of its own, which reads and therefore answers pings, until it is told to stop.
pub(crate) struct Living {
    task: JoinHandle<(Client, Vec<Value>)>,
    stop: watch::Sender<bool>,
}

impl Living {
    pub(crate) fn new(mut client: Client) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut frames = Vec::new();
            loop {
                tokio::select! {
                    _ = stopped.changed() => return (client, frames),
                    heard = client.hear_late() => match heard {
                        Heard::Frame(frame) => frames.push(frame),
                        Heard::Close(..) | Heard::End => return (client, frames),
                    },
                }
            }
        });
        Self { task, stop }
    }

    /// All that it heard, and what was on its way to it when it stopped.
    pub(crate) async fn stop(self) -> (Client, Vec<Value>) {
        self.stop.send_replace(true);
        let (mut client, mut frames) = soon(self.task).await.unwrap();
        // One that was closed has heard everything and cannot ask any more.
        let asked = client.send(Message::text(r#"{"type":"is that all?"}"#)).await;
        while let (Ok(()), Heard::Frame(frame)) = (&asked, client.hear().await) {
            match frame["type"].as_str().unwrap() {
                "error" => break,
                _ => frames.push(frame),
            }
        }
        (client, frames)
    }
}

pub(crate) async fn session(gateway: &Gateway, n: usize) -> Client {
    let mut client = gateway.connect("ann").await;
    client.open(&format!("t{n}")).await;
    client
}

#[tokio::test]
async fn the_twenty_first_session_is_opened_when_twenty_sockets_are_dead() {
    let gateway = Gateway::start(&QUICK).await;
    let mut silent = Vec::new();
    for n in 0..20 {
        silent.push(session(&gateway, n).await);
    }
    let mut newcomer = gateway.connect("ann").await;
    newcomer.open("t20").await;
    assert_eq!(newcomer.ask("t20", "r1", "hello").await.len(), 5);
    // Reclaim in the background may have come before the first open, and a machine that is late finds nobody dead at
    // the first try: further opens meet whatever was left.
    soon(async {
        for n in 21.. {
            let zombies = gateway.metric("lychgate_zombies_total").await;
            if zombies > 0.0 && gateway.metric("lychgate_lockouts_prevented_total").await > 0.0 {
                break;
            }
            newcomer.say(json!({"type": "open", "thread": format!("t{n}")})).await;
            // With no dead left, its own oldest session makes room.
            while newcomer.expect_one_of(&["opened", "closed"]).await["type"] == "closed" {}
        }
    })
    .await;
    assert!(gateway.metric("lychgate_sessions").await <= 20.0);
    assert_eq!(gateway.metric("lychgate_refusals_total").await, 0.0);
    drop((silent, newcomer));
    gateway.metric_becomes("lychgate_sessions", |count| count == 0.0).await;
    gateway.metric_becomes("lychgate_connections", |count| count == 0.0).await;
}

#[tokio::test]
async fn the_living_keep_their_sessions_while_the_dead_make_room() {
    let gateway = Gateway::start(&QUICK).await;
    let living = Living::new(session(&gateway, 0).await);
    let mut silent = Vec::new();
    for n in 1..20 {
        silent.push(session(&gateway, n).await);
    }
    let mut newcomer = gateway.connect("ann").await;
    for n in 20..25 {
        assert!(newcomer.open(&format!("t{n}")).await["limits"]["used"].as_u64().unwrap() <= 20);
    }
    let (mut living, heard) = living.stop().await;
    let kinds: Vec<_> = heard.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert!(kinds.iter().all(|kind| *kind == "notice"), "{heard:?}");
    assert_eq!(living.ask("t0", "r1", "hello").await.len(), 5);
}

#[tokio::test]
async fn twenty_living_sessions_make_room_for_the_twenty_first_by_the_one_used_longest_ago() {
    let gateway = Gateway::start(&QUICK).await;
    let mut living = Vec::new();
    for n in 0..20 {
        living.push(Living::new(session(&gateway, n).await));
    }
    let mut newcomer = gateway.connect("ann").await;
    assert_eq!(newcomer.open("t20").await["limits"]["used"], 20);
    let mut closed = Vec::new();
    for living in living {
        let (_, heard) = living.stop().await;
        closed.extend(heard.into_iter().filter(|frame| frame["type"] != "notice"));
    }
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert_eq!((&closed[0]["type"], &closed[0]["thread"]), (&json!("closed"), &json!("t0")));
    assert_eq!((&closed[0]["reason"], &closed[0]["reconnect"]), (&json!("evicted"), &json!("on_demand")));
}

#[tokio::test]
async fn a_session_with_a_run_is_the_last_to_make_room_after_reserve_and_queue_and_its_run_goes_on() {
    let few = ["limits.max_sessions_per_user = 2", "limits.reserve_sessions = 1", r#"limits.queue_deadline = "3s""#];
    let gateway = Gateway::start(&[&QUICK[..], &few].concat()).await;
    let mut running = session(&gateway, 0).await;
    running.run("t0", "r1", "stall").await;
    running.expect_event("TEXT_MESSAGE_CONTENT").await;
    let running = Living::new(running);
    let idle = Living::new(session(&gateway, 1).await);
    let mut newcomer = gateway.connect("ann").await;
    newcomer.open("t2").await;
    let (_, heard) = idle.stop().await;
    assert!(heard.iter().any(|frame| frame["type"] == "closed" && frame["thread"] == "t1"), "{heard:?}");
    newcomer.run("t2", "r1", "stall").await;
    newcomer.expect_event("TEXT_MESSAGE_CONTENT").await;
    let opened = newcomer.open("t3").await;
    assert_eq!(opened["limits"]["used"], 3, "every session is busy: the reserve");
    assert!(opened["limits"]["reserve_until"].as_u64().is_some(), "{opened}");
    newcomer.run("t3", "r1", "stall").await;
    newcomer.expect_event("TEXT_MESSAGE_CONTENT").await;
    newcomer.say(json!({"type": "open", "thread": "t4", "ref": "o4"})).await;
    let queued = newcomer.expect("notice").await;
    assert_eq!((&queued["code"], &queued["position"], &queued["ref"]), (&json!("queued"), &json!(1), &json!("o4")));
    assert!(queued["deadline"].as_u64().unwrap() <= 3_000, "{queued}");
    let opened = newcomer.expect("opened").await;
    assert_eq!((&opened["thread"], &opened["limits"]["used"]), (&json!("t4"), &json!(3)));
    let (_, heard) = running.stop().await;
    assert!(heard.iter().any(|frame| frame["type"] == "closed" && frame["thread"] == "t0"), "{heard:?}");
    let level = heard.iter().find(|frame| frame["type"] == "closed").map(|frame| &frame["level"]);
    assert_eq!(level, Some(&json!("force")));
    assert_eq!(gateway.metric("lychgate_runs").await, 3.0, "an eviction is not a stop");
}

#[tokio::test]
async fn fifty_opens_at_once_never_hold_more_than_the_limit() {
    let gateway = Gateway::start(&QUICK).await;
    let clients = join_all((0..50).map(|_| gateway.connect("ann"))).await;
    let opens = clients.into_iter().enumerate().map(|(n, mut client)| async move {
        client.say(json!({"type": "open", "thread": format!("t{n}")})).await;
        let answer = client.expect_one_of(&["opened", "closed"]).await;
        match answer["type"].as_str().unwrap() {
            "opened" => assert!(answer["limits"]["used"].as_u64().unwrap() <= 20, "{answer}"),
            // Whoever is admitted may have to make room before he has read of it.
            _ => assert_eq!(answer["reason"], "evicted"),
        }
        Living::new(client)
    });
    let living = join_all(opens).await;
    assert!(gateway.metric("lychgate_sessions").await <= 20.0);
    assert_eq!(gateway.metric("lychgate_refusals_total").await, 0.0);
    for living in living {
        drop(living.stop().await);
    }
    gateway.metric_becomes("lychgate_sessions", |count| count == 0.0).await;
    gateway.metric_becomes("lychgate_connections", |count| count == 0.0).await;
}

#[tokio::test]
async fn a_silent_socket_is_found_dead_without_anybody_asking_for_its_slot() {
    let keys = [
        r#"limits.linger = "100ms""#,
        r#"liveness.ping_interval = "300ms""#,
        r#"liveness.ping_answer = "100ms""#,
        r#"liveness.close_confirm = "100ms""#,
    ];
    let gateway = Gateway::start(&keys).await;
    let living = Living::new(session(&gateway, 0).await);
    let mut silent = session(&gateway, 1).await;
    gateway.metric_becomes("lychgate_zombies_total", |count| count == 1.0).await;
    gateway.metric_becomes("lychgate_sessions", |count| count == 1.0).await;
    let (mut living, heard) = living.stop().await;
    assert!(heard.iter().all(|frame| frame["type"] == "notice"), "{heard:?}");
    living.open("t2").await;
    // The socket of the dead is gone, whether or not the farewell was read.
    let end = timeout(Duration::from_secs(20), async { while silent.hear().await != Heard::End {} }).await;
    assert!(end.is_ok(), "a dead peer is not waited for");
}
