//! Who looks at a user on one node is told what he has on the others.

use super::*;
use crate::command::{Said, run};
use crate::gateway::READ_KEY;

/// Two nodes, of which the second is called `west`.
async fn pair(redis: &Redis) -> [Gateway; 2] {
    let url = format!("cluster.url = {:?}", redis.url());
    let kept = r#"limits.linger = "1h""#;
    let keys = [r#"cluster.kind = "redis""#, &url, kept, r#"agents.demo.delay = "5s""#];
    let west = [&keys[..], &[r#"cluster.node_name = "west""#]].concat();
    [Gateway::start(&keys).await, Gateway::start(&west).await]
}

/// Of ann, whose sessions are on the second node: `t1` with a run, `t2` without a connection.
async fn ann(west: &Gateway) -> Client {
    let mut busy = tab(west, "t1").await;
    busy.run("t1", "r1", "one two three").await;
    busy.expect("event").await;
    tab(west, "t2").await.reset();
    west.metric_becomes("lychgate_connections", |count| count == 1.0).await;
    busy
}

async fn user(gateway: &Gateway) -> Value {
    let (status, mut listed) = told(gateway, Ask::get("/v1/admin/sessions?user=ann")).await;
    assert_eq!(status, 200, "{listed}");
    listed["users"][0].take()
}

/// Where, what and how: of each of his sessions elsewhere.
fn elsewhere(told: &Value) -> Vec<[Value; 4]> {
    let rows = told["elsewhere"].as_array().cloned().unwrap_or_default();
    let row = |row: &Value| ["node", "thread", "liveness", "protected"].map(|name| row[name].clone());
    let mut rows: Vec<_> = rows.iter().map(row).collect();
    rows.sort_by_key(|row| row[1].to_string());
    rows
}

async fn explain(gateway: &Gateway, more: &[&str]) -> Said {
    let admin = format!("http://{}", gateway.admin);
    run(&[&["explain", "ann", "--admin", &admin], more].concat(), &[("LYCHGATE_KEY", READ_KEY)]).await
}

#[tokio::test]
async fn whoever_looks_at_a_user_on_the_wrong_node_is_told_what_he_has_on_the_others() {
    let redis = Redis::start();
    let [east, west] = pair(&redis).await;
    let _busy = ann(&west).await;
    let seen = user(&east).await;
    assert_eq!((&seen["used"], &seen["sessions"]), (&json!(2), &json!([])), "{seen}");
    let expected = [
        [json!("west"), json!("t1"), json!("alive"), json!(true)],
        [json!("west"), json!("t2"), json!("detached"), json!(false)],
    ];
    assert_eq!(elsewhere(&seen), expected, "{seen}");
    let alive = seen["elsewhere"].as_array().unwrap().iter().find(|row| row["thread"] == "t1").unwrap();
    assert!(alive["health"].as_u64().unwrap() > 50 && alive["unused_for"].is_u64(), "{alive}");
    assert_eq!(alive["incarnation"].as_str().map(str::len), Some(16), "{alive}");
    let (_, story) = told(&east, Ask::get("/v1/admin/users/ann/explain")).await;
    assert_eq!(elsewhere(&story), expected, "{story}");
    let at_home = user(&west).await;
    assert_eq!((&at_home["used"], elsewhere(&at_home)), (&json!(2), vec![]), "{at_home}");
}

#[tokio::test]
async fn lychgate_explain_names_the_sessions_on_other_nodes_also_where_nothing_was_decided() {
    let redis = Redis::start();
    let [east, west] = pair(&redis).await;
    let _busy = ann(&west).await;
    let said = explain(&east, &[]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let row = said.out.lines().find(|line| line.contains("t1")).unwrap_or_else(|| panic!("{said:?}"));
    assert!(row.contains("west") && row.contains("alive") && row.contains("protected"), "{row}");
    let _here = tab(&east, "t3").await;
    let said = explain(&east, &[]).await;
    assert!(said.out.contains("admitted") && said.out.contains("west"), "{said:?}");
    let json = explain(&east, &["--json"]).await;
    assert!(json.lines().iter().all(|line| line["verdict"].is_string()), "one decision per line: {json:?}");
}

#[tokio::test]
async fn of_a_node_that_does_not_answer_it_is_told_which_sessions_it_has_and_not_how_they_are() {
    let redis = Redis::start();
    let [east, mut west] = pair(&redis).await;
    let _busy = ann(&west).await;
    west.process.signal(Signal::STOP);
    let seen = user(&east).await;
    let expected = [
        [json!("west"), json!("t1"), Value::Null, Value::Null],
        [json!("west"), json!("t2"), Value::Null, Value::Null],
    ];
    assert_eq!(elsewhere(&seen), expected, "{seen}");
    west.process.signal(Signal::CONT);
}

#[tokio::test]
async fn while_redis_is_away_it_is_said_that_nobody_can_tell_what_a_user_has_elsewhere() {
    let redis = Redis::start();
    let [east, _west] = pair(&redis).await;
    redis.freeze();
    let seen = user(&east).await;
    assert_eq!((&seen["elsewhere_unknown"], &seen["used"]), (&json!(true), &json!(0)), "{seen}");
    redis.thaw();
}
