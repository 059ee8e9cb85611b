//! A limit that an operator lent for a while: on all nodes, and on those that start while it lasts.

use std::time::{SystemTime, UNIX_EPOCH};

use super::*;
use crate::zombies::Living;

/// What is lent to this user on this node, as its operators see it.
async fn lent(gateway: &Gateway, user: &str) -> Option<u64> {
    let (status, listed) = told(gateway, Ask::get(format!("/v1/admin/sessions?user={user}"))).await;
    assert_eq!(status, 200, "{listed}");
    listed["users"][0]["lent"]["max_sessions"].as_u64()
}

/// As soon as the note is read.
async fn until_lent(gateway: &Gateway, user: &str, sessions: Option<u64>) {
    soon(async {
        while lent(gateway, user).await != sessions {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn lend(gateway: &Gateway, user: &str, sessions: u64) {
    let body = json!({"max_sessions": sessions, "for": "1h"}).to_string();
    let put = Ask::new("PUT", format!("/v1/admin/users/{user}/limits")).body(body);
    let (status, answer) = told(gateway, put).await;
    assert_eq!((status, &answer["limit"]), (200, &json!(sessions)), "{answer}");
}

async fn take_back(gateway: &Gateway, user: &str) {
    let (status, answer) = told(gateway, Ask::new("DELETE", format!("/v1/admin/users/{user}/limits"))).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_limit_that_is_lent_on_one_node_counts_on_all_and_on_those_that_start_while_it_lasts() {
    let redis = Redis::start();
    let nodes = two(&redis, 2).await;
    let mut tabs = vec![tab(&nodes[1], "t1").await, tab(&nodes[1], "t2").await];
    lend(&nodes[0], "ann", 4).await;
    until_lent(&nodes[1], "ann", Some(4)).await;
    tabs.extend([tab(&nodes[1], "t3").await, tab(&nodes[1], "t4").await]);
    assert_eq!(nodes[1].metric("lychgate_evictions_total").await, 0.0, "there is room for four");
    let later = node(&redis, 2, &["cluster"]).await;
    until_lent(&later, "ann", Some(4)).await;
    take_back(&later, "ann").await;
    for node in &nodes {
        until_lent(node, "ann", None).await;
    }
    nodes[1].metric_becomes("lychgate_sessions", |count| count == 4.0).await;
    // What was lent to another user stands behind it on the board: who has read that has read everything.
    lend(&nodes[0], "bea", 3).await;
    let last = node(&redis, 2, &["cluster"]).await;
    until_lent(&last, "bea", Some(3)).await;
    assert_eq!(lent(&last, "ann").await, None, "it was taken back");
}

#[tokio::test]
async fn whoever_waits_on_one_node_is_let_in_by_a_limit_that_is_lent_on_another() {
    let redis = Redis::start();
    let url = format!("cluster.url = {:?}", redis.url());
    let keys = [r#"cluster.kind = "redis""#, &url, "limits.max_sessions_per_user = 1", "limits.reserve_sessions = 0"];
    let slow = [&keys[..], &[r#"agents.demo.delay = "20s""#]].concat();
    let nodes = [Gateway::start(&keys).await, Gateway::start(&slow).await];
    let mut busy = tab(&nodes[1], "t1").await;
    busy.run("t1", "r1", "one two").await;
    busy.expect("event").await;
    // It answers the probe, so that its place is not that of a dead one.
    let _busy = Living::new(busy);
    let mut waits = nodes[1].connect("ann").await;
    waits.say(json!({"type": "open", "thread": "t2"})).await;
    while waits.wait_for("notice").await["code"] != "queued" {}
    lend(&nodes[0], "ann", 2).await;
    waits.wait_for("opened").await;
    assert_eq!(nodes[1].metric("lychgate_evictions_total").await, 0.0, "nobody made room");
}

#[tokio::test]
async fn of_two_limits_that_are_lent_at_once_on_two_nodes_the_same_one_counts_on_all() {
    let redis = Redis::start();
    let nodes = two(&redis, 2).await;
    for round in 0..8 {
        let user = format!("ann{round}");
        tokio::join!(lend(&nodes[0], &user, 5), lend(&nodes[1], &user, 7));
    }
    lend(&nodes[0], "bea", 3).await;
    lend(&nodes[1], "cid", 3).await;
    for node in &nodes {
        until_lent(node, "bea", Some(3)).await;
        until_lent(node, "cid", Some(3)).await;
    }
    for round in 0..8 {
        let user = format!("ann{round}");
        let limits = [lent(&nodes[0], &user).await, lent(&nodes[1], &user).await];
        assert!(limits[0] == limits[1] && limits[0].is_some(), "{user} has {limits:?}");
    }
}

#[tokio::test]
async fn a_limit_that_is_lent_while_redis_is_away_counts_here_at_once_and_elsewhere_when_it_is_back() {
    let redis = Redis::start();
    let nodes = [node(&redis, 2, &["cluster"]).await, node(&redis, 2, &["cluster"]).await];
    redis.freeze();
    // By a command that nobody answers.
    let _unheard = tab(&nodes[0], "t1").await;
    nodes[0].process.line_with("cluster.unknown").await;
    lend(&nodes[0], "bea", 5).await;
    take_back(&nodes[0], "bea").await;
    lend(&nodes[0], "ann", 4).await;
    assert_eq!((lent(&nodes[0], "ann").await, lent(&nodes[1], "ann").await), (Some(4), None));
    redis.thaw();
    until_lent(&nodes[1], "ann", Some(4)).await;
    assert_eq!(lent(&nodes[1], "bea").await, None, "it was taken back");
    assert!(redis.command(&["FLUSHALL"]).contains("OK"));
    let later = node(&redis, 2, &["cluster"]).await;
    until_lent(&later, "ann", Some(4)).await;
}

#[tokio::test]
async fn a_note_that_a_node_cannot_read_is_told_and_passed_over() {
    let redis = Redis::start();
    let nodes = [node(&redis, 2, &["cluster"]).await, node(&redis, 2, &["cluster"]).await];
    let later = json!({"kind": "dance", "user": "ann", "until": 1}).to_string();
    redis.command(&["XADD", "lychgate:{cluster}:board", "*", "note", &later]);
    lend(&nodes[0], "ann", 4).await;
    until_lent(&nodes[1], "ann", Some(4)).await;
    nodes[1].process.line_with("a note on the board of the nodes cannot be read").await;
}

#[tokio::test]
async fn a_note_about_a_limit_that_is_over_is_no_news_and_one_that_lasts_for_ever_is_cut() {
    let redis = Redis::start();
    let node = node(&redis, 2, &["cluster"]).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap();
    for (user, until, number) in [("ann", 1, now), ("eve", u64::MAX, 1_u64), ("bea", u64::MAX, now)] {
        let note =
            json!({"kind": "lent", "user": user, "max_sessions": 4, "until": until, "number": number}).to_string();
        redis.command(&["XADD", "lychgate:{cluster}:board", "*", "note", &note]);
    }
    until_lent(&node, "bea", Some(4)).await;
    assert_eq!(lent(&node, "ann").await, None);
    assert_eq!(lent(&node, "eve").await, None, "longer ago than a limit may be lent for");
    let (_, listed) = told(&node, Ask::get("/v1/admin/sessions?user=bea")).await;
    let ends_in = listed["users"][0]["lent"]["ends_in"].as_u64().unwrap();
    assert!(ends_in <= 30 * 24 * 3_600 * 1_000, "{ends_in}");
}
