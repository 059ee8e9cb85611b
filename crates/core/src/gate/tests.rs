//! The gate through its inputs and outputs. `World` plays the driver and the peers: it answers pings for whoever lives.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::context::{Entropy, WebSocketRequest};
use crate::gate::io::{AdmissionPath, Event, Manner, Resume};
use crate::limits::{LimitSpec, Pressure};
use crate::{
    Backlog, ConnectionId, End, EvictReason, Gate, Heartbeat, Input, Limits, Output, PingOutcome, PlanId, ReclaimLevel,
    Refusal, RunId, SessionContext, SessionKey, Sign, ThreadId, Time, UserId, WriteProgress, ZombieKind,
};

struct World {
    gate: Gate,
    now: Time,
    silent: BTreeSet<ConnectionId>,
    /// Sockets close as ordered; otherwise no close is ever confirmed.
    closes_work: bool,
    /// Pings cannot be written.
    unwritable: bool,
    seen: Vec<Output>,
    sequence: u64,
}

fn user() -> UserId {
    UserId::parse("105945141827451681156").unwrap()
}

fn thread(name: &str) -> ThreadId {
    ThreadId::parse(name).unwrap()
}

fn key(name: &str) -> SessionKey {
    SessionKey::new(user(), thread(name))
}

fn socket(n: u128) -> ConnectionId {
    ConnectionId::from_random(n)
}

impl World {
    fn new() -> Self {
        Self::with(LimitSpec::default())
    }

    fn with(spec: LimitSpec) -> Self {
        Self {
            gate: Gate::new(Limits::new(spec).unwrap(), 7),
            now: Time::from_micros(1_000_000),
            silent: BTreeSet::new(),
            closes_work: true,
            unwritable: false,
            seen: Vec::new(),
            sequence: 0,
        }
    }

