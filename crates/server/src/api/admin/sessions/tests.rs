use std::net::Ipv4Addr;
use std::time::Duration;

use lychgate_core::{
    Backlog, ConnectionId, Event, Heartbeat, Limits, PingOutcome, Proof, SessionContext, WebSocketRequest,
};

use super::super::page::{BATCH, MAX_LIMIT, MAX_SESSIONS};
use super::super::users::Search;
use super::*;
use crate::close::Closing;
use crate::driver::{Admitted, Arrival, ConnectionBounds, Effects, Greeting, Registration};
use crate::outbox::{Frame, Sent};
use crate::sink::{Line, Sink};

const USERS: usize = 500;
const SESSIONS_OF_EACH: usize = 20;

/// Nobody listens to what happens.
struct Unheard;

impl Effects for Unheard {
    fn attach(&self, _: Admitted) {}

    fn detach(&self, _: &SessionKey, _: ConnectionId) {}

    fn event(&self, _: &Event) {}
}

/// A client that takes everything and says nothing.
#[derive(Debug)]
struct Quiet;

impl Sink for Quiet {
    fn send(&self, _: &Frame) -> Sent {
        Sent::Accepted
    }

    fn send_control(&self, _: &Frame) -> Sent {
        Sent::Accepted
    }
}

impl Line for Quiet {
    fn ping(&self) -> PingOutcome {
        PingOutcome::Written
    }

    fn backlog(&self) -> Backlog {
        Backlog::default()
    }

    fn close(&self, _: &Closing) {}

    fn abort(&self) {}
}

/// A gate with 10,000 sessions. They last as long as the registrations.
fn crowd() -> (Arc<Driver>, Vec<Registration>) {
    let bounds = ConnectionBounds { per_address: 100_000, per_node: 100_000 };
    let greeting = Greeting { ping_interval: Duration::from_secs(20), window: 512 };
    let driver = Driver::new(Limits::default(), bounds, greeting, Arc::new(Unheard));
    let connections = (0..USERS).map(|n| {
        let registration = connect(&driver, n);
        // Every hundredth is not as full as the others.
        let sessions = if n % 100 == 0 { SESSIONS_OF_EACH / 2 } else { SESSIONS_OF_EACH };
        (0..sessions).for_each(|thread| open(&driver, &registration, thread));
        registration
    });
    let connections = connections.collect();
    (driver, connections)
}

fn name(n: usize) -> String {
    format!("user-{n:03}")
}

fn connect(driver: &Arc<Driver>, n: usize) -> Registration {
    driver.connect(Arrival {
        user: UserId::parse(&name(n)).unwrap(),
        connection: ConnectionId::from_random(n as u128),
        prev: None,
        heartbeat: Heartbeat::Protocol,
        expires_in: None,
        plan: None,
        proof: Proof::default(),
        address: Ipv4Addr::LOCALHOST.into(),
        line: Arc::new(Quiet),
    })
}

fn open(driver: &Driver, registration: &Registration, thread: usize) {
    let request = WebSocketRequest {
        user: registration.user(),
        thread: Some(&format!("t{thread}")),
        client: None,
        connection: registration.connection(),
        operation: "open",
        component: "test",
        unix_ms: 0,
    };
    let context = SessionContext::from_websocket_request(&request, driver.entropy()).unwrap();
    registration.open(context, None, None);
}

/// All pages, with a look at each.
fn pages(driver: &Driver, sort: Option<&str>, filter: &Filter, look: impl Fn(&[UserReport])) -> Vec<String> {
    let mut met = Vec::new();
    let mut cursor = Cursor::of(sort, None).unwrap();
    loop {
        let (users, next) = page::read(driver, cursor, MAX_LIMIT, filter);
        look(&users);
        met.extend(users.iter().map(|user| user.user.as_str().to_owned()));
        match next {
            Some(next) => cursor = next,
            None => return met,
        }
    }
}

