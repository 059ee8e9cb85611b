//! Against real servers, sentinels and nodes: who is found, who is not, and when.

use std::time::Instant;

use super::*;
use crate::redis_server::Redis;
use crate::redis_server::sharded::Sharded;
use crate::redis_server::watched::Watched;

const DEADLINE: Duration = Duration::from_millis(2_000);

async fn find(url: &str) -> Result<Found, Astray> {
    Whereabouts::new(&RedisUrl::of_test(url), "{p}:key", DEADLINE).unwrap().open().await
}

/// The port of the server that was found.
async fn found(url: &str) -> u16 {
    let mut connection = find(url).await.unwrap().connection;
    let mut port = redis::cmd("CONFIG");
    let told: (String, u16) = port.arg("GET").arg("port").query_async(&mut connection).await.unwrap();
    told.1
}

async fn misplaced(url: &str) -> Misplaced {
    match find(url).await {
        Err(Astray::Misplaced(misplaced)) => misplaced,
        other => panic!("{other:?}"),
    }
}

async fn unfit(url: &str) -> &'static str {
    match find(url).await {
        Err(Astray::Unfit(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_address_that_means_something_else_is_told_apart_from_one_where_nobody_is() {
    let (single, mut watched, sharded) = (Redis::start(), Watched::start(), Sharded::start());
    let servers = [&single, &watched.sentinels[0], &sharded.nodes[0]];
    let [plain, sentinel, node] = servers.map(|redis| format!("127.0.0.1:{}", redis.port()));
    assert_eq!(misplaced(&format!("redis://{sentinel}")).await, Misplaced::IsSentinel);
    assert_eq!(misplaced(&format!("redis+cluster://{sentinel}")).await, Misplaced::IsSentinel);
    assert_eq!(misplaced(&format!("redis://{node}")).await, Misplaced::IsCluster);
    assert_eq!(misplaced(&format!("redis+cluster://{plain}")).await, Misplaced::NoCluster);
    assert_eq!(misplaced(&format!("redis+sentinel://{plain}/m")).await, Misplaced::NoSentinel);
    let unknown = misplaced(&format!("redis+sentinel://{sentinel}/other")).await.to_string();
    assert_eq!(unknown, "names the master \"other\", and the sentinels know \"the-master\"");
    let replica = watched.servers[1].url();
    assert_eq!(unfit(&replica).await, "it is a replica, which takes no writes");
    // One of several that is what the address says is enough.
    assert_eq!(found(&format!("redis+cluster://{plain},{node}")).await, sharded.nodes[sharded.owner("{p}")].port());
    watched.sentinels.iter_mut().for_each(Redis::kill);
    assert!(matches!(find(&watched.url()).await, Err(Astray::Failed(error)) if error.is_io_error()));
}

#[tokio::test]
async fn the_master_and_the_sentinels_have_a_password_each() {
    let watched = Watched::with_passwords("one", "two");
    assert_eq!(found(&watched.url()).await, watched.servers[0].port());
    let theirs = watched.url().replace("sentinel_password=two", "sentinel_password=hunter2");
    assert_eq!(misplaced(&theirs).await, Misplaced::SentinelDenies);
    let none = watched.url().replace("?sentinel_password=two", "");
    assert_eq!(misplaced(&none).await, Misplaced::SentinelDenies);
    for wrong in ["//:hunter2@", "//"] {
        let Err(Astray::Failed(error)) = find(&watched.url().replace("//:one@", wrong)).await else {
            panic!("{wrong}")
        };
        assert!(is_denial(&error), "{error}");
    }
}

#[tokio::test]
async fn sentinels_that_hang_or_are_gone_keep_nobody_waiting_for_longer_than_the_deadline() {
    let mut watched = Watched::start();
    watched.sentinels[0].freeze();
    let begun = Instant::now();
    assert_eq!(found(&watched.url()).await, watched.servers[0].port());
    assert!(begun.elapsed() < DEADLINE / 2, "the other two are a majority: {:?}", begun.elapsed());
    watched.sentinels[1].kill();
    assert_eq!(found(&watched.url()).await, watched.servers[0].port());
    watched.sentinels[2].freeze();
    let begun = Instant::now();
    assert!(find(&watched.url()).await.is_err());
    assert!(begun.elapsed() < DEADLINE * 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn after_a_failover_the_new_master_is_found_whatever_a_sentinel_that_was_cut_off_says() {
    let mut watched = Watched::start();
    let before = find(&watched.url()).await.unwrap().server.run;
    watched.sentinels[0].freeze();
    watched.servers[0].kill();
    let promoted = watched.servers[1].port();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !find(&watched.url()).await.is_ok_and(|found| found.server.run != before) {
        assert!(Instant::now() < deadline, "nobody was promoted");
    }
    // It still names the former master, until another one tells it.
    watched.servers[0].restart();
    watched.sentinels[0].thaw();
    assert_eq!(found(&watched.url()).await, promoted);
}

#[tokio::test]
async fn a_server_that_was_a_replica_meanwhile_has_other_data() {
    let (one, other) = (Redis::start(), Redis::start());
    let run = async || find(&one.url()).await.unwrap().server.run;
    let before = run().await;
    one.command(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while one.said("master_link_status") != "up" {
        assert!(Instant::now() < deadline, "it follows nobody");
        tokio::task::yield_now().await;
    }
    one.command(&["REPLICAOF", "NO", "ONE"]);
    assert_ne!(run().await, before);
    assert_eq!(run().await, run().await);
}

#[tokio::test]
async fn every_node_of_a_redis_cluster_leads_to_the_one_that_has_our_keys_also_after_a_failover() {
    let mut sharded = Sharded::start();
    let owner = sharded.nodes[sharded.owner("{p}")].port();
    for node in &sharded.nodes {
        assert_eq!(found(&format!("redis+cluster://127.0.0.1:{}", node.port())).await, owner);
    }
    let stranger = (sharded.owner("{p}") + 1) % 3;
    sharded.nodes[stranger].freeze();
    assert_eq!(found(&sharded.url()).await, owner, "one that hangs is not waited for");
    sharded.nodes[stranger].thaw();
    let heir = sharded.fail_over("{p}").port();
    assert_eq!(found(&sharded.url()).await, heir);
}
