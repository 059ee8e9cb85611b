//! The driver over real sockets and its real thread.

use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use lychgate_core::{EvictReason, Heartbeat, LimitSpec, Limits, WebSocketRequest};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::outbox::Outbox;

mod decisions;
mod revoked;

/// Longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A user whose deadlines make the reaper panic.
const PANICS: &str = "panics";

enum Told {
    Attached(SessionKey),
    Detached,
    Event(Event),
}

struct Recorder(Mutex<Sender<Told>>);

impl Recorder {
    fn tell(&self, told: Told) {
        let _ = self.0.lock().unwrap().send(told);
    }
}

impl Effects for Recorder {
    fn attach(&self, admitted: Admitted) {
        self.tell(Told::Attached(admitted.context.key().clone()));
    }

    fn detach(&self, _key: &SessionKey, _connection: ConnectionId) {
        self.tell(Told::Detached);
    }

    fn event(&self, event: &Event) {
        self.tell(Told::Event(event.clone()));
        if let Event::SessionReleased { key, .. } = event {
            assert_ne!(key.user().as_str(), PANICS, "a shard that breaks when this user's deadline passes");
        }
    }
}

struct Node {
    driver: Arc<Driver>,
    told: Receiver<Told>,
    sockets: TcpListener,
    peers: Vec<TcpStream>,
}

impl Node {
    async fn start(spec: LimitSpec, bounds: ConnectionBounds) -> Self {
        let (sender, told) = channel();
        let greeting = Greeting { ping_interval: spec.ping_interval, window: 512 };
        let limits = Limits::new(spec).unwrap();
        let driver = Driver::new(limits, bounds, greeting, Arc::new(Recorder(Mutex::new(sender))));
        let sockets = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self { driver, told, sockets, peers: Vec::new() }
    }

    async fn connect(&mut self, user: &str, n: u128) -> Registration {
        self.connect_after(user, n, None).await
    }

    async fn connect_after(&mut self, user: &str, n: u128, prev: Option<u128>) -> Registration {
        let line = self.line().await;
        self.driver.connect(Arrival {
            user: UserId::parse(user).unwrap(),
            connection: ConnectionId::from_random(n),
            prev: prev.map(ConnectionId::from_random),
            heartbeat: Heartbeat::Protocol,
            expires_in: None,
            plan: None,
            proof: Proof::default(),
            address: Ipv4Addr::LOCALHOST.into(),
            line,
        })
    }

    async fn line(&mut self) -> Arc<Outbox> {
        let (ours, theirs) =
            tokio::join!(self.sockets.accept(), TcpStream::connect(self.sockets.local_addr().unwrap()));
        self.peers.push(theirs.unwrap());
        Outbox::new(ours.unwrap().0, 65_536)
    }

    fn open(&self, registration: &Registration, thread: &str) {
        let request = WebSocketRequest {
            user: registration.user(),
            thread: Some(thread),
            client: None,
            connection: registration.connection(),
            operation: "open",
            component: "test",
            unix_ms: 0,
        };
        let context = SessionContext::from_websocket_request(&request, self.driver.entropy()).unwrap();
        registration.open(context, None, None);
    }

    /// A connection that holds a thread on which a run is in flight.
    async fn reader(&mut self, name: &str, n: u128) -> Registration {
        let reader = self.connect(name, n).await;
        self.open(&reader, "t");
        let key = SessionKey::new(user(name), ThreadId::parse("t").unwrap());
        self.driver.run_started(&key, &RunId::parse("r").unwrap());
        reader
    }

