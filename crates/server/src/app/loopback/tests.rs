use lychgate_core::{ConnectionId, EvictReason, Heartbeat, Limits, Proof};

use super::*;
use crate::app::wiring::Wiring;
use crate::config;
use crate::driver::{Arrival, ConnectionBounds, Effects, Greeting};
use crate::journal::faulty::Faulty;
use crate::journal::memory::Memory;
use crate::session::Sessions;
use crate::telemetry::{Metrics, Population, Traces};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// In which a trial must be over; generous, because a noisy machine must not fail one.
const WITHIN: Duration = Duration::from_secs(2);

/// A node without listeners.
struct Node {
    driver: Arc<Driver>,
    journal: Arc<Faulty>,
    metrics: Arc<Metrics>,
    loopback: Arc<Loopback>,
}

impl Node {
    fn new(within: Duration) -> Self {
        let journal = Arc::new(Faulty::new(Memory::new(&config::Journal::default(), "e1")));
        let sessions = Sessions::new(journal.clone(), tokio::runtime::Handle::current(), 512);
        journal.follow(sessions.clone());
        let metrics = Arc::new(Metrics::new());
        let effects: Arc<dyn Effects> = Arc::new(Wiring {
            sessions,
            metrics: Arc::clone(&metrics),
            bell: Arc::default(),
            traces: Traces::off(),
            leases: None,
        });
        let bounds = ConnectionBounds { per_address: 1, per_node: 1 };
        let greeting = Greeting { ping_interval: Duration::from_secs(20), window: 512 };
        let driver = Driver::new(Limits::default(), bounds, greeting, effects);
        let loopback = Loopback::new(Arc::clone(&driver), journal.clone(), Duration::from_millis(10), within);
        Self { driver, journal, metrics, loopback }
    }

    async fn why(&self) -> Option<String> {
        self.loopback.attempt().await;
        self.loopback.trouble()
    }
}

#[tokio::test]
async fn a_node_that_delivers_has_no_trouble_and_nothing_shows_that_it_tried() {
    let node = Node::new(WITHIN);
    for _ in 0..20 {
        assert_eq!(node.why().await, None);
    }
    let census = node.driver.census();
    assert_eq!((census.users, census.sessions, census.connections, census.runs), (0, 0, 0, 0));
    assert_eq!(node.driver.explain(&UserId::of_gateway()), None);
    assert_eq!((node.driver.last_decision(), node.driver.connections().len()), (0, 0));
    assert_eq!((node.journal.memory().thread_count(), node.journal.memory().bytes()), (0, 0));
    let text = node.metrics.encode(&Population::default());
    let is_zero = |line: &&str| [" 0", " 0.0", " inf"].iter().any(|nothing| line.ends_with(nothing));
    // Of the process and of the nodes: one is there, and knows itself.
    let others = ["#", "lychgate_process_", "lychgate_cluster_"];
    let is_of_users = |line: &&str| !others.iter().any(|other| line.starts_with(other));
    let counted = text.lines().filter(|line| is_of_users(line) && !is_zero(line));
    assert_eq!(counted.collect::<Vec<_>>(), [""; 0], "no user came");
}

#[tokio::test]
async fn a_journal_that_refuses_is_told_with_its_reason_and_when_it_was_well_last() {
    let node = Node::new(WITHIN);
    node.journal.fail_appends(true);
    let why = node.why().await.unwrap();
    assert_eq!(why, "the journal cannot take more: broken; nothing was delivered since the start");
    node.journal.fail_appends(false);
    assert_eq!(node.why().await, None);
    node.journal.fail_appends(true);
    let why = node.why().await.unwrap();
    assert!(why.contains("broken; delivered last at 20"), "{why}");
}

#[tokio::test]
async fn a_journal_that_hangs_is_noticed_within_the_deadline_and_forgiven_by_itself() {
    let node = Node::new(Duration::from_millis(200));
    node.journal.hang_appends(true);
    let trials = tokio::spawn(node.loopback.clone().keep());
    until(|| node.loopback.trouble().is_some_and(|why| why.starts_with("the journal does not answer"))).await;
    node.journal.hang_appends(false);
    until(|| node.loopback.trouble().is_none()).await;
    trials.abort();
    // Whatever a trial held is let go of with it.
    let _ = trials.await;
    assert_eq!(node.driver.sessions_of(&UserId::of_gateway()).len(), 0);
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_leaves_an_open_without_its_answer() {
    let node = Node::new(Duration::from_millis(300));
    node.journal.fail_reads(true);
    let why = node.why().await.unwrap();
    assert!(why.starts_with("an open is not answered (within 300 ms)"), "{why}");
    node.journal.fail_reads(false);
    until_ready(&node).await;
}

#[tokio::test]
async fn a_shard_of_the_gate_that_hangs_is_noticed_and_recovers() {
    let node = Node::new(Duration::from_millis(200));
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (holds, is_held) = std::sync::mpsc::channel::<()>();
    let driver = Arc::clone(&node.driver);
    let ear: Arc<dyn crate::sink::Line> = Arc::new(Ear::default());
    let _ann = node.driver.connect(arrival(ear));
    // A thread that hangs while it holds the lock of a shard, as one with a defect would.
    let hung = std::thread::spawn(move || {
        driver.expel(EvictReason::Revoked, |_, _| {
            holds.send(()).unwrap();
            let _ = held.recv();
            false
        });
    });
    is_held.recv_timeout(PATIENCE).unwrap();
    let why = node.why().await.unwrap();
    assert!(why.starts_with("somebody holds a lock of the gate and does not let go"), "{why}");
    drop(release);
    hung.join().unwrap();
    until_ready(&node).await;
}

#[test]
fn a_runtime_that_is_blocked_is_seen_from_another_thread_while_it_is() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (send, node) = std::sync::mpsc::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        runtime.block_on(async {
            let node = Node::new(Duration::from_millis(300));
            node.loopback.attempt().await;
            let trials = tokio::spawn(node.loopback.clone().keep());
            send.send(node.loopback.clone()).unwrap();
            // Blocks the only thread of this runtime, as a call that waits for a disk would.
            let _ = held.recv();
            until_ready(&node).await;
            trials.abort();
        });
    });
    let loopback = node.recv_timeout(PATIENCE).unwrap();
    let end = Instant::now() + PATIENCE;
    while loopback.trouble().is_none() {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    drop(release);
    thread.join().unwrap();
}

fn arrival(line: Arc<dyn crate::sink::Line>) -> Arrival {
    Arrival {
        user: UserId::parse("ann").unwrap(),
        connection: ConnectionId::from_random(1),
        prev: None,
        heartbeat: Heartbeat::Protocol,
        expires_in: None,
        plan: None,
        proof: Proof::default(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        line,
    }
}

async fn until_ready(node: &Node) {
    let end = Instant::now() + PATIENCE;
    while node.why().await.is_some() {
        assert!(Instant::now() < end, "{:?}", node.loopback.trouble());
    }
}

async fn until(is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it should have happened by now");
        tokio::task::yield_now().await;
    }
}
