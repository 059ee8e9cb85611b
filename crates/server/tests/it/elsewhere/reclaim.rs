//! Reclaim by hand reaches the sessions on other nodes, and takes one of the living in all.

use super::*;
use crate::zombies::QUICK;

/// `east` and `west`, with answers that take their time.
async fn pair(redis: &Redis) -> [Gateway; 2] {
    [named(redis, "east").await, named(redis, "west").await]
}

async fn named(redis: &Redis, name: &str) -> Gateway {
    let url = format!("cluster.url = {:?}", redis.url());
    let name = format!("cluster.node_name = {name:?}");
    let own = [r#"cluster.kind = "redis""#, &url, &name, r#"agents.demo.delay = "5s""#, QUICK[2], QUICK[3]];
    Gateway::start(&[&own[..], &[r#"limits.linger = "1h""#]].concat()).await
}

/// A tab whose thread has a run in flight, which protects it.
async fn busy(gateway: &Gateway, thread: &str) -> Client {
    let mut tab = tab(gateway, thread).await;
    tab.run(thread, &format!("r-{thread}"), "one two three").await;
    tab.expect("event").await;
    tab
}

/// The threads that went here, and the nodes that were asked.
async fn reclaim(gateway: &Gateway, level: &str) -> (Vec<Value>, Value) {
    let (status, answer) = told(gateway, Ask::post("/v1/admin/users/ann/reclaim", &json!({"level": level}))).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["elsewhere_unknown"], Value::Null, "{answer}");
    let evicted = answer["evicted"].as_array().unwrap().iter().map(|gone| gone["thread"].clone());
    (evicted.collect(), answer["asked"].clone())
}

#[tokio::test]
async fn what_lingers_or_is_silent_on_another_node_is_reclaimed_by_that_node() {
    let redis = Redis::start();
    let [east, west] = pair(&redis).await;
    let _alive = busy(&west, "t1").await;
    tab(&west, "t2").await.reset();
    west.metric_becomes("lychgate_connections", |count| count == 1.0).await;
    assert_eq!(reclaim(&east, "moderate").await, (vec![], json!(["west"])));
    west.metric_becomes("lychgate_sessions", |count| count == 1.0).await;
    let line = west.process.line_with("action=\"reclaim\"").await;
    assert!(line.contains("operator.elsewhere") && line.contains("level=\"moderate\""), "{line}");
    // Nobody reads here, so nobody answers the probe.
    assert_eq!(reclaim(&east, "aggressive").await, (vec![], json!(["west"])));
    west.metric_becomes("lychgate_sessions", |count| count == 0.0).await;
    assert_eq!(reclaim(&east, "conservative").await, (vec![], Value::Null), "nobody has anything");
}

#[tokio::test]
async fn force_takes_one_session_in_all_on_whichever_node_it_is() {
    let redis = Redis::start();
    let [east, west] = pair(&redis).await;
    // Everything here is protected, the one that goes is there.
    let _here = busy(&east, "t1").await;
    let mut there = tab(&west, "t2").await;
    assert_eq!(reclaim(&east, "force").await, (vec![], json!(["west"])));
    assert_eq!(there.expect("closed").await["reason"], "evicted");
    west.metric_becomes("lychgate_sessions", |count| count == 0.0).await;
    assert_eq!(east.metric("lychgate_sessions").await, 1.0);
    // What lingers there goes before who is alive here.
    tab(&west, "t3").await.reset();
    west.metric_becomes("lychgate_connections", |count| count == 0.0).await;
    let _idle = tab(&east, "t4").await;
    assert_eq!(reclaim(&east, "force").await, (vec![], json!(["west"])));
    west.metric_becomes("lychgate_sessions", |count| count == 0.0).await;
    assert_eq!(east.metric("lychgate_sessions").await, 2.0);
    // And here before who is protected there.
    let _there = busy(&west, "t5").await;
    assert_eq!(reclaim(&east, "force").await, (vec![json!("t4")], Value::Null));
    assert_eq!(reclaim(&west, "force").await, (vec![], Value::Null), "both that are left are protected");
    let left = [east.metric("lychgate_sessions").await, west.metric("lychgate_sessions").await];
    assert_eq!(left, [1.0, 1.0]);
}

#[tokio::test]
async fn while_nobody_can_tell_who_is_elsewhere_reclaim_takes_what_is_here_and_says_so() {
    let redis = Redis::start();
    let [east, _west] = pair(&redis).await;
    let _here = tab(&east, "t1").await;
    redis.freeze();
    let body = json!({"level": "force"});
    let (status, answer) = told(&east, Ask::post("/v1/admin/users/ann/reclaim", &body)).await;
    assert_eq!((status, &answer["elsewhere_unknown"]), (200, &json!(true)), "{answer}");
    assert_eq!((&answer["evicted"][0]["thread"], &answer["asked"]), (&json!("t1"), &Value::Null), "{answer}");
    redis.thaw();
}
