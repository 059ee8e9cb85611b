//! What is done on one node, on the others: operators' deeds, and a tab that comes back on another one.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::gateway::{Call, Client, Gateway, Heard, soon};
use crate::http::client::Ask;
use crate::redis_server::Redis;

mod limits;
mod reclaim;
mod seen;

/// Two nodes that share leases and threads, with room for `limit` sessions of a user, and none in reserve.
async fn two(redis: &Redis, limit: usize) -> [Gateway; 2] {
    [node(redis, limit, &["cluster", "journal"]).await, node(redis, limit, &["cluster", "journal"]).await]
}

/// A node that has these in Redis.
async fn node(redis: &Redis, limit: usize, shared: &[&str]) -> Gateway {
    let mut keys = vec![
        format!("limits.max_sessions_per_user = {limit}"),
        "limits.reserve_sessions = 0".to_owned(),
        r#"limits.linger = "1h""#.to_owned(),
        r#"cluster.node_lease = "4s""#.to_owned(),
    ];
    for section in shared {
        keys.push(format!(r#"{section}.kind = "redis""#));
        keys.push(format!("{section}.url = {:?}", redis.url()));
    }
    Gateway::start(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn tab(gateway: &Gateway, thread: &str) -> Client {
    let mut client = gateway.connect("ann").await;
    client.open(thread).await;
    client
}

async fn told(gateway: &Gateway, ask: Ask) -> (u16, Value) {
    let mut answer = ask.by_operator().send_to_admin(gateway).await;
    (answer.status, answer.json().await)
}

#[tokio::test]
async fn who_is_logged_out_on_one_node_is_out_on_all_and_on_those_that_start_later() {
    let redis = Redis::start();
    let nodes = two(&redis, 4).await;
    let token = nodes[0].token("ann");
    let mut tabs = [tab(&nodes[0], "t1").await, tab(&nodes[1], "t2").await];
    // Lingers, without a connection.
    tab(&nodes[1], "t3").await.reset();
    nodes[1].metric_becomes("lychgate_connections", |count| count == 1.0).await;
    let (status, _) = told(&nodes[0], Ask::new("DELETE", "/v1/admin/users/ann/sessions")).await;
    assert_eq!(status, 200);
    for tab in &mut tabs {
        tab.expect_close(4513).await;
    }
    nodes[1].metric_becomes("lychgate_sessions", |count| count == 0.0).await;
    let later = node(&redis, 4, &["cluster"]).await;
    for node in nodes.iter().chain([&later]) {
        until_refused(node, &token).await;
    }
}

/// A token that is revoked is refused, once the node has read of it.
async fn until_refused(gateway: &Gateway, token: &str) {
    loop {
        let mut client = Call::with_token(token).dial(gateway).await.unwrap();
        client.say(json!({"type": "hello"})).await;
        match client.hear().await {
            Heard::Frame(error) if error["code"] == "unauthorized" => return,
            Heard::Frame(hello) => assert_eq!(hello["type"], "hello", "{hello}"),
            other @ (Heard::Close(..) | Heard::End) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_was_revoked_while_redis_was_away_is_told_when_it_is_back_and_after_it_lost_everything() {
    let redis = Redis::start();
    let nodes = [node(&redis, 4, &["cluster"]).await, node(&redis, 4, &["cluster"]).await];
    let mut there = tab(&nodes[1], "t1").await;
    redis.freeze();
    // By a command that nobody answers.
    let _unheard = tab(&nodes[0], "t2").await;
    nodes[0].process.line_with("cluster.unknown").await;
    let token = nodes[0].token("ann");
    let (status, _) = told(&nodes[0], Ask::post("/v1/admin/revocations", &json!({"user": "ann"}))).await;
    assert_eq!(status, 200);
    redis.thaw();
    there.expect_close(4501).await;
    assert!(redis.command(&["FLUSHALL"]).contains("OK"));
    let later = node(&redis, 4, &["cluster"]).await;
    until_refused(&later, &token).await;
}

#[tokio::test]
async fn an_operator_of_any_node_ends_a_session_wherever_it_is() {
    let redis = Redis::start();
    let nodes = two(&redis, 4).await;
    let mut there = tab(&nodes[1], "t1").await;
    let evicted = told(&nodes[0], Ask::new("DELETE", "/v1/admin/sessions/ann%3At1")).await;
    assert_eq!(evicted, (200, json!({"ended": ["ann:t1"]})));
    there.expect_close(4512).await;
    nodes[1].metric_becomes("lychgate_sessions", |count| count == 0.0).await;
    let (status, error) = told(&nodes[0], Ask::new("DELETE", "/v1/admin/sessions/ann%3At9")).await;
    assert_eq!((status, &error["code"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn a_publication_for_a_user_reaches_the_threads_that_he_has_open_on_other_nodes() {
    let redis = Redis::start();
    let nodes = two(&redis, 4).await;
    let mut here = tab(&nodes[0], "t1").await;
    let mut there = tab(&nodes[1], "t2").await;
    let body = json!({"user": "ann", "key": "k1", "events": [{"type": "CUSTOM", "name": "order", "value": "shipped"}]});
    let (status, published) = told(&nodes[0], Ask::post("/v1/admin/publish", &body)).await;
    assert_eq!((status, published["threads"].as_array().map(Vec::len)), (200, Some(2)), "{published}");
    for (tab, thread) in [(&mut here, "t1"), (&mut there, "t2")] {
        let events = tab.events_to_end().await;
        assert_eq!((&events[1]["thread"], &events[1]["event"]["value"]), (&json!(thread), &json!("shipped")));
    }
}

#[tokio::test]
async fn a_tab_that_comes_back_on_another_node_takes_its_own_place() {
    let redis = Redis::start();
    let nodes = two(&redis, 2).await;
    let other = tab(&nodes[0], "t1").await;
    let mut gone = tab(&nodes[0], "t2").await;
    let former = gone.hello["connection"].as_str().unwrap().to_owned();
    let mut back = nodes[1].connect_with("ann", json!({"type": "hello", "prev": former})).await;
    gone.expect_close(4510).await;
    back.open("t2").await;
    nodes[0].metric_becomes("lychgate_sessions", |count| count == 1.0).await;
    for node in &nodes {
        assert_eq!(node.metric("lychgate_evictions_total").await, 0.0, "nobody made room");
    }
    drop(other);
}

#[tokio::test]
async fn a_tab_whose_node_was_killed_goes_on_on_another_one() {
    let redis = Redis::start();
    let [mut dead, alive] = two(&redis, 2).await;
    let mut gone = tab(&dead, "t1").await;
    assert_eq!(gone.ask("t1", "r1", "hello").await.last().unwrap()["event"]["type"], "RUN_FINISHED");
    let former = gone.hello["connection"].as_str().unwrap().to_owned();
    dead.process.signal(Signal::KILL);
    let mut back = alive.connect_with("ann", json!({"type": "hello", "prev": former})).await;
    back.open("t1").await;
    assert_eq!(back.ask("t1", "r2", "and again").await.last().unwrap()["event"]["type"], "RUN_FINISHED");
}