    /// Feeds an input and plays the driver: pings are written at once, and whoever is not silent answers them.
    fn input(&mut self, input: Input) {
        self.gate.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.gate.poll_output() {
            if let Output::Ping { user, connection } = &output {
                let (user, connection) = (user.clone(), *connection);
                let outcome = if self.unwritable { PingOutcome::Failed } else { PingOutcome::Written };
                self.gate.handle_input(
                    self.now,
                    Input::PingResult { user: user.clone(), connection, outcome, backlog: Backlog::default() },
                );
                if !self.silent.contains(&connection) {
                    self.gate.handle_input(self.now, Input::Heard { user, connection, sign: Sign::Data });
                }
            }
            if let Output::CloseSocket { user, connection, .. } = &output
                && self.closes_work
            {
                let (user, connection) = (user.clone(), *connection);
                self.gate.handle_input(self.now, Input::EvictionDone { user, connection });
            }
            self.seen.push(output);
        }
        self.gate.check().unwrap();
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(at) = self.gate.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.gate.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn connect(&mut self, n: u128) {
        self.connect_after(n, None);
    }

    fn connect_after(&mut self, n: u128, prev: Option<u128>) {
        let heartbeat = Heartbeat::Application;
        let prev = prev.map(socket);
        self.input(Input::Connect {
            user: user(),
            connection: socket(n),
            prev,
            heartbeat,
            expires: None,
            plan: PlanId::default(),
        });
    }

    fn open(&mut self, n: u128, thread: Option<&str>, reference: Option<&str>) {
        self.sequence += 1;
        let user = user();
        let request = WebSocketRequest {
            user: &user,
            thread,
            client: None,
            connection: socket(n),
            operation: "open",
            component: "test",
            unix_ms: 0,
        };
        let entropy = Entropy { sequence: self.sequence, random: u128::from(self.sequence) << 64 };
        let context = SessionContext::from_websocket_request(&request, entropy).unwrap();
        self.input(Input::Open { context, reference: reference.map(Box::from), resume: None });
    }

    /// One socket with one session each, as many as `count`.
    fn fill(&mut self, count: u128) {
        for n in 1..=count {
            self.connect(n);
            self.open(n, Some(&format!("t{n}")), None);
            self.now = self.now + Duration::from_millis(1);
        }
    }

    fn count(&self) -> usize {
        self.gate.session_count(&user())
    }

    fn opened(&self, name: &str) -> Option<AdmissionPath> {
        self.seen.iter().rev().find_map(|output| match output {
            Output::Opened { context, path, .. } if context.thread().as_str() == name => Some(*path),
            _ => None,
        })
    }

    fn evicted(&self) -> Vec<(String, ReclaimLevel)> {
        let pick = |output: &Output| match output {
            Output::Event(Event::SessionEvicted { key, eviction, .. }) => {
                Some((key.thread().to_string(), eviction.level))
            }
            _ => None,
        };
        self.seen.iter().filter_map(pick).collect()
    }

    fn released(&self) -> Vec<(String, EvictReason)> {
        let pick = |output: &Output| match output {
            Output::Event(Event::SessionReleased { key, reason }) => Some((key.thread().to_string(), *reason)),
            _ => None,
        };
        self.seen.iter().filter_map(pick).collect()
    }

    fn closed_sockets(&self) -> Vec<(ConnectionId, EvictReason, Manner)> {
        let pick = |output: &Output| match output {
            Output::CloseSocket { connection, reason, manner, .. } => Some((*connection, *reason, *manner)),
            _ => None,
        };
        self.seen.iter().filter_map(pick).collect()
    }

    fn refused(&self) -> usize {
        self.seen.iter().filter(|output| matches!(output, Output::Refused { .. })).count()
    }
}

mod degradation;
mod expiry;
mod forecast;
mod lockouts;
mod nodes;
mod operate;

#[test]
fn tabs_of_one_thread_share_one_session() {
    let mut world = World::new();
    for n in 1..=5 {
        world.connect(n);
        world.open(n, Some("t"), None);
    }
    assert_eq!(world.count(), 1);
    assert_eq!(world.opened("t"), Some(AdmissionPath::Attach));
}

#[test]
fn twenty_dead_sockets_that_look_alive_do_not_keep_the_user_out() {
    let mut world = World::new();
    world.fill(20);
    world.silent.extend((1..=20).map(socket));
    world.connect(21);
    world.open(21, Some("new"), None);
    assert_eq!(world.opened("new"), None, "nobody is evicted before the probe is over");
    world.advance(Duration::from_millis(1_000));
    assert_eq!(world.opened("new"), Some(AdmissionPath::Reclaimed(ReclaimLevel::Aggressive)));
    assert_eq!(world.evicted(), [("t1".to_owned(), ReclaimLevel::Aggressive)], "only as many as it needs");
    assert_eq!(world.closed_sockets(), [(socket(1), EvictReason::Unresponsive, Manner::Bury(ZombieKind::HalfOpen))]);
    assert_eq!((world.count(), world.refused()), (20, 0));
    // The others are known now: the next one does not wait.
    world.connect(22);
    world.open(22, Some("newer"), None);
    assert!(world.opened("newer").is_some());
}

#[test]
fn a_dead_session_goes_before_a_live_one_however_recently_it_was_used() {
    let mut world = World::new();
    world.fill(20);
    world.silent.insert(socket(20));
    world.connect(21);
    world.open(21, Some("new"), None);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.evicted(), [("t20".to_owned(), ReclaimLevel::Aggressive)]);
}

#[test]
fn force_takes_the_least_recently_used_when_everybody_lives() {
    let mut world = World::new();
    world.fill(20);
    world.input(Input::Used { key: key("t1") });
    world.connect(21);
    world.open(21, Some("new"), None);
    assert_eq!(world.opened("new"), Some(AdmissionPath::Reclaimed(ReclaimLevel::Force)));
    assert_eq!(world.evicted(), [("t2".to_owned(), ReclaimLevel::Force)]);
    assert_eq!(world.closed_sockets(), [(socket(2), EvictReason::MadeRoom, Manner::Handshake)]);
}

