//! A crowd that is told to move, on a paused clock: when each is told, and when each is closed.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use lychgate_core::{
    Backlog, Event, Heartbeat, LimitSpec, Limits, PingOutcome, Proof, RunId, SessionContext, SessionKey, ThreadId,
    WebSocketRequest,
};

use super::*;
use crate::close::Closing;
use crate::driver::{Admitted, Arrival, ConnectionBounds, Effects, Greeting, Registration};
use crate::outbox::{Frame, Sent};
use crate::sink::{Line, Sink};

const DRAIN: Duration = Duration::from_secs(10);

struct Nothing;

impl Effects for Nothing {
    fn attach(&self, _admitted: Admitted) {}
    fn detach(&self, _key: &SessionKey, _connection: ConnectionId) {}
    fn event(&self, _event: &Event) {}
}

/// A client that only notes when it is told to move and when it is closed.
#[derive(Debug)]
struct Client {
    begin: Instant,
    told: Mutex<Option<Duration>>,
    /// As the notice said, in milliseconds.
    retry_in: Mutex<u64>,
    closed: Mutex<Option<Duration>>,
}

impl Client {
    fn note(&self, place: &Mutex<Option<Duration>>) {
        place.lock().unwrap().get_or_insert(self.begin.elapsed());
    }

    fn told(&self) -> Option<Duration> {
        *self.told.lock().unwrap()
    }

    fn closed(&self) -> Option<Duration> {
        *self.closed.lock().unwrap()
    }
}

impl Sink for Client {
    fn send(&self, _frame: &Frame) -> Sent {
        Sent::Accepted
    }

    fn send_control(&self, frame: &Frame) -> Sent {
        let said: serde_json::Value = serde_json::from_slice(&frame.payload()).unwrap();
        if said["code"] == "reconnect" {
            self.note(&self.told);
            *self.retry_in.lock().unwrap() = said["retry_in"].as_u64().unwrap();
        }
        Sent::Accepted
    }
}

impl Line for Client {
    fn ping(&self) -> PingOutcome {
        PingOutcome::Written
    }

    fn backlog(&self) -> Backlog {
        Backlog::default()
    }

    fn close(&self, closing: &Closing) {
        assert_eq!(closing.code, 4001);
        self.note(&self.closed);
    }

    fn abort(&self) {
        self.note(&self.closed);
    }
}

struct Crowd {
    driver: Arc<Driver>,
    clients: Vec<Arc<Client>>,
    registrations: Vec<Registration>,
}

impl Crowd {
    fn of(count: u32) -> Self {
        let limits = Limits::new(LimitSpec::default()).unwrap();
        let bounds = ConnectionBounds { per_address: 10_000, per_node: 10_000 };
        let greeting = Greeting { ping_interval: Duration::from_secs(20), window: 512 };
        let driver = Driver::new(limits, bounds, greeting, Arc::new(Nothing));
        let mut crowd = Self { driver, clients: Vec::new(), registrations: Vec::new() };
        for n in 0..count {
            let client = Arc::new(Client {
                begin: Instant::now(),
                told: Mutex::default(),
                retry_in: Mutex::default(),
                closed: Mutex::default(),
            });
            crowd.registrations.push(crowd.driver.connect(Arrival {
                user: UserId::parse(&format!("u{}", n / 5)).unwrap(),
                connection: ConnectionId::from_random(crate::driver::random_bits()),
                prev: None,
                heartbeat: Heartbeat::Protocol,
                expires_in: None,
                plan: None,
                proof: Proof::default(),
                address: Ipv4Addr::LOCALHOST.into(),
                line: Arc::clone(&client) as Arc<dyn Line>,
            }));
            crowd.clients.push(client);
        }
        crowd
    }

    /// The first client opens a thread, and a run begins on it.
    fn start_run(&self) -> SessionKey {
        let registration = &self.registrations[0];
        let request = WebSocketRequest {
            user: registration.user(),
            thread: Some("t"),
            client: None,
            connection: registration.connection(),
            operation: "open",
            component: "test",
            unix_ms: 0,
        };
        let context = SessionContext::from_websocket_request(&request, self.driver.entropy()).unwrap();
        registration.open(context, None, None);
        let key = SessionKey::new(registration.user().clone(), ThreadId::parse("t").unwrap());
        self.driver.run_started(&key, &run());
        key
    }
}

