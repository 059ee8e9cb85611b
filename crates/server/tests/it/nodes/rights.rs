//! What a user of Redis has to be allowed, by the line that the documentation names.

use serde_json::json;
use tokio::task::yield_now;

use super::tab;
use crate::gateway::{Gateway, soon};
use crate::http::client::Ask;
use crate::redis_server::Redis;
use crate::redis_server::sharded::Sharded;

const DOCUMENTATION: &str = include_str!("../../../../../docs/cluster.md");

/// The words of the one command in docs/cluster.md that makes a user.
fn documented() -> Vec<String> {
    let mut lines = DOCUMENTATION.lines().filter(|line| line.trim_start().starts_with("ACL SETUSER lychgate "));
    let line = lines.next().expect("docs/cluster.md names the rights");
    assert!(lines.next().is_none(), "once");
    line.split_whitespace().map(|word| word.replace("PASSWORD", "right")).collect()
}

/// A node that shares leases and threads there.
async fn node(url: &str) -> Gateway {
    let keys = [
        "limits.max_sessions_per_user = 1".to_owned(),
        "limits.reserve_sessions = 0".to_owned(),
        r#"cluster.kind = "redis""#.to_owned(),
        r#"journal.kind = "redis""#.to_owned(),
        format!("cluster.url = {url:?}"),
        format!("journal.url = {url:?}"),
    ];
    Gateway::start(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn log_out(gateway: &Gateway, user: &str) {
    let ask = Ask::new("DELETE", format!("/v1/admin/users/{user}/sessions"));
    assert_eq!(ask.by_operator().send_to_admin(gateway).await.status, 200);
}

/// What any of them denied somebody.
fn denied(servers: &[Redis]) -> String {
    servers.iter().map(|server| server.command(&["ACL", "LOG"]).trim().to_owned()).collect()
}

fn change(servers: &[Redis], words: &[&str]) {
    servers.iter().for_each(|server| assert_eq!(server.command(words).trim(), "OK"));
}

/// All that two nodes want of Redis, as a user with these rights.
async fn suffice(servers: &[Redis], url: &str, words: &[String]) {
    change(servers, &words.iter().map(String::as_str).collect::<Vec<_>>());
    let url = url.replace("://", "://lychgate:right@");
    let nodes = [node(&url).await, node(&url).await];

    // Leases, and a place that another node gives up; a thread that is written on one and read on the other.
    let mut first = tab(&nodes[0], "t1").await;
    first.ask("t1", "r1", "one two three").await;
    let mut second = tab(&nodes[1], "t2").await;
    assert_eq!(first.expect("closed").await["reason"], json!("evicted"));
    second.say(json!({"type": "open", "thread": "t1"})).await;
    assert_eq!(second.wait_for("opened").await["thread"], json!("t1"));
    // The board.
    log_out(&nodes[0], "ann").await;
    second.expect_close(4513).await;

    assert_eq!(denied(servers), "", "Redis denied something");
    // A right less is noticed: the log is not always empty.
    change(servers, &["ACL", "SETUSER", "lychgate", "-xadd"]);
    log_out(&nodes[0], "bob").await;
    soon(async {
        while denied(servers).is_empty() {
            yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_with_the_rights_that_are_documented_is_denied_nothing() {
    let redis = [Redis::start()];
    suffice(&redis, &redis[0].url(), &documented()).await;
}

#[tokio::test]
async fn in_a_redis_cluster_the_same_rights_do_for_the_prefix_in_braces() {
    let cluster = Sharded::start();
    let words: Vec<_> = documented().iter().map(|word| word.replace("lychgate:*", "{lychgate}:*")).collect();
    suffice(&cluster.nodes, &cluster.url(), &words).await;
}