#[test]
fn pongs_and_plain_data_prove_life_and_are_no_use() {
    let mut world = World::new();
    world.fill(20);
    world.input(Input::Heard { user: user(), connection: socket(1), sign: Sign::Data });
    world.input(Input::Heard { user: user(), connection: socket(2), sign: Sign::Visible });
    world.connect(21);
    world.open(21, Some("a"), None);
    world.open(21, Some("b"), None);
    let gone: Vec<_> = world.evicted().into_iter().map(|(thread, _)| thread).collect();
    assert_eq!(gone, ["t1", "t3"]);
}

#[test]
fn a_session_with_a_run_goes_only_when_no_other_choice_is_left() {
    let mut world = World::new();
    world.fill(20);
    let run = |name: &str| RunId::parse(name).unwrap();
    for n in 1..=19 {
        world.input(Input::RunStarted { key: key(&format!("t{n}")), run: run(&format!("r{n}")) });
    }
    world.connect(21);
    world.open(21, Some("new"), None);
    assert_eq!(world.evicted(), [("t20".to_owned(), ReclaimLevel::Force)]);
    world.input(Input::RunStarted { key: key("new"), run: run("r") });
    world.open(21, Some("newer"), None);
    assert_eq!(world.opened("newer"), Some(AdmissionPath::Reserve));
    assert_eq!((world.evicted().len(), world.refused()), (1, 0));
}

#[test]
fn a_lingering_session_is_taken_without_probe_or_wait() {
    let mut world = World::new();
    world.fill(20);
    world.input(Input::RunStarted { key: key("t7"), run: RunId::parse("r").unwrap() });
    world.input(Input::Disconnect { user: user(), connection: socket(7), end: End::Lost });
    world.seen.clear();
    world.connect(21);
    world.open(21, Some("new"), None);
    assert_eq!(world.opened("new"), Some(AdmissionPath::Reclaimed(ReclaimLevel::Moderate)));
    assert!(!world.seen.iter().any(|output| matches!(output, Output::Ping { .. })));
}

#[test]
fn a_reload_finds_its_session_within_the_linger_and_not_after_it() {
    let mut world = World::new();
    world.connect(1);
    world.open(1, Some("t"), None);
    world.input(Input::Disconnect { user: user(), connection: socket(1), end: End::Lost });
    world.advance(Duration::from_secs(9));
    assert_eq!(world.count(), 1);
    world.connect(2);
    world.open(2, Some("t"), None);
    assert_eq!(world.opened("t"), Some(AdmissionPath::Attach));
    world.input(Input::Disconnect { user: user(), connection: socket(2), end: End::Lost });
    world.advance(Duration::from_secs(10));
    assert_eq!(world.released(), [("t".to_owned(), EvictReason::LingerEnded)]);
}

#[test]
fn a_clean_close_and_a_leave_free_the_slot_at_once() {
    let mut world = World::new();
    world.fill(2);
    world.input(Input::Disconnect { user: user(), connection: socket(1), end: End::ClientClosed });
    world.input(Input::Leave { user: user(), connection: socket(2), thread: thread("t2") });
    assert_eq!(world.count(), 0);
    let reasons: Vec<_> = world.released().into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, [EvictReason::ClientClosed, EvictReason::Left]);
}

#[test]
fn a_takeover_keeps_the_slots_and_never_needs_another_one() {
    let mut world = World::new();
    world.fill(20);
    world.connect_after(21, Some(3));
    assert_eq!(world.closed_sockets(), [(socket(3), EvictReason::Superseded, Manner::Handshake)]);
    world.open(21, Some("t3"), None);
    assert_eq!(world.opened("t3"), Some(AdmissionPath::Takeover));
    assert!(world.evicted().is_empty());
    assert_eq!(world.count(), 20);
}

#[test]
fn moved_sessions_that_nobody_opens_are_released_after_the_linger() {
    let mut world = World::new();
    world.connect(1);
    world.open(1, Some("a"), None);
    world.open(1, Some("b"), None);
    world.connect_after(2, Some(1));
    world.open(2, Some("a"), None);
    world.advance(Duration::from_secs(10));
    assert_eq!(world.released(), [("b".to_owned(), EvictReason::LingerEnded)]);
    assert_eq!(world.count(), 1);
}

