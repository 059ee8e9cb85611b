//! Redis behind sentinels, and Redis Cluster: a failover is another data set, and closes nobody.

use super::*;
use crate::redis_server::sharded::Sharded;
use crate::redis_server::watched::Watched;

/// Of nodes that meet there.
pub(super) fn settings_at(url: &str) -> config::Redis {
    config::Redis {
        url: RedisUrl::of_test(url),
        prefix: "t".to_owned(),
        name: "test".to_owned(),
        node_name: None,
        node_address: None,
        node_lease: Duration::from_secs(8),
        command_timeout: Duration::from_secs(1),
    }
}

fn pair(url: &str) -> [TestNode; 2] {
    [TestNode::start(settings_at(url)), TestNode::start(settings_at(url))]
}

/// Each of the nodes holds one; afterwards all places of the user are taken.
fn fill(nodes: &[TestNode; 2]) -> BTreeSet<LeaseId> {
    let old = nodes.iter().flat_map(|node| node.hold("u", 2, 1)).collect::<BTreeSet<_>>();
    assert_eq!(old.len(), 2);
    assert_eq!(holders(nodes[0].acquire(&nodes[0].claim("u", 2))).len(), 2);
    old
}

/// The nodes count together again, nobody was closed, and all places are taken as before.
fn still_full(nodes: &[TestNode; 2], old: &BTreeSet<LeaseId>) {
    until("both count together again", || nodes.iter().all(|node| node.is_healthy() && node.is_settled()));
    for node in nodes {
        until("all that is held is known", || match node.acquire(&node.claim("u", 2)) {
            Outcome::Denied { holders } => holders.iter().map(|holder| holder.lease).collect::<BTreeSet<_>>() == *old,
            Outcome::Unknown(_) => false,
            other => panic!("{other:?}: nobody gave a place up"),
        });
        assert!(node.heard.taken().is_empty());
    }
}

/// One goes for a newcomer of the other node, which is told over pub/sub or by mail.
fn swap(nodes: &[TestNode; 2], old: &BTreeSet<LeaseId>) {
    let newcomer = nodes[1].claim("u", 2);
    let victims = holders(nodes[1].acquire(&newcomer));
    let theirs: Vec<_> = victims.into_iter().filter(|victim| victim.node == nodes[0].redis.incarnation()).collect();
    assert!(theirs.len() == 1 && old.contains(&theirs[0].lease));
    let swapped = nodes[1].wait(nodes[1].redis.acquire(newcomer, &theirs).wait());
    assert!(matches!(swapped, Outcome::Granted { used: 2, .. }), "{swapped:?}");
    until("it is told", || nodes[0].heard.taken() == BTreeSet::from([theirs[0].lease]));
}

#[test]
fn when_the_master_behind_sentinels_is_gone_nobody_is_closed_and_all_places_count_at_the_next_one() {
    let mut watched = Watched::start();
    let nodes = pair(&watched.url());
    // The next master knows both nodes, and not what they hold.
    watched.cut_off_replica();
    let old = fill(&nodes);
    let data = |server: &Server| server.command(&["HMGET", "t:{cluster}", "generation", "run"]);
    let before = data(&watched.servers[0]);
    watched.fail_over();
    still_full(&nodes, &old);
    assert!(data(&watched.servers[1]).lines().zip(before.lines()).all(|(now, before)| now != before));
    swap(&nodes, &old);
}

#[test]
fn a_failover_in_order_is_another_data_set_as_well() {
    let watched = Watched::start();
    let nodes = pair(&watched.url());
    let old = fill(&nodes);
    assert_eq!(watched.sentinels[0].command(&["SENTINEL", "FAILOVER", "the-master"]), "OK");
    watched.await_promotion();
    // Until a sentinel tells the former master that it is a replica, it still serves.
    let run_id = watched.servers[1].said("run_id");
    until("the nodes follow", || watched.servers[1].command(&["HGET", "t:{cluster}", "run"]).starts_with(&run_id));
    still_full(&nodes, &old);
}

#[test]
fn a_server_that_was_a_replica_meanwhile_is_another_data_set_also_where_its_connections_stayed() {
    let (server, other) = (Server::start(), Server::start());
    let node = TestNode::start(settings(&server));
    let old = node.hold("u", 1, 1);
    let generation = || server.command(&["HGET", "t:{cluster}", "generation"]);
    let before = generation();
    // As a failover there and back between two beats: the data are the other one's, the process is the same.
    server.command(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    until("it has what the other one has", || server.said("master_link_status") == "up");
    server.command(&["REPLICAOF", "NO", "ONE"]);
    until("it is another data set", || !generation().is_empty() && generation() != before);
    until("what was held is said again", || held(&server, "u") == old.iter().copied().collect());
    assert!(node.heard.taken().is_empty());
}

#[test]
fn a_redis_cluster_keeps_all_leases_in_one_slot_and_its_failover_closes_nobody() {
    let mut sharded = Sharded::start();
    let nodes = pair(&sharded.url());
    let old = fill(&nodes);
    let heir = sharded.fail_over("{t}").port();
    still_full(&nodes, &old);
    swap(&nodes, &old);
    let keys = sharded.nodes.iter().filter(|node| node.port() == heir).map(|node| node.command(&["KEYS", "*"]));
    let keys = keys.collect::<String>();
    assert!(keys.contains("{t}:u:{u}:held") && keys.lines().all(|key| key.starts_with("{t}:")), "{keys}");
}

#[test]
fn a_slot_that_is_moved_to_another_node_is_found_there() {
    let sharded = Sharded::start();
    let nodes = pair(&sharded.url());
    let old = fill(&nodes);
    let owner = sharded.owner("{t}");
    let (from, to) = (&sharded.nodes[owner], &sharded.nodes[(owner + 1) % 3]);
    let slot = from.command(&["CLUSTER", "KEYSLOT", "{t}"]);
    let id = |node: &Server| node.command(&["CLUSTER", "MYID"]);
    assert_eq!(to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]), "OK");
    assert_eq!(from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]), "OK");
    until("all keys have moved", || {
        let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
        for key in keys.lines() {
            from.command(&["MIGRATE", "127.0.0.1", &to.port().to_string(), key, "0", "5000"]);
        }
        keys.is_empty()
    });
    for node in [to, from] {
        assert_eq!(node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(to)]), "OK");
    }
    still_full(&nodes, &old);
    assert!(to.command(&["EXISTS", "{t}:{cluster}"]) == "1");
    swap(&nodes, &old);
}
