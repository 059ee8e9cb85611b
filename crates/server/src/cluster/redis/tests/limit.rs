//! What a user may hold, over two nodes that answer.

use super::*;
use crate::cluster::Room;

#[test]
fn two_nodes_never_hold_more_than_the_limit() {
    let server = Server::start();
    let nodes = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    let granted = std::thread::scope(|scope| {
        let tries = nodes.each_ref().map(|node| scope.spawn(|| node.hold("u", 20, 100)));
        tries.map(|tried| tried.join().unwrap()).concat()
    });
    assert_eq!(granted.len(), 20);
    assert_eq!(held(&server, "u"), granted.into_iter().collect());
}

#[test]
fn a_place_that_is_asked_for_again_is_the_same_place() {
    let server = Server::start();
    let node = TestNode::start(settings(&server));
    let claim = node.claim("u", 1);
    let first = node.acquire(&claim);
    let Outcome::Granted { used: 1, epoch, room: Room::Free } = first else { panic!("{first:?}") };
    // Whether somebody went for it is not remembered.
    assert_eq!(node.acquire(&claim), Outcome::Granted { used: 1, epoch, room: Room::Made });
    assert_eq!(held(&server, "u").len(), 1);
    let holders = holders(node.acquire(&node.claim("u", 1)));
    assert_eq!((holders.len(), holders[0].lease, &holders[0].facts), (1, claim.lease, &claim.facts));
}

#[test]
fn users_whose_ids_hold_braces_and_quotes_have_places_of_their_own() {
    let server = Server::start();
    let node = TestNode::start(settings(&server));
    for user in ["{a}:held", "{a}", "a\" }{ \\", "105945141827451681156"] {
        assert_eq!(node.hold(user, 2, 3).len(), 2, "{user}");
    }
}

#[test]
fn a_place_given_back_is_free_on_the_other_node() {
    let server = Server::start();
    let nodes = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    let claim = nodes[0].claim("u", 1);
    assert!(matches!(nodes[0].acquire(&claim), Outcome::Granted { .. }));
    nodes[0].redis.release(&claim.user, claim.lease);
    until("the place is free", || !nodes[1].hold("u", 1, 1).is_empty());
}

#[test]
fn a_late_acquire_after_its_release_or_its_loss_does_not_revive_it() {
    let server = Server::start();
    let nodes = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    let released = nodes[0].claim("u", 1);
    nodes[0].acquire(&released);
    nodes[0].redis.release(&released.user, released.lease);
    until("it is released", || is_fenced(&server, "u", released.lease));
    assert!(matches!(nodes[0].acquire(&released), Outcome::Taken { .. }));

    let lost = nodes[0].claim("u", 1);
    nodes[0].acquire(&lost);
    let newcomer = nodes[1].claim("u", 1);
    let victims = holders(nodes[1].acquire(&newcomer));
    let swapped = nodes[1].wait(nodes[1].redis.acquire(newcomer.clone(), &victims).wait());
    assert!(matches!(swapped, Outcome::Granted { used: 1, .. }), "{swapped:?}");
    assert!(matches!(nodes[0].acquire(&lost), Outcome::Taken { .. }));
    assert_eq!(held(&server, "u"), BTreeSet::from([newcomer.lease]));
}

#[test]
fn of_many_who_want_the_same_victims_place_one_gets_it() {
    let server = Server::start();
    let nodes = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    let claim = nodes[0].claim("u", 1);
    nodes[0].acquire(&claim);
    let victims = holders(nodes[1].acquire(&nodes[1].claim("u", 1)));
    let swap = |node: &TestNode| {
        let asked = (0..20).map(|_| node.redis.acquire(node.claim("u", 1), &victims).wait());
        let outcomes = node.wait(join_all(asked));
        outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Granted { .. })).count()
    };
    let won = std::thread::scope(|scope| {
        nodes.each_ref().map(|node| scope.spawn(|| swap(node))).map(|swapped| swapped.join().unwrap())
    });
    assert_eq!((won[0] + won[1], held(&server, "u").len()), (1, 1));
    until("the victim's node hears of it", || nodes[0].heard.taken() == BTreeSet::from([claim.lease]));
    assert!(nodes[1].heard.taken().is_empty());
}

#[test]
fn a_swap_takes_no_more_places_than_it_needs_and_never_raises_what_is_above_the_limit() {
    let server = Server::start();
    let node = TestNode::start(settings(&server));
    node.hold("u", 4, 4);
    let all = holders(node.acquire(&node.claim("u", 2)));
    // Two above the limit: a place for a place.
    let granted = node.wait(node.redis.acquire(node.claim("u", 2), &all[..1]).wait());
    assert!(matches!(granted, Outcome::Granted { used: 4, .. }), "{granted:?}");
    // One that is not held any more is none.
    assert_eq!(holders(node.wait(node.redis.acquire(node.claim("u", 2), &all[..1]).wait())).len(), 4);
    let granted = node.wait(node.redis.acquire(node.claim("u", 4), &all[1..]).wait());
    assert!(matches!(granted, Outcome::Granted { used: 4, .. }), "{granted:?}");
    until("two sessions are closed", || node.heard.taken() == all[..2].iter().map(|holder| holder.lease).collect());
}

#[test]
fn an_admission_that_nobody_waits_for_gives_its_place_back() {
    let server = Server::start();
    let node = TestNode::start(settings(&server));
    server.freeze();
    let claim = node.claim("u", 1);
    let Answer::Later(mut asked) = node.redis.acquire(claim.clone(), &[]) else { panic!("it was not asked") };
    // It leaves, and its client goes away before the answer.
    let answered = node.wait(async { tokio::time::timeout(Duration::from_millis(100), &mut asked).await });
    assert!(answered.is_err());
    drop(asked);
    server.thaw();
    until("it is given back", || is_fenced(&server, "u", claim.lease));
    assert!(held(&server, "u").is_empty());
}

#[test]
fn the_dead_of_an_excess_give_way_to_those_who_live_and_not_to_a_newcomer() {
    let server = Server::start();
    let nodes = [TestNode::start(settings(&server)), TestNode::start(settings(&server))];
    nodes.iter().for_each(|node| (0..2).for_each(|_| node.redis.keep(node.claim("u", 2))));
    until("all is told", || held(&server, "u").len() == 4);
    let [living, dead] = nodes;
    dead.kill();
    until("it is buried", || living.redis.nodes().len() == 1);
    let holders = holders(living.acquire(&living.claim("u", 2)));
    assert_eq!((holders.len(), held(&server, "u").len()), (2, 2), "the limit is 2, and two live");
}
