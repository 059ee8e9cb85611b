//! Three tabs of one thread, one of which stops: the two others are not delayed, the third catches up.

use std::fs;

use serde_json::{Value, json};

use super::LONG;
use super::backend::Answer;
use super::stage::{Kind, Random, Stage, asked, for_each_journal};
use super::tab::{Progress, Tab};
use crate::gateway::{Call, Client};
use crate::golden_path::told;

/// Bytes of one piece; two of them are joined for who is behind, three are too long.
const WIDTH: usize = 7_000;

/// However long the machine takes, nobody is found to be slow.
const PATIENT: [&str; 2] = [r#"liveness.write_stall = "10m""#, r#"liveness.tcp_user_timeout = "11m""#];

for_each_journal![
    a_tab_that_stops_acknowledging_is_paused_alone_and_catches_up,
    a_tab_that_stops_reading_its_socket_is_paused_alone_and_catches_up,
];

async fn a_tab_that_stops_acknowledging_is_paused_alone_and_catches_up(kind: Kind) {
    let stage = Stage::start(kind, LONG, &[]).await;
    let mut paused = stage.gateway.connect_with("ann", json!({"type": "hello", "heartbeat": "app"})).await;
    paused.open("t1").await;
    let seen = two_others_hear_everything(&stage).await;

    let mut events = Vec::new();
    let window = paused.hello["window"].as_u64().unwrap();
    while events.len() as u64 != window {
        events.push(paused.expect("event").await);
    }
    paused.expect_nothing().await;
    let before = events.len();
    while !is_end(events.last().unwrap()) {
        paused.say(json!({"type": "ack", "at": {"t1": events.last().unwrap()["offset"]}})).await;
        events.push(paused.expect("event").await);
    }
    assert!(events.len() - before < 100, "who is behind is given few large pieces, not {}", events.len() - before);
    assert_eq!(told(&events), seen);
}

async fn a_tab_that_stops_reading_its_socket_is_paused_alone_and_catches_up(kind: Kind) {
    let wide = Answer { pieces: most_sent() / WIDTH * 3 / 2, width: WIDTH };
    let stage = Stage::start(kind, wide, &PATIENT).await;
    let call = Call::with_token(&stage.gateway.token("ann")).receiving_at_most(4_096);
    let mut paused: Client = call.dial(&stage.gateway).await.unwrap();
    paused.say(json!({"type": "hello"})).await;
    paused.expect("hello").await;
    paused.open("t1").await;
    let seen = two_others_hear_everything(&stage).await;

    let events = paused.events_to_end().await;
    assert!(events.len() < wide.pieces, "it was paused, and given the rest in large pieces: {}", events.len());
    assert_eq!(told(&events), seen);
}

/// Two more tabs, one with acknowledgements and one without, hear the whole answer while somebody else is paused.
async fn two_others_hear_everything(stage: &Stage) -> Vec<Value> {
    let mut random = Random::from_environment();
    let mut tabs = [(), ()].map(|()| Tab::new(*stage.gateway, "ann", asked("t1", "r1")));
    for tab in &mut tabs {
        tab.join(&mut random, Progress::Opened).await;
    }
    stage.backend.allow_all();
    let [one, two] = &mut tabs;
    tokio::join!(one.hear_out(), two.hear_out());
    let seen = one.told();
    assert_eq!(seen[2]["delta"], stage.answer.text(stage.answer.pieces));
    assert_eq!(two.told(), seen);
    seen
}

/// Bytes that the kernel keeps at most for a peer that takes none.
fn most_sent() -> usize {
    let sizes = fs::read_to_string("/proc/sys/net/ipv4/tcp_wmem").unwrap_or_default();
    sizes.split_whitespace().nth(2).map_or(4 << 20, |most| most.parse().unwrap())
}

fn is_end(frame: &Value) -> bool {
    frame["event"]["type"] == "RUN_FINISHED"
}
