//! A Redis Cluster: three masters that share the slots, and a replica of each.

use std::fs;
use std::path::PathBuf;

use super::{Port, Redis, until};

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

/// Six processes that go with the test.
#[derive(Debug)]
pub(crate) struct Sharded {
    /// The masters at the start, then a replica of each in the same order.
    pub(crate) nodes: Vec<Redis>,
    place: PathBuf,
    /// Where they talk to each other: 10,000 above the port, as Redis would have it, need not be a port.
    _buses: Vec<Port>,
}

impl Sharded {
    /// All slots are served, every replica follows its master.
    pub(crate) fn start() -> Self {
        let buses: Vec<Port> = (0..MASTERS * 2).map(|_| Port::free()).collect();
        let place = std::env::temp_dir().join(format!("lychgate-cluster-{}-{}", std::process::id(), buses[0].number));
        fs::create_dir_all(&place).unwrap();
        let nodes: Vec<Redis> = buses.iter().map(|bus| node(&place, bus.number)).collect();
        let port = nodes[0].port().to_string();
        let bus = nodes[0].command(&["CONFIG", "GET", "cluster-port"]).lines().nth(1).unwrap_or_default().to_owned();
        for (number, node) in nodes.iter().enumerate() {
            assert_eq!(node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]), "OK");
            if number > 0 {
                assert_eq!(node.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]), "OK");
            }
        }
        let sharded = Self { nodes, place, _buses: buses };
        sharded.share_slots();
        sharded
    }

    fn share_slots(&self) {
        let state = |node: &Redis, wanted: &str| node.command(&["CLUSTER", "INFO"]).contains(wanted);
        let (masters, replicas) = self.nodes.split_at(MASTERS);
        until("all know each other", || self.nodes.iter().all(|node| state(node, "cluster_known_nodes:6")));
        for (number, master) in masters.iter().enumerate() {
            let first = (SLOTS * number / MASTERS).to_string();
            let last = (SLOTS * (number + 1) / MASTERS - 1).to_string();
            assert_eq!(master.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]), "OK");
        }
        for (master, replica) in masters.iter().zip(replicas) {
            let id = master.command(&["CLUSTER", "MYID"]);
            until("the replica takes its master", || replica.command(&["CLUSTER", "REPLICATE", &id]) == "OK");
        }
        until("all slots are served", || self.nodes.iter().all(|node| state(node, "cluster_state:ok")));
        until("the replicas follow", || replicas.iter().all(|replica| replica.said("master_link_status") == "up"));
        until("the masters know it", || masters.iter().all(|master| master.said("connected_slaves") == "1"));
    }

    /// Names every node.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// Which of the masters at the start has the key.
    pub(crate) fn owner(&self, key: &str) -> usize {
        let slot: usize = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).parse().unwrap();
        (0..MASTERS).rfind(|number| SLOTS * number / MASTERS <= slot).unwrap()
    }

    /// The key's master is killed; returns its replica, once that has the slot and takes writes.
    pub(crate) fn fail_over(&mut self, key: &str) -> &Redis {
        let owner = self.owner(key);
        self.nodes[owner].kill();
        let heir = &self.nodes[owner + MASTERS];
        until("the replica has the slot", || !heir.command(&["EXISTS", key]).starts_with('-'));
        heir
    }
}

impl Drop for Sharded {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.place);
    }
}

fn node(place: &std::path::Path, bus: u16) -> Redis {
    let (file, bus) = (format!("nodes-{bus}.conf"), bus.to_string());
    let place = place.display().to_string();
    Redis::with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-config-file",
        &file,
        "--dir",
        &place,
        "--cluster-port",
        &bus,
        "--cluster-node-timeout",
        "1500",
    ])
}

#[test]
fn a_replica_takes_the_slots_of_a_master_that_is_gone() {
    let mut sharded = Sharded::start();
    assert!(sharded.url().starts_with("redis+cluster://127.0.0.1:"), "{}", sharded.url());
    let owner = sharded.owner("{tag}:key");
    assert_eq!(sharded.nodes[owner].command(&["SET", "{tag}:key", "value"]), "OK");
    assert!(sharded.nodes[(owner + 1) % MASTERS].command(&["GET", "{tag}:key"]).starts_with("-MOVED"));
    let heir = sharded.fail_over("{tag}:key");
    assert_eq!(heir.command(&["SET", "{tag}:key", "other"]), "OK");
}
