//! Whatever is fed to a gate, in whatever order, with whatever gaps: it keeps its bounds, and it always comes to rest.
//!
//! The simulation of the scenario crate feeds what a sensible world would; this feeds everything else.

use std::collections::BTreeSet;
use std::time::Duration;

use lychgate_core::{
    Backlog, ConnectionId, End, Entropy, Event, EvictReason, Force, Gate, Heartbeat, Input, LimitSpec, Limits, Mode,
    Output, PingOutcome, PlanId, Plans, ReclaimLevel, Refusal, RunId, SessionContext, SessionKey, Sign, ThreadId, Time,
    UserId, WebSocketRequest, WriteProgress,
};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq, proptest};

const SESSIONS: usize = 3;
const RESERVE: usize = 1;
const USERS: u8 = 3;
const CONNECTIONS: u128 = 8;

/// Limits for everybody and lower ones for one plan, so that limits fall and rise under users who are here.
fn plans(force: Force, mode: Mode) -> Plans {
    let everybody = LimitSpec {
        max_sessions_per_user: SESSIONS,
        max_connections_per_user: 6,
        max_connections_per_session: 2,
        max_waiting_opens_per_user: 2,
        reserve_sessions: RESERVE,
        force,
        mode,
        ..LimitSpec::default()
    };
    let lower = LimitSpec { max_sessions_per_user: 1, pinned_sessions: 1, ..everybody.clone() };
    let checked = |spec| Limits::new(spec).expect("limits that do not contradict each other");
    Plans::new(checked(everybody)).with("lower", checked(lower))
}

/// Every way in which a limit can act.
fn policy() -> impl Strategy<Value = (Force, Mode)> {
    prop_oneof![
        3 => Just((Force::Evict, Mode::Enforce)),
        1 => Just((Force::Never, Mode::Enforce)),
        1 => Just((Force::Evict, Mode::Shadow)),
    ]
}

fn plan(lower: bool) -> PlanId {
    match lower {
        true => plans(Force::Evict, Mode::Enforce).find("lower").expect("a plan of this name"),
        false => PlanId::default(),
    }
}

fn user(n: u8) -> UserId {
    UserId::parse(["ann", "105945141827451681156", "a:b%"][usize::from(n)]).expect("an id")
}

fn thread(n: u8) -> ThreadId {
    ThreadId::parse(&format!("t{n}")).expect("an id")
}

fn context(user: &UserId, connection: ConnectionId, thread: Option<u8>, random: u128) -> SessionContext {
    let name = thread.map(|n| format!("t{n}"));
    let request = WebSocketRequest {
        user,
        thread: name.as_deref(),
        client: None,
        connection,
        operation: "open",
        component: "test",
        unix_ms: 0,
    };
    SessionContext::from_websocket_request(&request, Entropy { sequence: 1, random }).expect("ids that are ids")
}

/// Few users, connections and threads, so that inputs meet.
fn socket() -> impl Strategy<Value = (UserId, ConnectionId)> + Clone {
    (0..USERS, 0..CONNECTIONS).prop_map(|(n, id)| (user(n), ConnectionId::from_random(id)))
}

fn instant() -> impl Strategy<Value = Time> + Clone {
    (0u64..60_000_000).prop_map(Time::from_micros)
}

/// Sockets come, ask and go.
fn coming_and_going() -> impl Strategy<Value = Input> {
    let beat = prop_oneof![Just(Heartbeat::Protocol), Just(Heartbeat::Application)];
    let connect = (socket(), prop::option::of(0..CONNECTIONS), beat, prop::option::of(instant()), any::<bool>());
    let open = (socket(), prop::option::of(0u8..5), any::<u128>(), prop::option::of(0u8..3));
    let end = prop_oneof![Just(End::Lost), Just(End::ClientClosed)];
    let reason = prop_oneof![Just(EvictReason::ByAdmin), Just(EvictReason::MadeRoomForConnection)];
    prop_oneof![
        4 => connect.prop_map(|((user, connection), prev, heartbeat, expires, lower)| {
            let prev = prev.map(ConnectionId::from_random);
            Input::Connect { user, connection, prev, heartbeat, expires, plan: plan(lower) }
        }),
        6 => open.prop_map(|((user, connection), thread, random, reference)| Input::Open {
            context: context(&user, connection, thread, random),
            reference: reference.map(|n| n.to_string().into_boxed_str()),
            resume: None,
        }),
        1 => (socket(), 0u8..5).prop_map(|((user, connection), n)| {
            Input::Leave { user, connection, thread: thread(n) }
        }),
        2 => (socket(), end).prop_map(|((user, connection), end)| Input::Disconnect { user, connection, end }),
        1 => (socket(), reason).prop_map(|((user, connection), reason)| Input::Expel { user, connection, reason }),
    ]
}