    /// What peer number `n` is sent from here on, up to and with this text.
    async fn read_until(&mut self, n: usize, end: &str) -> String {
        let mut text = String::new();
        let mut bytes = [0; 4096];
        while !text.contains(end) {
            let read = tokio::time::timeout(PATIENCE, self.peers[n].read(&mut bytes)).await;
            let read = read.expect("it should have come by now").unwrap();
            assert!(read > 0, "the connection ended after {text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        text
    }

    /// Blocks this thread, and with it the runtime of the test, until something of the kind was told.
    fn wait_for<T>(&self, mut pick: impl FnMut(Told) -> Option<T>) -> T {
        loop {
            let told = self.told.recv_timeout(PATIENCE).expect("the driver tells in time");
            if let Some(picked) = pick(told) {
                return picked;
            }
        }
    }
}

fn wide() -> ConnectionBounds {
    ConnectionBounds { per_address: 1_000, per_node: 1_000 }
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

#[tokio::test]
async fn hello_is_on_its_way_when_connect_returns() {
    let mut node = Node::start(LimitSpec::default(), wide()).await;
    let _registration = node.connect("ann", 1).await;
    let mut bytes = [0; 64];
    let read = node.peers[0].read(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes[..read]);
    assert!(text.contains(r#"{"type":"hello","connection":"c_"#), "{text}");
}

#[tokio::test]
async fn a_dropped_registration_leaves_the_count_and_its_session_lingers() {
    let mut node = Node::start(LimitSpec::default(), wide()).await;
    let registration = node.connect("ann", 1).await;
    node.open(&registration, "t");
    assert_eq!(node.driver.usage(&user("ann")).used, 1);
    drop(registration);
    let census = node.driver.census();
    assert_eq!((census.connections, census.sessions, census.lingering), (0, 1, 1));
    node.wait_for(|told| matches!(told, Told::Attached(key) if key.thread().as_str() == "t").then_some(()));
    node.wait_for(|told| matches!(told, Told::Detached).then_some(()));
}

#[tokio::test]
async fn a_registration_that_unwinds_with_a_panic_leaves_the_count() {
    let mut node = Node::start(LimitSpec::default(), wide()).await;
    let registration = node.connect("ann", 1).await;
    let task = tokio::spawn(async move {
        let _held = registration;
        panic!("a task of a connection panics");
    });
    assert!(task.await.is_err());
    assert_eq!(node.driver.census().connections, 0);
}

#[tokio::test]
async fn deadlines_pass_on_the_reaper_thread_while_the_runtime_is_stuck() {
    let spec = LimitSpec { linger: Duration::from_millis(30), ..LimitSpec::default() };
    let mut node = Node::start(spec, wide()).await;
    let _reaper = Reaper::start(Arc::clone(&node.driver), PATIENCE, |_| {}).unwrap();
    let registration = node.connect("ann", 1).await;
    node.open(&registration, "t");
    drop(registration);
    // `wait_for` never yields: the runtime of this test stands still from here on.
    let reason = node.wait_for(|told| match told {
        Told::Event(Event::SessionReleased { reason, .. }) => Some(reason),
        Told::Event(_) | Told::Attached(_) | Told::Detached => None,
    });
    assert_eq!(reason, EvictReason::LingerEnded);
    assert_eq!(node.driver.census().users, 0);
}

#[tokio::test]
async fn a_stuck_runtime_is_measured_and_its_silence_is_held_against_nobody() {
    let (send, lags) = channel();
    let spec = LimitSpec {
        ping_interval: Duration::from_millis(400),
        ping_answer: Duration::from_millis(300),
        ..LimitSpec::default()
    };
    let mut node = Node::start(spec, wide()).await;
    let _reaper = Reaper::start(Arc::clone(&node.driver), PATIENCE, move |report| match report {
        Report::Measured(lag) => _ = send.send(lag),
        Report::RuntimeStuck => {}
    })
    .unwrap();
    let _registration = node.connect("ann", 1).await;
    // Stuck until two seconds of stall have been measured: three heartbeats would be unanswered by then.
    while lags.recv_timeout(PATIENCE).unwrap().runtime < Duration::from_secs(2) {}
    assert_eq!(node.driver.census().connections, 1);
}

#[tokio::test]
async fn the_newest_connection_of_an_address_wins() {
    let mut node = Node::start(LimitSpec::default(), ConnectionBounds { per_address: 3, per_node: 1_000 }).await;
    let mut held = Vec::new();
    for n in 1..=4 {
        let name = format!("user-{n}");
        held.push(node.connect(&name, n).await);
    }
    let expelled = node.wait_for(|told| match told {
        Told::Event(Event::Disconnected { connection, reason: Some(reason), .. }) => Some((connection, reason)),
        Told::Event(_) | Told::Attached(_) | Told::Detached => None,
    });
    assert_eq!(expelled, (ConnectionId::from_random(1), EvictReason::MadeRoomForConnection));
    assert_eq!(node.driver.census().connections, 3);
}

#[tokio::test]
async fn a_tab_that_replaces_its_own_socket_pushes_nobody_out_of_a_full_address() {
    let mut node = Node::start(LimitSpec::default(), ConnectionBounds { per_address: 2, per_node: 2 }).await;
    let _other = node.connect("other", 1).await;
    let _old = node.connect("ann", 2).await;
    let _new = node.connect_after("ann", 3, Some(2)).await;
    assert_eq!(node.driver.census().connections, 2);
    let gone: Vec<_> = node
        .told
        .try_iter()
        .filter_map(|told| match told {
            Told::Event(Event::Disconnected { reason, .. }) => reason,
            Told::Event(_) | Told::Attached(_) | Told::Detached => None,
        })
        .collect();
    assert_eq!(gone, [EvictReason::Superseded]);
}

#[tokio::test]
async fn a_full_node_lets_the_newest_in_and_spares_the_reader_of_a_running_answer() {
    let mut node = Node::start(LimitSpec::default(), ConnectionBounds { per_address: 1_000, per_node: 2 }).await;
    let _reader = node.reader("reader", 1).await;
    let _idle = node.connect("idle", 2).await;
    let _newest = node.connect("newest", 3).await;
    let expelled = node.wait_for(|told| match told {
        Told::Event(Event::Disconnected { user, reason: Some(_), .. }) => Some(user),
        Told::Event(_) | Told::Attached(_) | Told::Detached => None,
    });
    assert_eq!(expelled, user("idle"));
    assert_eq!(node.driver.census().connections, 2);
}

#[tokio::test]
async fn whoever_finds_only_readers_of_running_answers_is_told_when_to_come_back_and_counted() {
    let mut node = Node::start(LimitSpec::default(), ConnectionBounds { per_address: 1_000, per_node: 1 }).await;
    let _reader = node.reader("reader", 1).await;
    let newcomer = node.connect("newcomer", 2).await;
    let refused = node.wait_for(|told| match told {
        Told::Event(Event::Refused { user, connection, refusal, .. }) => Some((user, connection, refusal)),
        Told::Event(_) | Told::Attached(_) | Told::Detached => None,
    });
    assert_eq!((refused.0, refused.1), (user("newcomer"), newcomer.connection()));
    assert!(matches!(refused.2, lychgate_core::Refusal::Overload { .. }), "{:?}", refused.2);
    let said = node.read_until(1, "retry_in").await;
    assert!(said.contains(r#"{"reason":"overload","reconnect":true"#), "{said}");
    assert_eq!(node.driver.usage(&user("reader")).used, 1);
    assert!(node.driver.explain(&user("newcomer")).is_some_and(|told| format!("{told:?}").contains("Overload")));
}

/// The number behind the last `"retry_in":` of a text.
fn retry_in(said: &str) -> u64 {
    let (_, number) = said.rsplit_once(r#""retry_in":"#).unwrap();
    number.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn those_who_are_sent_away_together_are_told_to_come_back_at_different_times() {
    const TABS: usize = 20;
    let mut node = Node::start(LimitSpec::default(), wide()).await;
    let mut held = Vec::new();
    for n in 0..TABS {
        held.push(node.connect(&format!("user-{n}"), random_bits()).await);
    }
    node.driver.drain(Duration::from_secs(100));
    node.driver.close_all(EvictReason::Draining);
    let mut times = Vec::new();
    for n in 0..TABS {
        times.push(retry_in(&node.read_until(n, r#"{"reason":"draining","#).await));
    }
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > TABS / 2, "{times:?}");
}

#[tokio::test]
async fn a_freeze_that_the_reaper_slept_through_is_credited_by_whoever_runs_first() {
    const STALL: Duration = Duration::from_millis(800);
    let spec = LimitSpec {
        max_sessions_per_user: 1,
        ping_interval: Duration::from_millis(50),
        ping_answer: Duration::from_millis(40),
        write_stall: STALL,
        ..LimitSpec::default()
    };
    let mut node = Node::start(spec, wide()).await;
    let old = node.connect("ann", 1).await;
    node.open(&old, "t1");
    let new = node.connect("ann", 2).await;
    old.backlog(WriteProgress::Blocked);
    // No reaper runs here, as none runs in a process that is frozen: from the first deadline on, time is nobody's fault.
    let frozen = node.driver.now();
    while node.driver.now().since(frozen) < STALL + STALL {
        std::thread::yield_now();
    }
    node.open(&new, "t2");
    node.wait_for(|told| match told {
        Told::Event(Event::Waiting { .. }) => Some(()),
        Told::Event(Event::SessionEvicted { eviction, .. }) => panic!("judged by our own freeze: {eviction:?}"),
        Told::Event(_) | Told::Attached(_) | Told::Detached => None,
    });
}

#[tokio::test]
async fn a_panic_in_the_deadlines_of_one_user_does_not_end_those_of_the_others() {
    let spec = LimitSpec { linger: Duration::from_millis(30), ..LimitSpec::default() };
    let mut node = Node::start(spec, wide()).await;
    let _reaper = Reaper::start(Arc::clone(&node.driver), PATIENCE, |_| {}).unwrap();
    for (n, name) in [PANICS, "ann"].into_iter().enumerate() {
        let registration = node.connect(name, n as u128).await;
        node.open(&registration, "t");
        drop(registration);
        node.wait_for(|told| match told {
            Told::Event(Event::SessionReleased { key, .. }) => (key.user().as_str() == name).then_some(()),
            Told::Event(_) | Told::Attached(_) | Told::Detached => None,
        });
    }
}

#[tokio::test]
async fn a_reaper_that_panics_is_known_to_be_gone() {
    let node = Node::start(LimitSpec::default(), wide()).await;
    let reaper = Reaper::start(Arc::clone(&node.driver), PATIENCE, |_| panic!("whoever is told breaks")).unwrap();
    let vigil = reaper.vigil();
    let deadline = Instant::now() + PATIENCE;
    while vigil.trouble() != Some(Trouble::ReaperGone) {
        assert!(Instant::now() < deadline, "{:?}", vigil.trouble());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reaper_that_is_held_up_is_known_to_be_stuck_until_it_goes_on() {
    let node = Node::start(LimitSpec::default(), wide()).await;
    let (release, held) = channel::<()>();
    let reaper = Reaper::start(Arc::clone(&node.driver), Duration::from_millis(500), move |_| {
        // Held until the test lets go; from then on the channel is closed and holds nobody.
        let _ = held.recv();
    });
    let vigil = reaper.as_ref().unwrap().vigil();
    let deadline = Instant::now() + PATIENCE;
    let mut release = Some(release);
    loop {
        match (vigil.trouble(), &release) {
            (Some(Trouble::ReaperStuck(_)), _) => release = None,
            (None, None) => break,
            (None | Some(Trouble::RuntimeStuck(_)), _) => {}
            (Some(Trouble::ReaperGone), _) => panic!("it is there"),
        }
        assert!(Instant::now() < deadline, "{:?}", vigil.trouble());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stuck_runtime_is_told_once_and_again_in_the_next_episode() {
    let node = Node::start(LimitSpec::default(), wide()).await;
    let (send, reports) = channel();
    let stuck_after = Duration::from_millis(500);
    let reaper = Reaper::start(Arc::clone(&node.driver), stuck_after, move |report| _ = send.send(report)).unwrap();
    for _episode in 0..2 {
        // Nothing yields in here: the runtime of this test stands still.
        let mut told = 0;
        loop {
            match reports.recv_timeout(PATIENCE).unwrap() {
                Report::RuntimeStuck => told += 1,
                Report::Measured(lag) if lag.runtime >= 3 * stuck_after => break,
                Report::Measured(_) => {}
            }
        }
        assert_eq!(told, 1);
        assert!(matches!(reaper.vigil().trouble(), Some(Trouble::RuntimeStuck(_))));
        while reaper.vigil().trouble().is_some() {
            tokio::task::yield_now().await;
        }
        while reports.try_recv().is_ok() {}
    }
}

#[tokio::test]
async fn a_dead_socket_is_gone_when_it_is_torn_down_whether_its_task_runs_or_not() {
    let spec = LimitSpec {
        write_stall: Duration::from_millis(50),
        close_confirm: Duration::from_millis(1),
        ..LimitSpec::default()
    };
    let mut node = Node::start(spec, wide()).await;
    let dead = node.connect("ann", 1).await;
    dead.backlog(WriteProgress::Blocked);
    // No reaper: deadlines pass when the test lets them. The registration is held, so no end of a task confirms anything.
    let shard = node.driver.shard_of(dead.user());
    let end = Instant::now() + PATIENCE;
    let mut buried = None;
    while buried.is_none_or(|at: Time| node.driver.now().since(at) < Duration::from_millis(50)) {
        assert!(Instant::now() < end, "a stalled writer is found");
        node.driver.change(shard, |_| None);
        for told in node.told.try_iter() {
            match told {
                Told::Event(Event::Zombie { .. }) => buried = Some(node.driver.now()),
                Told::Event(Event::CloseUnconfirmed { .. }) => panic!("it was gone at once"),
                Told::Event(_) | Told::Attached(_) | Told::Detached => {}
            }
        }
    }
}
