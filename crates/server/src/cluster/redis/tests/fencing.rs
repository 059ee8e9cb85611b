//! What becomes of admissions when Redis lost its data (R33).

use super::*;

/// A node lease that makes newcomers wait for two seconds.
fn patient(server: &Server) -> config::Redis {
    config::Redis { node_lease: Duration::from_secs(10), ..settings(server) }
}

#[test]
fn a_flushed_redis_is_told_again_what_nodes_hold_and_admits_nobody_before() {
    let server = Server::start();
    let nodes = [TestNode::start(patient(&server)), TestNode::start(patient(&server))];
    let old: BTreeSet<LeaseId> = nodes[0].hold("u", 9, 3).into_iter().chain(nodes[1].hold("u", 9, 2)).collect();
    for _ in 0..3 {
        server.flush_all();
        let new = std::thread::scope(|scope| {
            let tries = nodes.each_ref().map(|node| scope.spawn(|| node.hold("u", 6, 10)));
            tries.map(|tried| tried.join().unwrap()).concat()
        });
        assert_eq!(new.len(), 1);
        let now = held(&server, "u");
        assert!(now.is_superset(&old) && now.len() == 6, "{now:?}");
        nodes.iter().for_each(|node| node.redis.release(&UserId::parse("u").unwrap(), new[0]));
        until("the newcomer's place is free", || held(&server, "u") == old);
    }
    assert!(nodes.iter().all(|node| node.heard.taken().is_empty()));
}

#[test]
fn while_a_node_has_not_said_what_it_holds_newcomers_wait_and_then_it_is_unknown() {
    let server = Server::start();
    let mut stopped = TestNode::start(patient(&server));
    let other = TestNode::start(patient(&server));
    stopped.hold("u", 1, 1);
    until("both know each other", || other.redis.nodes().len() == 2);
    stopped.stop();
    server.flush_all();
    let asked = Instant::now();
    assert_eq!(other.acquire(&other.claim("u", 1)), Outcome::Unknown(Trouble::Unsettled));
    let waited = asked.elapsed();
    assert!((Duration::from_millis(1_500)..Duration::from_millis(3_500)).contains(&waited), "{waited:?}");
    // The time is over: the next one does not wait.
    let asked = Instant::now();
    assert_eq!(other.acquire(&other.claim("u", 1)), Outcome::Unknown(Trouble::Unsettled));
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    stopped.go_on();
    until("both have said what they hold", || matches!(other.acquire(&other.claim("u", 1)), Outcome::Denied { .. }));
    assert!(stopped.heard.taken().is_empty());
}

#[test]
fn after_a_loss_nobody_is_told_that_an_incomplete_list_of_a_users_places_is_all() {
    let server = Server::start();
    let nodes = [TestNode::start(patient(&server)), TestNode::start(patient(&server))];
    let held: BTreeSet<LeaseId> = nodes.iter().flat_map(|node| node.hold("u", 9, 2)).collect();
    let user = UserId::parse("u").unwrap();
    let told = |node: &TestNode| {
        let Holders { known, is_all } = node.wait(node.redis.holders(user.clone()).wait());
        (known.iter().map(|holder| holder.lease).collect::<BTreeSet<_>>(), is_all)
    };
    for _ in 0..3 {
        server.flush_all();
        assert_eq!(told(&nodes[0]), (held.clone(), true), "both have said it within two seconds");
    }
    let [asks, mut stopped] = nodes;
    stopped.stop();
    server.flush_all();
    let (known, is_all) = told(&asks);
    assert!(known.len() == 2 && known.is_subset(&held) && !is_all, "what the other one holds nobody knows: {known:?}");
}

#[test]
fn who_is_out_of_the_table_because_redis_was_away_is_waited_for_after_a_loss() {
    let server = Server::start();
    let mut late = TestNode::start(patient(&server));
    let first = TestNode::start(patient(&server));
    late.hold("u", 1, 1);
    until("both know each other", || first.redis.nodes().len() == 2);
    // Away for longer than a lease: nobody can renew his own.
    late.stop();
    server.freeze();
    until("its lease is over", || first.redis.answered() > Some(Duration::from_millis(10_200)));
    server.thaw();
    until("one is back, and alone", || first.is_healthy() && first.redis.nodes().len() == 1);
    server.flush_all();
    let newcomer = first.acquire(&first.claim("u", 1));
    assert_eq!(newcomer, Outcome::Unknown(Trouble::Unsettled), "nobody knows what the other one holds");
    late.go_on();
    until("both have said what they hold", || matches!(first.acquire(&first.claim("u", 1)), Outcome::Denied { .. }));
    assert!(late.heard.taken().is_empty());
}