/// What is heard of sockets, runs and the server itself.
fn news() -> impl Strategy<Value = Input> {
    let key = (0..USERS, 0u8..5).prop_map(|(n, t)| SessionKey::new(user(n), thread(t)));
    let run = (0u64..3).prop_map(RunId::generate);
    let sign = prop_oneof![Just(Sign::Data), Just(Sign::Pong), Just(Sign::Visible)];
    let outcome = prop_oneof![Just(PingOutcome::Written), Just(PingOutcome::Queued), Just(PingOutcome::Failed)];
    let progress = prop_oneof![Just(WriteProgress::Blocked), Just(WriteProgress::Moved), Just(WriteProgress::Cleared)];
    let level = prop_oneof![
        Just(ReclaimLevel::Conservative),
        Just(ReclaimLevel::Moderate),
        Just(ReclaimLevel::Aggressive),
        Just(ReclaimLevel::Force)
    ];
    let renew = (socket(), prop::option::of(instant()), any::<bool>());
    prop_oneof![
        2 => (socket(), sign).prop_map(|((user, connection), sign)| Input::Heard { user, connection, sign }),
        3 => (socket(), outcome).prop_map(|((user, connection), outcome)| {
            Input::PingResult { user, connection, outcome, backlog: Backlog::default() }
        }),
        1 => (socket(), progress).prop_map(|((user, connection), progress)| {
            Input::Backlog { user, connection, progress }
        }),
        1 => (key.clone(), run.clone()).prop_map(|(key, run)| Input::RunStarted { key, run }),
        1 => (key.clone(), run).prop_map(|(key, run)| Input::RunEnded { key, run }),
        1 => key.clone().prop_map(|key| Input::Used { key }),
        1 => renew.prop_map(|((user, connection), expires, lower)| {
            Input::Renew { user, connection, expires, plan: plan(lower) }
        }),
        1 => socket().prop_map(|(user, connection)| Input::EvictionDone { user, connection }),
        1 => socket().prop_map(|(user, connection)| Input::EvictionFailed { user, connection }),
        1 => key.prop_map(|key| Input::End { key, reason: EvictReason::ByAdmin }),
        1 => (0..USERS, level).prop_map(|(n, level)| Input::Reclaim { user: user(n), level }),
        1 => (0..USERS, prop::option::of(1..=SESSIONS), 0u64..20).prop_map(|(n, sessions, secs)| {
            Input::Lend { user: user(n), sessions, lasting: Duration::from_secs(secs) }
        }),
        1 => (0u64..20_000).prop_map(|millis| Input::Stalled { lag: Duration::from_millis(millis) }),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![coming_and_going(), news()]
}

/// The sessions that the events told of.
struct Told {
    sessions: BTreeSet<SessionKey>,
    force: Force,
    most: usize,
}

impl Told {
    fn new((force, mode): (Force, Mode)) -> Self {
        let most = match mode {
            Mode::Enforce => SESSIONS + RESERVE,
            Mode::Shadow => usize::MAX,
        };
        Self { sessions: BTreeSet::new(), force, most }
    }

    /// Drains the gate and compares.
    fn hear(&mut self, gate: &mut Gate) -> Result<(), TestCaseError> {
        while let Some(output) = gate.poll_output() {
            match output {
                Output::Event(Event::SessionCreated { key, .. }) => prop_assert!(self.sessions.insert(key)),
                Output::Event(Event::SessionReleased { key, .. } | Event::SessionEvicted { key, .. }) => {
                    prop_assert!(self.sessions.remove(&key));
                }
                Output::Refused { refusal: Refusal::NoSlot { .. }, .. } => prop_assert_eq!(self.force, Force::Never),
                Output::Refused { refusal, .. } => prop_assert_eq!(refusal, Refusal::NotConnected),
                _ => {}
            }
            prop_assert!((0..USERS).all(|n| self.count(n) <= self.most));
        }
        for n in 0..USERS {
            prop_assert_eq!(gate.session_count(&user(n)), self.count(n));
        }
        prop_assert_eq!(gate.check(), Ok(()));
        Ok(())
    }

    fn count(&self, n: u8) -> usize {
        self.sessions.iter().filter(|key| *key.user() == user(n)).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_inputs_keeps_the_bounds_and_pairs_every_session(
        policy in policy(),
        inputs in prop::collection::vec((input(), 0u64..3_000), 0..120)
    ) {
        let mut gate = Gate::new(plans(policy.0, policy.1), 7);
        let mut told = Told::new(policy);
        let mut now = Time::ZERO;
        for (input, gap) in inputs {
            gate.handle_input(now, input);
            told.hear(&mut gate)?;
            now = now + Duration::from_millis(gap);
            gate.handle_timeout(now);
            told.hear(&mut gate)?;
            prop_assert!(gate.poll_timeout().is_none_or(|due| due > now), "a deadline that is due makes progress");
        }
    }

    #[test]
    fn nothing_is_left_when_every_socket_has_ended(
        policy in policy(),
        inputs in prop::collection::vec((input(), 0u64..3_000), 0..80)
    ) {
        let mut gate = Gate::new(plans(policy.0, policy.1), 7);
        let mut told = Told::new(policy);
        let mut now = Time::ZERO;
        for (input, gap) in inputs {
            gate.handle_input(now, input);
            now = now + Duration::from_millis(gap);
            gate.handle_timeout(now);
            told.hear(&mut gate)?;
        }
        for n in 0..USERS {
            for id in 0..CONNECTIONS {
                let connection = ConnectionId::from_random(id);
                gate.handle_input(now, Input::Disconnect { user: user(n), connection, end: End::Lost });
            }
        }
        gate.handle_timeout(now + Duration::from_secs(10));
        told.hear(&mut gate)?;
        prop_assert!(told.sessions.is_empty());
    }

    #[test]
    fn a_clock_that_runs_backwards_harms_nobody(
        policy in policy(),
        inputs in prop::collection::vec((input(), instant()), 0..60)
    ) {
        let mut gate = Gate::new(plans(policy.0, policy.1), 7);
        let mut told = Told::new(policy);
        for (input, at) in inputs {
            gate.handle_input(at, input);
            told.hear(&mut gate)?;
            gate.handle_timeout(at - Duration::from_secs(5));
            told.hear(&mut gate)?;
        }
    }
}
