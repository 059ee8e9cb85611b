//! What the driver remembers of decisions, the plans it puts users on, the records it repairs.

use lychgate_core::explain::{Filter, Reclaimed, Verdict};
use lychgate_core::{Cause, Plans, ReclaimLevel, ZombieKind};

use super::*;

fn one_session() -> LimitSpec {
    LimitSpec { max_sessions_per_user: 1, ..LimitSpec::default() }
}

// The peers of this test answer nothing, but the runtime has to beat, or its silence would be held against nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eviction_stands_in_the_record_with_its_evidence_after_everybody_left() {
    let mut node = Node::start(one_session(), wide()).await;
    let _reaper = Reaper::start(Arc::clone(&node.driver), PATIENCE, |_| {}).unwrap();
    let first = node.connect("ann", 1).await;
    node.open(&first, "old");
    let second = node.connect("ann", 2).await;
    node.open(&second, "new");
    second.heard(Sign::Data);
    node.wait_for(|told| match told {
        Told::Event(Event::SessionCreated { key, .. }) if key.thread().as_str() == "new" => Some(()),
        _ => None,
    });
    drop((first, second));
    let known = node.driver.explain(&user("ann")).unwrap();
    let evicted = known.decisions.iter().find_map(|decision| match &decision.verdict {
        Verdict::Evicted(reason, reclaimed) => {
            let Reclaimed { eviction, cause } = &**reclaimed;
            Some((decision.thread.clone(), *reason, eviction.level, cause.clone()))
        }
        _ => None,
    });
    let thread = Some(ThreadId::parse("old").unwrap());
    let newcomer = Cause::Newcomer(ThreadId::parse("new").unwrap());
    assert_eq!(evicted, Some((thread, EvictReason::Unresponsive, ReclaimLevel::Aggressive, newcomer)));
    assert!(node.driver.explained().0 > 0);
    assert_eq!(node.driver.explain(&user("bob")), None);
}

/// Hazard R7: the frame was read before the socket was torn down, and had to wait for the lock under which that was decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_heard_after_its_burial_proves_the_verdict_wrong_once() {
    let mut node = Node::start(one_session(), wide()).await;
    let _reaper = Reaper::start(Arc::clone(&node.driver), PATIENCE, |_| {}).unwrap();
    let first = node.connect("ann", 1).await;
    node.open(&first, "old");
    let second = node.connect("ann", 2).await;
    node.open(&second, "new");
    second.heard(Sign::Data);
    let buried = node.wait_for(|told| match told {
        Told::Event(Event::Zombie { connection, kind, .. }) => Some((connection, kind)),
        Told::Event(_) | Told::Attached(_) | Told::Detached => None,
    });
    assert_eq!(buried, (first.connection(), ZombieKind::HalfOpen));
    first.heard(Sign::Pong);
    first.heard(Sign::Data);
    second.heard(Sign::Data);
    drop((first, second));
    let mut disproved = Vec::new();
    node.wait_for(|told| match told {
        Told::Event(Event::VerdictDisproved { connection, kind, .. }) => {
            disproved.push((connection, kind));
            None
        }
        // The last one.
        Told::Event(Event::Disconnected { connection, .. }) => (connection != buried.0).then_some(()),
        Told::Event(_) | Told::Attached(_) | Told::Detached => None,
    });
    assert_eq!(disproved, [buried]);
}

#[tokio::test]
async fn a_page_that_promised_to_answer_itself_does_not_live_by_the_pongs_of_its_browser() {
    let node = Node::start(one_session(), wide()).await;
    let (ann, connection) = (user("ann"), ConnectionId::from_random(1));
    let mut shard = node.driver.shard(&ann);
    shard.buried.push((connection, ZombieKind::HalfOpen));
    shard.on_words(&ann, connection, Heartbeat::Application, Sign::Pong);
    assert!(shard.disproved.is_empty());
    shard.on_words(&ann, connection, Heartbeat::Application, Sign::Data);
    assert_eq!(shard.disproved, [Event::VerdictDisproved { user: ann, connection, kind: ZombieKind::HalfOpen }]);
}

