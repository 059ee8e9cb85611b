//! What an operator sees of several nodes: by the route, by the command, in the metrics.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{node, tab, two};
use crate::command::{Said, run};
use crate::gateway::{Gateway, READ_KEY, soon};
use crate::redis_server::Redis;

async fn ask(gateway: &Gateway, words: &[&str]) -> Said {
    let admin = format!("http://{}", gateway.admin);
    run(&[words, &["--admin", &admin]].concat(), &[("LYCHGATE_KEY", READ_KEY)]).await
}

/// `lychgate cluster status --json`: its exit code, and what it says.
async fn status(gateway: &Gateway) -> (Option<i32>, Value) {
    let said = ask(gateway, &["cluster", "status", "--json"]).await;
    let mut lines = said.lines();
    assert_eq!(lines.len(), 1, "{said:?}");
    (said.code, lines.remove(0))
}

/// Asks until it is so.
async fn status_where(gateway: &Gateway, is_so: impl Fn(Option<i32>, &Value) -> bool) -> Value {
    soon(async {
        loop {
            let (code, view) = status(gateway).await;
            if is_so(code, &view) {
                return view;
            }
        }
    })
    .await
}

fn nodes(view: &Value) -> &[Value] {
    view["nodes"].as_array().unwrap()
}

fn this(view: &Value) -> &Value {
    nodes(view).iter().find(|node| node["this"] == true).unwrap()
}