#[test]
fn a_claim_that_ran_out_is_not_renewed_by_the_end_of_its_connection() {
    let mut world = World::with(LimitSpec { expiry_grace: Duration::ZERO, ..LimitSpec::default() });
    world.connect(1);
    world.open(1, Some("t"), None);
    world.connect_after(2, Some(1));
    let expires = Some(world.now + Duration::from_secs(11));
    world.input(Input::Renew { user: user(), connection: socket(2), expires, plan: PlanId::default() });
    let lag = Duration::from_secs(12);
    world.now = world.now + lag;
    world.input(Input::Stalled { lag });
    world.advance(Duration::ZERO);
    assert_eq!(world.released(), [("t".to_owned(), EvictReason::LingerEnded)]);
}

#[test]
fn nobody_takes_over_a_connection_of_another_user() {
    let mut world = World::new();
    world.fill(1);
    let thief = UserId::parse("mallory").unwrap();
    world.input(Input::Connect {
        user: thief,
        connection: socket(66),
        prev: Some(socket(1)),
        heartbeat: Heartbeat::Protocol,
        expires: None,
        plan: PlanId::default(),
    });
    assert!(world.closed_sockets().is_empty());
    assert_eq!(world.count(), 1);
}

#[test]
fn the_same_ref_is_the_same_open_also_after_a_takeover() {
    let mut world = World::new();
    world.connect(1);
    world.open(1, None, Some("ref-1"));
    world.open(1, None, Some("ref-1"));
    world.connect_after(2, Some(1));
    world.open(2, None, Some("ref-1"));
    assert_eq!(world.count(), 1);
}

#[test]
fn three_missed_heartbeats_bury_a_connection_and_one_makes_a_suspect() {
    let mut world = World::new();
    world.connect(1);
    world.open(1, Some("t"), None);
    world.silent.insert(socket(1));
    world.advance(Duration::from_secs(45));
    assert!(world.closed_sockets().is_empty(), "one or two missed pongs prove nothing");
    world.advance(Duration::from_secs(45));
    assert_eq!(world.closed_sockets(), [(socket(1), EvictReason::Unresponsive, Manner::Bury(ZombieKind::HalfOpen))]);
    world.advance(Duration::from_secs(10));
    assert_eq!(world.count(), 0);
}

#[test]
fn protocol_pongs_are_no_life_for_a_client_that_promised_application_answers() {
    let mut world = World::new();
    world.connect(1);
    world.silent.insert(socket(1));
    for _ in 0..100 {
        world.advance(Duration::from_secs(1));
        world.input(Input::Heard { user: user(), connection: socket(1), sign: Sign::Pong });
    }
    assert_eq!(world.closed_sockets().len(), 1);
}

#[test]
fn silence_during_our_own_stall_is_held_against_nobody() {
    let mut world = World::new();
    world.fill(20);
    world.advance(Duration::from_secs(1));
    world.silent.extend((1..=20).map(socket));
    world.advance(Duration::from_secs(25));
    // The process was frozen for ten minutes; the driver measures it before it lets time pass.
    world.now = world.now + Duration::from_secs(600);
    world.input(Input::Stalled { lag: Duration::from_secs(600) });
    world.gate.handle_timeout(world.now);
    world.drain();
    assert_eq!(world.closed_sockets(), []);
    world.silent.clear();
    world.advance(Duration::from_secs(60));
    assert!(world.closed_sockets().is_empty());
}

#[test]
fn silence_counts_only_after_the_ping_was_really_written() {
    let mut world = World::new();
    world.gate.handle_input(
        world.now,
        Input::Connect {
            user: user(),
            connection: socket(1),
            prev: None,
            heartbeat: Heartbeat::Application,
            expires: None,
            plan: PlanId::default(),
        },
    );
    let end = world.now + Duration::from_secs(300);
    let mut pings = 0;
    while let Some(at) = world.gate.poll_timeout().filter(|at| *at <= end) {
        world.gate.handle_timeout(at);
        while let Some(output) = world.gate.poll_output() {
            pings += usize::from(matches!(output, Output::Ping { .. }));
            assert!(!matches!(output, Output::CloseSocket { .. }));
        }
    }
    assert_eq!(pings, 1, "one question at a time");
}