#[test]
fn a_page_has_no_more_users_than_were_asked_for() {
    let (driver, _connections) = crowd();
    for limit in [1, 2, 63, 64, 65, 199, 200] {
        let mut cursor = Some(Place::default());
        while let Some(place) = cursor {
            let (users, next) = page::read(&driver, Cursor::Place(place), limit, &Filter::default());
            assert!(users.len() <= limit, "{} users instead of {limit}", users.len());
            cursor = next.map(|next| match next {
                Cursor::Place(place) => place,
                Cursor::After(..) => panic!("a walk goes on at a place"),
            });
        }
    }
}

fn is_bounded(users: &[UserReport]) {
    let sessions: usize = users.iter().map(|user| user.sessions.len()).sum();
    assert!(users.len() <= MAX_LIMIT && sessions < MAX_SESSIONS + BATCH * SESSIONS_OF_EACH, "{sessions} sessions");
}

#[test]
fn ten_thousand_sessions_are_listed_in_pages_that_stay_small_and_everybody_once() {
    let (driver, _connections) = crowd();
    let everybody: Vec<String> = (0..USERS).map(name).collect();
    for sort in [None, Some("user"), Some("pressure")] {
        let mut met = pages(&driver, sort, &Filter::default(), is_bounded);
        match sort {
            Some("user") => assert_eq!(met, everybody),
            Some(_) => assert_eq!(met[USERS - 5..], [0, 100, 200, 300, 400].map(name), "the least full come last"),
            None => {}
        }
        met.sort();
        assert_eq!(met, everybody, "{sort:?}");
    }
}

#[test]
fn whoever_stays_is_met_once_while_others_come_and_go_between_the_pages() {
    let (driver, mut connections) = crowd();
    // Users of even numbers stay; between the pages one of the others goes, and a new one comes.
    let leaving: Vec<Registration> =
        (0..USERS).rev().filter(|n| n % 2 == 1).map(|n| connections.swap_remove(n)).collect();
    let (leaving, coming) = (std::cell::RefCell::new(leaving), std::cell::RefCell::new(Vec::new()));
    for sort in [None, Some("user")] {
        let disturb = |_: &[UserReport]| {
            leaving.borrow_mut().pop();
            let newcomer = connect(&driver, USERS + coming.borrow().len());
            open(&driver, &newcomer, 0);
            coming.borrow_mut().push(newcomer);
        };
        let met = pages(&driver, sort, &Filter::default(), disturb);
        for n in (0..USERS).filter(|n| n % 2 == 0) {
            let times = met.iter().filter(|user| **user == name(n)).count();
            assert_eq!(times, 1, "{} by {sort:?}", name(n));
        }
    }
}

#[test]
fn a_search_that_finds_one_session_in_ten_thousand_answers_with_it_alone() {
    let (driver, _connections) = crowd();
    let filter = Filter { search: Some("user-123".to_owned()), health: None };
    for sort in [None, Some("user"), Some("pressure")] {
        assert_eq!(pages(&driver, sort, &filter, is_bounded), ["user-123"]);
    }
}

#[test]
fn in_one_line_each_everybody_is_met_once_in_every_order_and_a_search_finds_its_own_alone() {
    let (driver, _connections) = crowd();
    let everybody: Vec<String> = (0..USERS).map(name).collect();
    let met = |sort: Option<&str>, search: &Search, limit: usize| {
        let (mut met, mut cursor) = (Vec::new(), Some(Cursor::of(sort, None).unwrap()));
        while let Some(from) = cursor {
            let (users, next) = page::read(&driver, from, limit, search);
            assert!(users.len() <= limit);
            met.extend(users.iter().map(|user| user.user.as_str().to_owned()));
            cursor = next;
        }
        met
    };
    for sort in [None, Some("user"), Some("pressure")] {
        for limit in [7, 64, MAX_LIMIT] {
            let mut met = met(sort, &Search::default(), limit);
            match sort {
                Some("user") => assert_eq!(met, everybody),
                Some(_) => assert_eq!(met[USERS - 5..], [0, 100, 200, 300, 400].map(name), "the least full come last"),
                None => {}
            }
            met.sort();
            assert_eq!(met, everybody, "{sort:?} {limit}");
        }
        assert_eq!(met(sort, &Search(Some("user-123".to_owned())), 50), ["user-123"]);
    }
}
