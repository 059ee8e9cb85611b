//! Redis hung, killed, emptied; nodes stopped and killed.

use super::*;

#[test]
fn a_redis_that_hangs_is_unknown_within_the_deadline_and_comes_back_by_itself() {
    let server = Server::start();
    let node = TestNode::start(settings(&server));
    let (kept, given_up) = (node.claim("u", 5), node.claim("u", 5));
    server.freeze();
    let asked = Instant::now();
    assert_eq!(node.acquire(&kept), Outcome::Unknown(Trouble::Silent));
    assert!(asked.elapsed() < Duration::from_millis(1_500), "{:?}", asked.elapsed());
    assert!(!node.is_healthy());
    // From now on nobody waits.
    assert!(matches!(node.redis.acquire(given_up.clone(), &[]), Answer::Now(Outcome::Unknown(_))));
    node.redis.keep(kept.clone());
    node.redis.release(&given_up.user, given_up.lease);
    server.thaw();
    until("it is healthy", || node.is_healthy());
    until("what was kept is told", || held(&server, "u") == BTreeSet::from([kept.lease]));
    assert_eq!(node.hold("u", 5, 5).len(), 4);
}

#[test]
fn an_acquire_that_timed_out_and_was_given_up_is_undone() {
    let server = Server::start();
    let node = TestNode::start(settings(&server));
    let claims = [node.claim("u", 5), node.claim("u", 5)];
    server.freeze();
    let asked = join_all(claims.iter().map(|claim| node.redis.acquire(claim.clone(), &[]).wait()));
    let unknown = Outcome::Unknown(Trouble::Silent);
    assert_eq!(node.wait(asked), [unknown.clone(), unknown]);
    node.redis.release(&claims[0].user, claims[0].lease);
    node.redis.keep(claims[1].clone());
    server.thaw();
    until("the one is undone", || is_fenced(&server, "u", claims[0].lease));
    until("the other is held", || held(&server, "u") == BTreeSet::from([claims[1].lease]));
}

#[test]
fn a_redis_that_is_killed_closes_nobody_and_is_told_everything_when_it_is_back() {
    let mut server = Server::start();
    let nodes = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    let mut all: BTreeSet<LeaseId> = nodes.iter().flat_map(|node| node.hold("u", 9, 2)).collect();
    server.kill();
    for node in &nodes {
        until("it is unknown", || !node.is_healthy());
        let claim = node.claim("u", 9);
        assert!(matches!(node.acquire(&claim), Outcome::Unknown(_)));
        all.insert(claim.lease);
        node.redis.keep(claim);
    }
    server.restart();
    until("all is told again", || held(&server, "u") == all);
    until("both are healthy", || nodes.iter().all(TestNode::is_healthy));
    assert_eq!(nodes[0].hold("u", 7, 9).len() + nodes[1].hold("u", 7, 9).len(), 1);
    assert!(nodes.iter().all(|node| node.heard.taken().is_empty()));
}

#[test]
fn a_node_starts_although_redis_is_away_and_joins_when_it_is_there() {
    let mut server = Server::start();
    server.kill();
    let node = TestNode::start(settings(&server));
    assert!(!node.is_healthy());
    let claim = node.claim("u", 1);
    assert_eq!(node.acquire(&claim), Outcome::Unknown(Trouble::Unreachable));
    node.redis.keep(claim.clone());
    server.restart();
    until("it is told", || held(&server, "u") == BTreeSet::from([claim.lease]));
}

#[test]
fn a_killed_nodes_places_are_free_when_its_lease_is_over_and_not_before() {
    let server = Server::start();
    let nodes = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    let lease = settings(&server).node_lease;
    let [dead, alive] = nodes;
    let old = dead.hold("u", 2, 2);
    assert_eq!(holders(alive.acquire(&alive.claim("u", 2))).len(), 2);
    dead.kill();
    let free = until("a place is free", || !alive.hold("u", 2, 1).is_empty());
    // Its lease was renewed a fifth of it ago at most, twice that where the machine is busy.
    assert!(free > lease / 2 && free < lease + Duration::from_secs(1), "{free:?}");
    // One was needed, one was taken.
    assert_eq!(old.iter().filter(|lease| is_fenced(&server, "u", **lease)).count(), 1);
    assert_eq!((alive.hold("u", 2, 2).len(), held(&server, "u").len()), (1, 2));
}