fn run() -> RunId {
    RunId::parse("r").unwrap()
}

/// How many fall into each tenth of the span.
fn tenths(times: impl Iterator<Item = Duration>, span: Duration) -> [usize; 10] {
    let mut tenths = [0; 10];
    times.for_each(|at| tenths[((at.as_micros() * 10 / span.as_micros()) as usize).min(9)] += 1);
    tenths
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_told_and_closed_evenly_over_the_whole_drain() {
    let crowd = Crowd::of(1_000);
    let mut exodus = Exodus::begin(&crowd.driver, DRAIN);
    exodus.pass().await;
    assert_eq!(exodus.left(), 0);
    let telling = DRAIN * 4 / 5;
    for tenth in tenths(crowd.clients.iter().map(|client| client.told().unwrap()), telling) {
        assert!((95..=105).contains(&tenth), "{tenth} of 1,000 were told in one tenth of the time");
    }
    for client in &crowd.clients {
        let (told, closed) = (client.told().unwrap(), client.closed().unwrap());
        assert!(closed - told >= DRAIN / 5 - STEP * 2, "told after {told:?}, closed after {closed:?}");
        assert!(closed <= DRAIN + STEP, "{closed:?}");
    }
    let retries = crowd.clients.iter().map(|client| Duration::from_millis(*client.retry_in.lock().unwrap()));
    for tenth in tenths(retries, DRAIN / 10) {
        assert!((50..=150).contains(&tenth), "{tenth} of 1,000 come back in one tenth of the time to move");
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_do_not_wait_out_a_whole_drain() {
    let crowd = Crowd::of(3);
    Exodus::begin(&crowd.driver, Duration::from_secs(3_600)).pass().await;
    assert!(crowd.clients.iter().all(|client| client.closed().unwrap() < Duration::from_millis(200)));
}

#[tokio::test(start_paused = true)]
async fn whoever_shows_a_run_is_told_at_once_and_closed_when_it_has_ended() {
    let crowd = Crowd::of(10);
    let key = crowd.start_run();
    let mut exodus = Exodus::begin(&crowd.driver, DRAIN);
    let ends = async {
        let while_it_runs = tokio::time::timeout(Duration::from_secs(5), std::future::pending::<()>());
        assert!(while_it_runs.await.is_err());
        assert!(crowd.clients[0].told().unwrap() < Duration::from_secs(1));
        assert_eq!(crowd.clients[0].closed(), None);
        assert!(crowd.clients[1..].iter().all(|client| client.closed().is_some()));
        crowd.driver.run_ended(&key, &run());
    };
    tokio::join!(exodus.pass(), ends);
    let closed = crowd.clients[0].closed().unwrap();
    assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&closed), "{closed:?}");
    assert_eq!(exodus.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_never_ends_holds_the_drain_up_to_its_time_and_no_longer() {
    let crowd = Crowd::of(2);
    crowd.start_run();
    let begin = Instant::now();
    let mut exodus = Exodus::begin(&crowd.driver, DRAIN);
    exodus.pass().await;
    assert_eq!(exodus.left(), 1);
    assert!(begin.elapsed() <= DRAIN + STEP);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_admitted_once_the_drain_has_begun() {
    let mut crowd = Crowd::of(1);
    drop(Exodus::begin(&crowd.driver, DRAIN));
    let late = Crowd::of(1);
    let client = Arc::clone(&late.clients[0]);
    crowd.registrations.push(crowd.driver.connect(Arrival {
        user: UserId::parse("late").unwrap(),
        connection: ConnectionId::from_random(1),
        prev: None,
        heartbeat: Heartbeat::Protocol,
        expires_in: None,
        plan: None,
        proof: Proof::default(),
        address: Ipv4Addr::LOCALHOST.into(),
        line: Arc::clone(&client) as Arc<dyn Line>,
    }));
    assert!(client.closed().is_some());
}