#[test]
fn a_writer_that_takes_no_byte_is_closed_as_slow_and_one_that_moves_is_not() {
    let mut world = World::new();
    world.fill(2);
    let backlog = |n, progress| Input::Backlog { user: user(), connection: socket(n), progress };
    world.input(backlog(1, WriteProgress::Blocked));
    world.input(backlog(2, WriteProgress::Blocked));
    for _ in 0..4 {
        world.advance(Duration::from_secs(8));
        world.input(backlog(2, WriteProgress::Moved));
    }
    assert_eq!(world.closed_sockets(), [(socket(1), EvictReason::Slow, Manner::Bury(ZombieKind::Stalled))]);
}

#[test]
fn the_newest_connection_wins_and_a_running_answer_keeps_its_last_reader() {
    let mut world =
        World::with(LimitSpec { max_connections_per_user: 3, max_connections_per_session: 2, ..LimitSpec::default() });
    world.fill(3);
    world.input(Input::RunStarted { key: key("t1"), run: RunId::parse("r").unwrap() });
    world.connect(4);
    assert_eq!(world.closed_sockets(), [(socket(2), EvictReason::MadeRoomForConnection, Manner::Handshake)]);
    world.open(4, Some("t1"), None);
    world.connect_after(5, Some(3));
    world.open(5, Some("t1"), None);
    let detached = |output: &Output| match output {
        Output::Closed { connection, session_ended: false, .. } => Some(*connection),
        _ => None,
    };
    assert_eq!(world.seen.iter().find_map(detached), Some(socket(1)));
}

#[test]
fn an_unconfirmed_close_is_torn_down_and_blocks_nobody() {
    let mut world = World::new();
    world.closes_work = false;
    world.fill(20);
    world.connect(21);
    world.open(21, Some("new"), None);
    assert_eq!(world.count(), 20, "the slot was free before the socket was");
    world.advance(Duration::from_secs(5));
    assert_eq!(world.closed_sockets().last(), Some(&(socket(1), EvictReason::Unresponsive, Manner::Abort)));
    assert!(world.seen.iter().any(|output| matches!(output, Output::Event(Event::CloseUnconfirmed { .. }))));
}

#[test]
fn a_storm_of_opens_never_exceeds_the_limit_and_refuses_nobody() {
    let mut world = World::new();
    for n in 1..=50 {
        world.connect(n);
        world.open(n, Some(&format!("t{n}")), None);
        assert!(world.count() <= 20);
    }
    let opened = world.seen.iter().filter(|output| matches!(output, Output::Opened { .. })).count();
    assert_eq!((opened, world.refused()), (50, 0));
}

#[test]
fn more_waiting_opens_than_the_queue_holds_are_served_early_not_refused() {
    let mut world = World::new();
    world.fill(20);
    world.silent.extend((1..=20).map(socket));
    world.connect(21);
    for n in 0..40 {
        world.open(21, Some(&format!("new{n}")), None);
        world.now = world.now + Duration::from_micros(10);
    }
    world.advance(Duration::from_secs(3));
    let opened = |name: &str| world.opened(name).is_some();
    assert!((0..40).all(|n| opened(&format!("new{n}"))));
    assert_eq!(world.refused(), 0);
}

#[test]
fn a_waiter_dies_with_its_socket_and_takes_no_slot() {
    let mut world = World::new();
    world.fill(20);
    world.silent.extend((1..=20).map(socket));
    world.connect(21);
    world.open(21, Some("new"), None);
    world.input(Input::Disconnect { user: user(), connection: socket(21), end: End::Lost });
    world.advance(Duration::from_secs(2));
    assert_eq!(world.opened("new"), None);
    assert!(world.evicted().is_empty());
}