#[tokio::test]
async fn both_nodes_name_each_other_and_mark_themselves() {
    let redis = Redis::start();
    let pair = [
        node(&redis, 3, "cluster.node_name = \"east\"\ncluster.node_address = \"east.example.org:8443\"").await,
        node(&redis, 3, r#"cluster.node_name = "west""#).await,
    ];
    let _tab = tab(&pair[0], "t1").await;
    let mut incarnations = Vec::new();
    for (gateway, name) in pair.iter().zip(["east", "west"]) {
        let view = status_where(gateway, |_, view| nodes(view).len() == 2).await;
        assert_eq!((&view["kind"], &view["health"]), (&json!("redis"), &json!("healthy")), "{view}");
        assert_eq!(nodes(&view).iter().map(|node| &node["name"]).collect::<Vec<_>>(), ["east", "west"]);
        assert_eq!(this(&view)["name"], name);
        assert_eq!(this(&view)["incarnation"], view["incarnation"]);
        let listens_at = gateway.address.to_string();
        let address = if name == "east" { "east.example.org:8443" } else { &listens_at };
        assert_eq!(this(&view)["address"], address);
        for node in nodes(&view) {
            assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
            assert!((1..=4_000).contains(&node["lease_ms"].as_u64().unwrap()), "{view}");
        }
        incarnations.push(view["incarnation"].clone());
        let table = ask(gateway, &["cluster", "status"]).await;
        assert_eq!(table.code, Some(0), "{table:?}");
        assert!(table.out.contains(&format!("* {name}")) && table.out.contains("count together"), "{}", table.out);
    }
    assert_ne!(incarnations[0], incarnations[1]);
    assert_eq!(status(&pair[0]).await.1["leases"], 1);
    pair[0].metric_becomes("lychgate_cluster_nodes", |nodes| nodes == 2.0).await;
    assert_eq!(pair[0].metric("lychgate_cluster_leases").await, 1.0);
    assert_eq!(pair[0].metric("lychgate_cluster_acquire_seconds_count").await, 1.0);
    assert_eq!(pair[1].metric("lychgate_cluster_acquires_total").await, 0.0);
}

#[tokio::test]
async fn a_node_that_was_killed_is_shown_until_its_lease_is_over_and_then_no_more() {
    let redis = Redis::start();
    let [alive, mut dead] = two(&redis, 2).await;
    let before = status_where(&alive, |_, view| nodes(view).len() == 2).await;
    dead.process.signal(Signal::KILL);
    let begun = Instant::now();
    let after = status_where(&alive, |_, view| nodes(view).len() == 1).await;
    println!("a killed node was shown for another {:?}", begun.elapsed());
    assert_eq!(nodes(&after)[0]["incarnation"], this(&before)["incarnation"]);
    assert_eq!(after["health"], "healthy");
}

#[tokio::test]
async fn a_redis_that_stands_still_is_unknown_since_when_and_why_and_the_command_ends_with_1() {
    let redis = Redis::start();
    let node = node(&redis, 2, r#"server.readiness_interval = "200ms""#).await;
    let _other = super::node(&redis, 2, "").await;
    status_where(&node, |_, view| nodes(view).len() == 2).await;
    // Once it lets somebody in it waits no more for what the other one holds.
    let _before = tab(&node, "t1").await;
    redis.freeze();
    let is_silent = |view: &Value| view["because"].as_str().is_some_and(|why| why.contains("did not answer"));
    let view = status_where(&node, |code, view| code == Some(1) && is_silent(view)).await;
    assert_eq!(view["health"], "unknown");
    assert!(view["unknown_since"].is_string() && view["answered_ms"].is_u64(), "{view}");
    assert_eq!(nodes(&view).len(), 2, "the others as they were known last: {view}");
    assert_eq!(node.metric("lychgate_cluster_store_known").await, 0.0);
    let table = ask(&node, &["cluster", "status"]).await;
    assert_eq!(table.code, Some(1), "{table:?}");
    assert!(table.out.starts_with("UNKNOWN since ") && table.out.contains("nobody is refused"), "{}", table.out);
    let doctor = ask(&node, &["doctor", "--json"]).await;
    let found = doctor.lines().into_iter().find(|line| line["check"] == "cluster").unwrap();
    assert_eq!(found["result"], "warning", "{found}");
    // The doctor looked for two seconds: trials were made meanwhile.
    assert_eq!(node.get("/readyz").await.0, 200, "it delivers without the store");
    let _during = tab(&node, "t2").await;
    let (_, scrape) = node.get("/metrics").await;
    assert!(scrape.contains("lychgate_cluster_acquires_total{outcome=\"unknown\"} 1\n"), "{scrape}");
    redis.thaw();
    status_where(&node, |code, view| code == Some(0) && view["because"].is_null()).await;
    assert_eq!(node.metric("lychgate_cluster_store_known").await, 1.0);
}

#[tokio::test]
async fn a_session_that_went_for_another_node_is_counted_where_it_was_and_the_question_where_it_came_from() {
    let redis = Redis::start();
    let nodes = two(&redis, 1).await;
    let mut first = tab(&nodes[0], "t1").await;
    let gone = tokio::spawn(async move { first.wait_for("closed").await });
    let _second = tab(&nodes[1], "t2").await;
    assert_eq!(gone.await.unwrap()["reason"], "evicted");
    assert_eq!(nodes[0].metric("lychgate_cluster_sessions_taken_total").await, 1.0);
    assert_eq!(nodes[1].metric("lychgate_cluster_sessions_taken_total").await, 0.0);
    let (_, scrape) = nodes[1].get("/metrics").await;
    for series in [r#"questions_total{outcome="reports"} 1"#, r#"acquires_total{outcome="denied"} 1"#] {
        assert!(scrape.contains(&format!("lychgate_cluster_{series}\n")), "{series}: {scrape}");
    }
}

#[tokio::test]
async fn a_node_that_is_alone_says_so() {
    let gateway = Gateway::start(&[]).await;
    let (code, view) = status(&gateway).await;
    assert_eq!((code, &view["kind"], &view["health"]), (Some(0), &json!("single"), &json!("healthy")));
    assert!(nodes(&view).is_empty() && view["incarnation"].is_null(), "{view}");
    let said = ask(&gateway, &["cluster", "status"]).await;
    assert_eq!(said.out, "This node is alone: cluster.kind is \"single\".\n");
    assert_eq!(gateway.metric("lychgate_cluster_store_known").await, 1.0);
    let doctor = ask(&gateway, &["doctor", "--json"]).await;
    let found = doctor.lines().into_iter().find(|line| line["check"] == "cluster").unwrap();
    assert_eq!((&found["result"], &found["what"]), (&json!("ok"), &json!("this node is alone")));
}