#[test]
fn a_server_that_came_back_with_old_data_is_told_anew_and_what_nobody_holds_goes() {
    let server = Server::start();
    let node = TestNode::start(patient(&server));
    let old = node.hold("u", 2, 1)[0];
    // A lease that was released after the last save, as a restart brings it back, and another run of the server.
    let generation = server.command(&["HGET", "t:{cluster}", "generation"]);
    let owner = node.redis.nodes()[0].incarnation;
    let ghost = LeaseId { life: 1, number: 1 };
    server.command(&["ZADD", "t:u:{u}:held", "1", &ghost.to_string()]);
    let facts = format!("{owner} {generation} {{\"thread\":\"t\"}}");
    server.command(&["HSET", "t:u:{u}:facts", &ghost.to_string(), &facts]);
    server.command(&["HSET", "t:{cluster}", "run", "another"]);
    until("it is another data set", || server.command(&["HGET", "t:{cluster}", "generation"]) != generation);
    let new = node.hold("u", 2, 2);
    assert_eq!(held(&server, "u"), new.into_iter().chain([old]).collect());
    assert!(node.heard.taken().is_empty());
}

#[test]
fn letters_of_a_master_whose_clock_is_behind_the_former_ones_are_read() {
    let server = Server::start();
    let nodes = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    let old = nodes[0].hold("u", 1, 1)[0];
    let mail = format!("t:{{cluster}}:mail:{}", nodes[0].redis.incarnation());
    // Read at the former master, whose clock is years ahead.
    let letter = ["user", "x", "lease", "0000000000000001.1", "epoch", "1"];
    server.command(&[&["XADD", &mail, "9999999999999-0"][..], &letter[..]].concat());
    until("it is read", || server.command(&["XLEN", &mail]) == "0");
    let generation = || server.command(&["HGET", "t:{cluster}", "generation"]);
    let before = generation();
    server.command(&["DEL", &mail]);
    server.command(&["HSET", "t:{cluster}", "run", "another"]);
    until("it is another data set", || generation() != before);
    let newcomer = nodes[1].claim("u", 1);
    let mut victims = Vec::new();
    until("what is held is known", || match nodes[1].acquire(&newcomer) {
        Outcome::Denied { holders } => {
            victims = holders;
            true
        }
        _ => false,
    });
    let swapped = nodes[1].wait(nodes[1].redis.acquire(newcomer, &victims).wait());
    assert!(matches!(swapped, Outcome::Granted { .. }), "{swapped:?}");
    until("the victim's node reads it", || nodes[0].heard.taken() == BTreeSet::from([old]));
}

#[test]
fn a_lease_whose_release_was_lost_is_found_when_somebody_is_denied_for_it() {
    let server = Server::start();
    let node = TestNode::start(settings(&server));
    let lost = node.hold("u", 1, 1)[0];
    node.redis.shared.ledger().taken(lost);
    assert_eq!(node.hold("u", 1, 1).len(), 1);
    assert!(is_fenced(&server, "u", lost));
}

#[test]
fn what_was_posted_while_a_node_did_not_listen_is_read_at_its_next_beat() {
    let server = Server::start();
    let nodes = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    let old = nodes[0].hold("u", 1, 1)[0];
    let newcomer = nodes[1].claim("u", 1);
    let victims = holders(nodes[1].acquire(&newcomer));
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    let swapped = nodes[1].wait(nodes[1].redis.acquire(newcomer, &victims).wait());
    assert!(matches!(swapped, Outcome::Granted { .. }));
    until("the victim's node reads it", || nodes[0].heard.taken() == BTreeSet::from([old]));
}

#[test]
fn a_node_that_came_back_under_another_name_hears_that_its_place_was_taken() {
    let server = Server::start();
    let [asking, mut stopped] = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    let theirs = stopped.hold("u", 1, 1)[0];
    let before = holders(asking.acquire(&asking.claim("u", 1)));
    stopped.stop();
    until("it is buried", || asking.redis.nodes().len() == 1);
    stopped.go_on();
    let owner = || server.command(&["HGET", "t:u:{u}:facts", &theirs.to_string()]);
    until("it has told it again", || !owner().starts_with(&before[0].node.to_string()));
    let swap = |victims: &[Holder]| asking.wait(asking.redis.acquire(asking.claim("u", 1), victims).wait());
    let now = holders(swap(&before));
    assert_eq!((now[0].lease, now[0].node == before[0].node), (theirs, false), "who has it now is told first");
    assert!(matches!(swap(&now), Outcome::Granted { .. }));
    until("its node hears", || stopped.heard.taken().contains(&theirs));
}
