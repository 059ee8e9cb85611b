//! Several gateways that count together: real processes, and a real Redis between them.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::gateway::{Client, Gateway};
use crate::redis_server::Redis;

mod reach;
mod rights;
mod seen;

/// Two nodes with room for `limit` sessions of a user, and none in reserve.
async fn two(redis: &Redis, limit: usize) -> [Gateway; 2] {
    [node(redis, limit, "").await, node(redis, limit, "").await]
}

async fn node(redis: &Redis, limit: usize, more: &str) -> Gateway {
    let url = format!("cluster.url = {:?}", redis.url());
    let limit = format!("limits.max_sessions_per_user = {limit}");
    let lease = r#"cluster.node_lease = "4s""#;
    Gateway::start(&[r#"cluster.kind = "redis""#, &url, lease, &limit, "limits.reserve_sessions = 0", more]).await
}

/// A tab of ann's with one session.
async fn tab(gateway: &Gateway, thread: &str) -> Client {
    let mut client = gateway.connect("ann").await;
    client.open(thread).await;
    client
}

/// A tab that answers, until one of its sessions is closed.
fn living(mut tab: Client) -> JoinHandle<Value> {
    tokio::spawn(async move { tab.wait_for("closed").await })
}

async fn sessions(nodes: &[Gateway]) -> f64 {
    let mut sum = 0.0;
    for node in nodes {
        sum += node.metric("lychgate_sessions").await;
    }
    sum
}

#[tokio::test]
async fn sessions_on_two_nodes_count_against_one_limit_and_the_least_recently_used_makes_room() {
    let redis = Redis::start();
    let nodes = two(&redis, 3).await;
    let first = living(tab(&nodes[0], "t1").await);
    let _others = [living(tab(&nodes[1], "t2").await), living(tab(&nodes[0], "t3").await)];
    let _fourth = tab(&nodes[1], "t4").await;
    let closed = first.await.unwrap();
    assert_eq!((&closed["reason"], &closed["thread"]), (&json!("evicted"), &json!("t1")));
    assert_eq!(sessions(&nodes).await, 3.0);
    nodes[0].process.line_with("cause=\"other_node\"").await;
}

#[tokio::test]
async fn a_run_on_another_node_is_not_taken_while_another_choice_is_left() {
    let redis = Redis::start();
    let nodes = [node(&redis, 2, r#"agents.demo.delay = "5s""#).await, node(&redis, 2, "").await];
    let mut busy = tab(&nodes[0], "t1").await;
    let input = json!({"messages": [{"id": "m1", "role": "user", "content": "one two three"}]});
    busy.say(json!({"type": "run", "thread": "t1", "run": "r1", "input": input})).await;
    busy.expect("event").await;
    let mut idle = tab(&nodes[0], "t2").await;
    let _newcomer = tab(&nodes[1], "t3").await;
    assert_eq!(idle.expect("closed").await["reason"], json!("evicted"), "although it was used last");
    assert_eq!(sessions(&nodes).await, 2.0);
}

#[tokio::test]
async fn while_redis_stands_still_nobody_is_refused_or_closed_and_each_node_goes_by_its_own_count() {
    let redis = Redis::start();
    let nodes = two(&redis, 2).await;
    let _before = [tab(&nodes[0], "t1").await, tab(&nodes[1], "t2").await];
    redis.freeze();
    let begun = Instant::now();
    let _during = [tab(&nodes[0], "t3").await, tab(&nodes[1], "t4").await];
    assert!(begun.elapsed() < Duration::from_secs(10), "an admission waits for no hung command");
    assert_eq!(sessions(&nodes).await, 4.0);
    for node in &nodes {
        node.process.line_with("cluster.unknown").await;
        assert_eq!(node.metric("lychgate_evictions_total").await, 0.0);
    }
    redis.thaw();
    for node in &nodes {
        node.process.line_with("cluster.healthy").await;
        assert_eq!(node.metric("lychgate_evictions_total").await, 0.0, "nobody goes because Redis was away");
    }
    // From now on they count together again: for a newcomer one goes, and the excess does not grow.
    let _after = tab(&nodes[0], "t5").await;
    assert_eq!(sessions(&nodes).await, 4.0);
}

#[tokio::test]
async fn places_of_a_node_that_was_killed_are_there_when_somebody_needs_one() {
    let redis = Redis::start();
    let [alive, mut dead] = two(&redis, 2).await;
    let _gone = [tab(&dead, "t1").await, tab(&dead, "t2").await];
    dead.process.signal(Signal::KILL);
    let begun = Instant::now();
    let _first = tab(&alive, "t3").await;
    println!("a place of a killed node after {:?}", begun.elapsed());
    let _second = tab(&alive, "t4").await;
    assert_eq!(alive.metric("lychgate_sessions").await, 2.0);
    assert_eq!(alive.metric("lychgate_evictions_total").await, 0.0, "the living were spared");
}

#[tokio::test]
async fn a_node_that_was_stopped_closes_what_was_taken_meanwhile_and_keeps_the_rest() {
    let redis = Redis::start();
    let [alive, mut stopped] = two(&redis, 2).await;
    let mut tabs = [tab(&stopped, "t1").await, tab(&stopped, "t2").await];
    stopped.process.signal(Signal::STOP);
    let _newcomer = tab(&alive, "t3").await;
    stopped.process.signal(Signal::CONT);
    let closed = tabs[0].expect("closed").await;
    assert_eq!(closed["reason"], json!("evicted"));
    assert_eq!(stopped.metric("lychgate_sessions").await, 1.0);
    assert_eq!(alive.metric("lychgate_sessions").await, 1.0);
}