#[tokio::test]
async fn the_plan_of_a_token_sets_the_limits_and_an_unknown_plan_is_none() {
    let mut node = Node::start(LimitSpec::default(), wide()).await;
    let pro = LimitSpec { max_sessions_per_user: 40, max_runs_per_user: 7, ..LimitSpec::default() };
    let plans = Plans::new(Limits::default()).with("pro", Limits::new(pro).unwrap());
    let greeting = Greeting { ping_interval: Duration::from_secs(20), window: 512 };
    node.driver = Driver::new(plans, wide(), greeting, Arc::new(Recorder(Mutex::new(channel().0))));
    let plain = node.connect("ann", 1).await;
    assert_eq!(node.driver.usage(&user("ann")).limit, 20);
    plain.renew(None, Some("pro"), Proof::default());
    assert_eq!((node.driver.usage(&user("ann")).limit, node.driver.max_runs(&user("ann"))), (40, 7));
    plain.renew(None, Some("platinum"), Proof::default());
    assert_eq!(node.driver.usage(&user("ann")).limit, 20);
}

#[tokio::test]
async fn a_record_without_a_socket_is_found_while_the_node_runs_and_costs_no_slot() {
    let node = Node::start(one_session(), wide()).await;
    let (ann, connection) = (user("ann"), ConnectionId::from_random(1));
    node.driver.with_shard(&ann, |_| {
        Some(Input::Connect {
            user: ann.clone(),
            connection,
            prev: None,
            heartbeat: Heartbeat::Protocol,
            expires: None,
            plan: PlanId::default(),
        })
    });
    assert_eq!(node.driver.census().connections, 1);
    let _reaper = Reaper::start(Arc::clone(&node.driver), PATIENCE, |_| {}).unwrap();
    let kind = node.wait_for(|told| match told {
        Told::Event(Event::Zombie { kind, .. }) => Some(kind),
        _ => None,
    });
    assert_eq!(kind, ZombieKind::Ghost);
    assert_eq!(node.driver.census().connections, 0);
    let known = node.driver.explain(&ann).unwrap();
    assert!(known.decisions.iter().any(|decision| matches!(decision.verdict, Verdict::Repaired(_))));
}

#[tokio::test]
async fn everybodys_decisions_are_told_in_order_and_the_gateways_own_are_not() {
    let mut node = Node::start(LimitSpec::default(), wide()).await;
    let (ann, bob) = (node.connect("ann", 1).await, node.connect("bob", 2).await);
    let line = node.line().await;
    let own = node.driver.connect_self(line);
    for (registration, thread) in [(&ann, "a1"), (&own, "own"), (&bob, "b1"), (&ann, "a2")] {
        node.open(registration, thread);
    }
    let heard = node.driver.decisions(0, 100, &Filter::default());
    let threads: Vec<_> = heard.told.iter().map(|told| told.decision.thread.as_ref().unwrap().as_str()).collect();
    assert_eq!((threads, heard.next, heard.missed), (vec!["a1", "b1", "a2"], 3, 0));
    assert_eq!(node.driver.last_decision(), 3);
    let newest = node.driver.last_decisions(2, &Filter { user: Some(user("ann")), ..Filter::default() });
    assert_eq!(newest.told.iter().map(|told| told.sequence).collect::<Vec<_>>(), [1, 3]);
    let census = node.driver.census();
    assert_eq!((census.sessions, census.connections, census.users), (3, 2, 2));
    assert_eq!(node.driver.sessions_of(own.user()).len(), 1, "though it holds one");
    drop(own);
    assert_eq!(node.driver.sessions_of(&UserId::of_gateway()).len(), 0);
}

#[tokio::test]
async fn a_lock_that_somebody_holds_is_seen_without_waiting_for_it() {
    let node = Node::start(LimitSpec::default(), wide()).await;
    assert_eq!(node.driver.held(0), None);
    let guard = node.driver.shards[5].lock().unwrap();
    assert_eq!((node.driver.held(0), node.driver.held(6)), (Some(5), None));
    drop(guard);
    let shards = Arc::clone(&node.driver);
    let _ = std::thread::spawn(move || {
        let _guard = shards.shards[7].lock().unwrap();
        panic!("poisons it");
    })
    .join();
    assert_eq!(node.driver.held(0), None, "whoever comes next goes on with it");
}