#[test]
fn the_dead_are_out_before_anybody_is_denied_and_before_a_swap_takes_a_living_one() {
    let server = Server::start();
    let [dead, alive] = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    let old = dead.hold("u", 5, 2);
    let own: BTreeSet<LeaseId> = alive.hold("u", 5, 3).into_iter().collect();
    dead.kill();
    until("it is out of the table", || alive.redis.nodes().len() == 1);
    // The limit is lower by now: without the dead there is no room either, and nobody is admitted above those who live.
    let living = holders(alive.acquire(&alive.claim("u", 3)));
    assert_eq!(living.iter().map(|holder| holder.lease).collect::<BTreeSet<_>>(), own);
    assert!(old.iter().all(|lease| is_fenced(&server, "u", *lease)));
    let swapped = alive.wait(alive.redis.acquire(alive.claim("u", 3), &living[..1]).wait());
    assert!(matches!(swapped, Outcome::Granted { used: 3, .. }), "{swapped:?}");
    until("one session is closed", || alive.heard.taken() == BTreeSet::from([living[0].lease]));
}

#[test]
fn a_node_that_was_dead_while_it_was_stopped_closes_what_was_taken_and_keeps_the_rest() {
    let server = Server::start();
    let mut stopped = TestNode::start(settings(&server));
    let other = TestNode::start(settings(&server));
    let (old, rest) = (stopped.hold("u", 2, 2), stopped.hold("v", 2, 2));
    stopped.stop();
    until("a place is free", || !other.hold("u", 2, 1).is_empty());
    let (taken, kept): (Vec<_>, Vec<_>) = old.into_iter().partition(|lease| is_fenced(&server, "u", *lease));
    assert_eq!((taken.len(), kept.len()), (1, 1));
    stopped.go_on();
    until("it closes what was taken", || stopped.heard.taken() == taken.iter().copied().collect());
    // The rest counts again, for a living node: nobody gets a place of it.
    until("the rest is its own again", || {
        let holders = holders(other.acquire(&other.claim("v", 2)));
        holders.iter().all(|holder| {
            rest.contains(&holder.lease) && other.redis.nodes().iter().any(|n| n.incarnation == holder.node)
        })
    });
    assert!(other.hold("u", 2, 1).is_empty());
    assert_eq!(stopped.heard.taken().len(), 1);
    assert_eq!(held(&server, "v"), rest.into_iter().collect());
}

#[test]
fn a_node_that_leaves_frees_its_places_at_the_others_next_beat() {
    let server = Server::start();
    let [leaving, staying] = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    leaving.hold("u", 2, 2);
    leaving.wait(leaving.redis.leave().wait());
    let gone = until("it is out of the table", || staying.redis.nodes().len() == 1);
    assert!(gone < settings(&server).node_lease / 2, "{gone:?}");
    assert_eq!(staying.hold("u", 2, 3).len(), 2);
}

#[test]
fn the_time_of_nodes_decides_nothing() {
    // Deadlines are spans on the node's own monotonic clock; every time in the store is the server's. A node whose wall clock is
    // years off therefore differs in nothing: none of these files reads a wall clock, and no script is given a time.
    let sources = [
        include_str!("../admit.rs"),
        include_str!("../clerk.rs"),
        include_str!("../heart.rs"),
        include_str!("../ledger.rs"),
        include_str!("../mod.rs"),
        include_str!("../scripts.rs"),
        include_str!("../state.rs"),
    ];
    assert!(sources.iter().all(|source| !source.contains("SystemTime") && !source.contains("jiff")));
    let server = Server::start();
    let node = TestNode::start(settings(&server));
    let now = || server.command(&["TIME"]).lines().next().unwrap().parse::<u64>().unwrap();
    let before = now();
    node.hold("u", 1, 1);
    let since = holders(node.acquire(&node.claim("u", 1)))[0].since;
    assert!((before * 1_000..(now() + 1) * 1_000).contains(&since), "{since}");
}