#[test]
fn a_newcomer_that_is_found_dead_itself_takes_no_slot() {
    let mut world = World::new();
    world.connect(1);
    for n in 1..=20 {
        world.open(1, Some(&format!("t{n}")), None);
    }
    world.silent.insert(socket(1));
    world.connect(2);
    world.open(1, Some("mine"), None);
    world.now = world.now + Duration::from_millis(1);
    world.open(2, Some("his"), None);
    world.advance(Duration::from_secs(3));
    assert!(world.opened("his").is_some());
    assert_eq!(world.closed_sockets(), [(socket(1), EvictReason::Unresponsive, Manner::Bury(ZombieKind::HalfOpen))]);
}

#[test]
fn nobody_who_lives_goes_for_an_open_whose_own_socket_is_dead() {
    let mut world = World::with(LimitSpec { max_sessions_per_user: 1, ..LimitSpec::default() });
    for n in [1, 2] {
        world.connect(n);
        world.open(n, Some("shared"), None);
    }
    world.advance(Duration::from_secs(1));
    world.silent.insert(socket(2));
    world.open(2, Some("new"), None);
    world.advance(Duration::from_secs(2));
    assert_eq!((world.opened("new"), world.evicted()), (None, vec![]));
    assert_eq!(world.closed_sockets(), [(socket(2), EvictReason::Unresponsive, Manner::Bury(ZombieKind::HalfOpen))]);
}

#[test]
fn opens_of_one_thread_that_wait_together_get_one_session() {
    let mut world = World::new();
    world.fill(20);
    world.silent.extend((1..=20).map(socket));
    for n in [21, 22] {
        world.connect(n);
        world.open(n, Some("new"), None);
    }
    world.advance(Duration::from_secs(1));
    assert_eq!(world.evicted().len(), 1);
    assert_eq!(world.opened("new"), Some(AdmissionPath::Attach));
}

#[test]
fn the_ladder_ends_within_its_deadline_even_while_we_stall() {
    let mut world = World::new();
    world.fill(20);
    world.silent.extend((1..=20).map(socket));
    world.connect(21);
    world.open(21, Some("new"), None);
    for _ in 0..18 {
        world.now = world.now + Duration::from_millis(500);
        world.input(Input::Stalled { lag: Duration::from_millis(500) });
        world.advance(Duration::ZERO);
    }
    assert_eq!(world.opened("new"), Some(AdmissionPath::Reclaimed(ReclaimLevel::Force)));
}

#[test]
fn a_stall_in_the_middle_of_a_ladder_costs_no_live_session_while_a_dead_one_is_there() {
    let mut world = World::new();
    world.fill(20);
    world.silent.insert(socket(20));
    world.connect(21);
    world.open(21, Some("new"), None);
    world.now = world.now + Duration::from_secs(4);
    world.input(Input::Stalled { lag: Duration::from_secs(4) });
    world.advance(Duration::from_secs(1));
    assert_eq!(world.opened("new"), Some(AdmissionPath::Reclaimed(ReclaimLevel::Aggressive)));
    assert_eq!(world.evicted(), [("t20".to_owned(), ReclaimLevel::Aggressive)]);
}

#[test]
fn a_session_that_makes_room_for_an_open_of_its_own_socket_leaves_the_socket_open() {
    let mut world = World::new();
    world.connect(1);
    world.open(1, Some("t1"), None);
    world.advance(Duration::from_secs(1));
    for n in 2..=20 {
        world.connect(n);
        world.open(n, Some(&format!("t{n}")), None);
    }
    world.open(1, Some("new"), None);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.opened("new"), Some(AdmissionPath::Reclaimed(ReclaimLevel::Force)));
    assert!(world.closed_sockets().is_empty());
    assert_eq!(world.gate.session_count(&user()), 20);
}

