//! Gateways that meet behind sentinels, and in a Redis Cluster: what a failover does to them.

use std::path::PathBuf;

use super::*;
use crate::redis_server::sharded::Sharded;
use crate::redis_server::watched::Watched;

/// Where a node keeps what its doors remember.
struct Folder(PathBuf);

impl Folder {
    fn new(port: u16, number: usize) -> Self {
        Self(std::env::temp_dir().join(format!("lychgate-reach-{}-{port}-{number}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Two nodes whose leases and threads are at one address.
async fn pair(url: &str, folders: &[Folder; 2]) -> [Gateway; 2] {
    let start = async |folder: &Folder| {
        let cluster = [r#"cluster.kind = "redis""#.to_owned(), format!("cluster.url = {url:?}")];
        let journal = [r#"journal.kind = "redis""#.to_owned(), format!("journal.url = {url:?}")];
        let place = [format!("journal.directory = {:?}", folder.0)];
        let limits = ["limits.max_sessions_per_user = 2", "limits.reserve_sessions = 0"].map(str::to_owned);
        let keys: Vec<String> = cluster.into_iter().chain(journal).chain(place).chain(limits).collect();
        Gateway::start(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    [start(&folders[0]).await, start(&folders[1]).await]
}

/// Asks, and waits for the end of the answer.
async fn run(tab: &mut Client, thread: &str, run: &str) {
    let input = json!({"messages": [{"id": run, "role": "user", "content": "one two three"}]});
    tab.say(json!({"type": "run", "thread": thread, "run": run, "input": input})).await;
    while tab.wait_for("event").await["event"]["type"] != "RUN_FINISHED" {}
}

async fn survives(url: &str, folders: [Folder; 2], fail_over: impl FnOnce()) {
    let nodes = pair(url, &folders).await;
    let mut tabs = [tab(&nodes[0], "t1").await, tab(&nodes[1], "t2").await];
    run(&mut tabs[0], "t1", "r1").await;
    let begun = Instant::now();
    fail_over();
    println!("promoted after {:?}", begun.elapsed());
    for node in &nodes {
        node.process.line_with("cluster.unknown").await;
        node.process.line_with("cluster.healthy").await;
        assert_eq!(
            node.metric("lychgate_evictions_total").await,
            0.0,
            "nobody goes because another server is the master"
        );
    }
    println!("together again after {:?}", begun.elapsed());
    assert_eq!(sessions(&nodes).await, 2.0);
    // The same thread goes on, and its places count on both nodes.
    run(&mut tabs[0], "t1", "r2").await;
    let _newcomer = tab(&nodes[1], "t3").await;
    assert_eq!(sessions(&nodes).await, 2.0);
}

#[tokio::test]
async fn two_gateways_behind_sentinels_go_on_together_when_the_master_is_killed() {
    let mut watched = Watched::start();
    let folders = [0, 1].map(|number| Folder::new(watched.servers[0].port(), number));
    survives(&watched.url(), folders, || watched.fail_over()).await;
}

#[tokio::test]
async fn two_gateways_in_a_redis_cluster_go_on_together_when_the_master_of_their_keys_is_killed() {
    let mut sharded = Sharded::start();
    let folders = [0, 1].map(|number| Folder::new(sharded.nodes[0].port(), number));
    survives(&sharded.url(), folders, || {
        sharded.fail_over("{lychgate}");
    })
    .await;
}