#[test]
fn a_session_that_was_taken_over_and_lost_its_other_tab_lingers_from_then_on() {
    let mut world = World::new();
    for n in [1, 2] {
        world.connect(n);
        world.open(n, Some("t"), None);
    }
    world.connect_after(3, Some(1));
    world.advance(Duration::from_secs(9));
    world.input(Input::Disconnect { user: user(), connection: socket(2), end: End::Lost });
    world.advance(Duration::from_secs(9));
    assert_eq!(world.gate.session_count(&user()), 1);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.gate.session_count(&user()), 0);
}

#[test]
fn bands_are_told_and_background_reclaim_stops_below_its_watermark() {
    let mut world = World::new();
    world.fill(14);
    let bands: Vec<_> = world
        .seen
        .iter()
        .filter_map(|output| match output {
            Output::Event(Event::Pressure { usage, .. }) => Some(usage.level),
            _ => None,
        })
        .collect();
    assert_eq!(bands, [Pressure::Watch, Pressure::Warn, Pressure::High]);
    world.advance(Duration::from_millis(10));
    for n in 1..=6 {
        world.input(Input::Disconnect { user: user(), connection: socket(n), end: End::Lost });
    }
    world.advance(Duration::from_secs(5));
    assert_eq!(world.count(), 14, "background reclaim waits for its interval");
    world.seen.clear();
    world.fill(0);
    for n in 7..=9 {
        world.input(Input::Disconnect { user: user(), connection: socket(n), end: End::ClientClosed });
    }
    world.connect(30);
    world.open(30, Some("x"), None);
    world.advance(Duration::from_millis(10));
    assert_eq!(world.count(), 11, "12 of 20 crossed the mark again: one detached session went, no more");
}

#[test]
fn background_reclaim_spares_a_tab_that_is_in_a_tunnel_for_a_second() {
    let mut world = World::new();
    world.fill(19);
    world.silent.extend((1..=19).map(socket));
    world.connect(20);
    world.open(20, Some("phone"), None);
    world.advance(Duration::from_secs(1));
    world.silent.clear();
    world.advance(Duration::from_secs(30));
    assert_eq!(world.count(), 20);
}

#[test]
fn a_draining_node_refuses_with_a_time() {
    let mut world = World::new();
    world.fill(1);
    world.input(Input::Drain { retry_in: Duration::from_secs(7) });
    world.open(1, Some("new"), None);
    let refusal = world.seen.iter().find_map(|output| match output {
        Output::Refused { refusal, .. } => Some(*refusal),
        _ => None,
    });
    assert_eq!(refusal, Some(Refusal::Draining { retry_in: Duration::from_secs(7) }));
}

#[test]
fn an_open_on_an_unknown_socket_is_answered() {
    let mut world = World::new();
    world.open(9, Some("t"), None);
    assert_eq!(world.refused(), 1);
    assert_eq!(world.gate.census().users, 0, "nothing is kept of it");
}

#[test]
fn nothing_is_left_of_a_user_who_is_gone() {
    let mut world = World::new();
    world.fill(20);
    for n in 1..=20 {
        world.input(Input::Disconnect { user: user(), connection: socket(n), end: End::Lost });
    }
    world.advance(Duration::from_secs(10));
    assert_eq!(world.gate.census(), crate::Census::default());
    assert_eq!(world.gate.poll_timeout(), None);
}

#[test]
fn where_a_client_left_off_comes_back_unread() {
    let mut world = World::new();
    world.connect(1);
    let user = user();
    let request = WebSocketRequest {
        user: &user,
        thread: Some("t"),
        client: None,
        connection: socket(1),
        operation: "open",
        component: "test",
        unix_ms: 0,
    };
    let context = SessionContext::from_websocket_request(&request, Entropy { sequence: 1, random: 1 }).unwrap();
    let given = Some(Resume { after: 7, epoch: "e".into() });
    world.input(Input::Open { context, reference: None, resume: given.clone() });
    let carried = world.seen.iter().find_map(|output| match output {
        Output::Opened { resume, .. } => Some(resume.clone()),
        _ => None,
    });
    assert_eq!(carried, Some(given));
}
