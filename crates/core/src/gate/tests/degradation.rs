//! When every session is protected, when the limit only tells, when steps fail, when records are broken.

use super::*;
use crate::breaker::{BreakerState, NodeBreakers, ReclaimStep};
use crate::limits::{Force, Mode};
use crate::liveness::ZombieKind;
use crate::plans::Plans;

const SECOND: Duration = Duration::from_secs(1);

fn small() -> LimitSpec {
    LimitSpec { max_sessions_per_user: 4, reserve_sessions: 2, ..LimitSpec::default() }
}

impl World {
    /// One session at a time, and five sockets that made room and whose closes nobody confirms.
    fn with_five_closes() -> Self {
        let mut world = Self::with(LimitSpec { max_sessions_per_user: 1, ..LimitSpec::default() });
        world.closes_work = false;
        for n in 1..=6 {
            world.connect(n);
            world.open(n, Some(&format!("t{n}")), None);
            world.now = world.now + Duration::from_millis(1);
        }
        world
    }

    fn run(&mut self, name: &str) {
        self.input(Input::RunStarted { key: key(name), run: RunId::parse(name).unwrap() });
    }

    fn run_ends(&mut self, name: &str) {
        self.input(Input::RunEnded { key: key(name), run: RunId::parse(name).unwrap() });
    }

    /// So many sessions, each with a run in flight.
    fn fill_busy(&mut self, count: u128) {
        self.fill(count);
        (1..=count).for_each(|n| self.run(&format!("t{n}")));
    }

    /// A new tab that opens a thread of its own name, and keeps it busy once it has it.
    fn arrive(&mut self, n: u128) {
        self.connect(n);
        self.open(n, Some(&format!("t{n}")), None);
        if self.opened(&format!("t{n}")).is_some() {
            self.run(&format!("t{n}"));
        }
    }

    /// What the opens of the queue were told last, by thread.
    fn positions(&self) -> Vec<(String, usize)> {
        let mut told: Vec<(String, usize)> = Vec::new();
        for output in &self.seen {
            if let Output::Queued { key, position, .. } = output {
                told.retain(|(thread, _)| thread != key.thread().as_str());
                told.push((key.thread().to_string(), *position));
            }
        }
        told
    }

    fn breaker_moves(&self) -> Vec<(bool, ReclaimStep, BreakerState)> {
        let moves = self.seen.iter().filter_map(|output| match output {
            Output::Event(Event::Breaker { user, step, state }) => Some((user.is_none(), *step, *state)),
            _ => None,
        });
        moves.collect()
    }
}

#[test]
fn when_every_session_is_protected_the_reserve_admits_at_once_then_the_queue_tells_positions() {
    let mut world = World::with(small());
    world.fill_busy(4);
    for n in 5..=6 {
        world.arrive(n);
        assert_eq!(world.opened(&format!("t{n}")), Some(AdmissionPath::Reserve));
    }
    world.arrive(7);
    world.now = world.now + Duration::from_millis(1);
    world.arrive(8);
    assert_eq!(world.positions(), [("t7".to_owned(), 1), ("t8".to_owned(), 2)]);
    assert_eq!((world.count(), world.evicted().len(), world.refused()), (6, 0, 0));
}

#[test]
fn the_end_of_the_queue_takes_over_the_least_recently_used_session_whose_run_goes_on() {
    let mut world = World::with(small());
    world.fill_busy(4);
    world.arrive(5);
    world.arrive(6);
    world.arrive(7);
    let asked = world.now;
    world.advance(Duration::from_millis(7_999));
    assert_eq!(world.opened("t7"), None);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.opened("t7"), Some(AdmissionPath::Queue));
    assert_eq!(world.now, asked + SECOND * 8);
    assert_eq!(world.evicted(), [("t1".to_owned(), ReclaimLevel::Force)]);
    assert_eq!(world.gate.census().runs, 6, "the run of the session that was taken over goes on");
}

#[test]
fn who_waits_gets_the_slot_of_a_session_whose_run_ended_after_a_fresh_probe() {
    let mut world = World::with(LimitSpec { reserve_sessions: 0, ..small() });
    world.fill_busy(4);
    world.arrive(5);
    world.advance(SECOND);
    world.silent.insert(socket(3));
    world.run_ends("t2");
    assert_eq!(world.opened("t5"), None, "the dead have their chance to be found first (I4)");
    world.advance(SECOND);
    assert_eq!(world.opened("t5"), Some(AdmissionPath::Queue));
    assert_eq!(world.evicted(), [("t3".to_owned(), ReclaimLevel::Aggressive)]);
}

#[test]
fn who_was_served_from_the_queue_is_not_taken_for_the_next_one_in_it_while_that_one_can_wait() {
    let mut world = World::with(LimitSpec { reserve_sessions: 0, ..small() });
    world.fill_busy(4);
    for n in 5..=6 {
        world.arrive(n);
        world.now = world.now + Duration::from_millis(1);
    }
    world.input(Input::Leave { user: user(), connection: socket(3), thread: thread("t3") });
    world.advance(SECOND * 7);
    assert_eq!((world.opened("t5"), world.opened("t6")), (Some(AdmissionPath::Queue), None));
    assert_eq!(world.evicted().len(), 0);
    world.advance(SECOND * 2);
    assert_eq!(world.evicted(), [("t5".to_owned(), ReclaimLevel::Force)], "another choice than a running answer (I5)");
}

#[test]
fn the_queue_is_served_in_its_order() {
    let mut world = World::with(LimitSpec { reserve_sessions: 0, ..small() });
    world.fill_busy(4);
    for n in 5..=7 {
        world.arrive(n);
        world.now = world.now + Duration::from_millis(1);
    }
    world.advance(SECOND * 9);
    let order: Vec<_> = world
        .seen
        .iter()
        .filter_map(|output| match output {
            Output::Opened { context, path: AdmissionPath::Queue, .. } => Some(context.thread().to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["t5", "t6", "t7"]);
}

#[test]
fn a_session_that_leaves_serves_the_queue_without_an_eviction() {
    let mut world = World::with(LimitSpec { reserve_sessions: 0, ..small() });
    world.fill_busy(4);
    world.arrive(5);
    world.input(Input::Leave { user: user(), connection: socket(3), thread: thread("t3") });
    assert_eq!((world.opened("t5"), world.evicted().len()), (Some(AdmissionPath::Queue), 0));
}

#[test]
fn the_reserves_window_is_not_extended_and_nobody_is_evicted_at_its_end() {
    let mut world = World::with(small());
    world.fill_busy(4);
    world.arrive(5);
    world.advance(SECOND * 59);
    world.arrive(6);
    assert_eq!(world.opened("t6"), Some(AdmissionPath::Reserve));
    world.advance(SECOND * 2);
    assert_eq!((world.count(), world.evicted().len()), (6, 0));
    world.input(Input::Leave { user: user(), connection: socket(6), thread: thread("t6") });
    world.arrive(7);
    assert_eq!(world.opened("t7"), None, "the window is over: it waits");
    let told: Vec<_> = world
        .seen
        .iter()
        .filter_map(|output| match output {
            Output::Limit { connection, usage } if *connection == socket(1) => Some(usage.reserve_left.is_some()),
            _ => None,
        })
        .collect();
    assert!(told.ends_with(&[true, false]), "{told:?}");
}

#[test]
fn the_reserve_opens_again_only_a_window_after_the_user_was_back_at_his_limit() {
    let mut world = World::with(small());
    world.fill_busy(4);
    world.arrive(5);
    world.input(Input::Leave { user: user(), connection: socket(5), thread: thread("t5") });
    world.advance(SECOND * 61);
    world.arrive(6);
    assert_eq!(world.opened("t6"), Some(AdmissionPath::Reserve), "a minute at the limit");
    world.advance(SECOND * 60);
    world.input(Input::Leave { user: user(), connection: socket(6), thread: thread("t6") });
    world.advance(SECOND * 59);
    world.arrive(7);
    assert_eq!(world.opened("t7"), None);
}

#[test]
fn letting_everything_go_does_not_open_the_reserve_anew() {
    let mut world = World::with(small());
    world.fill_busy(4);
    world.arrive(5);
    world.advance(SECOND * 30);
    for n in 1..=5 {
        world.run_ends(&format!("t{n}"));
        world.input(Input::Disconnect { user: user(), connection: socket(n), end: End::ClientClosed });
    }
    world.advance(SECOND * 40);
    for n in 11..=14 {
        world.arrive(n);
    }
    world.arrive(15);
    assert_eq!(world.opened("t15"), None);
    world.advance(SECOND * 200);
    assert_eq!(world.refused(), 0);
}

#[test]
fn further_opens_of_a_thread_that_waits_join_its_place() {
    let mut world = World::with(LimitSpec { reserve_sessions: 0, ..small() });
    world.fill_busy(4);
    for n in [5, 6] {
        world.connect(n);
        world.open(n, Some("new"), Some("r"));
    }
    assert_eq!(world.positions(), [("new".to_owned(), 1)]);
    assert_eq!(world.gate.census().waiting, 1);
    world.advance(SECOND * 8);
    let opened = world
        .seen
        .iter()
        .filter(|output| matches!(output, Output::Opened { context, .. } if context.thread().as_str() == "new"));
    assert_eq!((opened.count(), world.evicted().len()), (2, 1));
}

#[test]
fn a_waiter_that_loses_one_of_its_askers_goes_on_for_the_other() {
    let mut world = World::with(LimitSpec { reserve_sessions: 0, ..small() });
    world.fill_busy(4);
    for n in [5, 6] {
        world.connect(n);
        world.open(n, Some("new"), None);
    }
    world.input(Input::Disconnect { user: user(), connection: socket(5), end: End::Lost });
    world.advance(SECOND * 8);
    assert_eq!(world.opened("new"), Some(AdmissionPath::Queue));
}

#[test]
fn a_takeover_by_prev_is_told_the_position_on_its_new_socket() {
    let mut world = World::with(LimitSpec { reserve_sessions: 0, ..small() });
    world.fill_busy(4);
    world.connect(5);
    world.open(5, Some("new"), Some("r"));
    world.connect_after(6, Some(5));
    let told = world.seen.iter().rev().find_map(|output| match output {
        Output::Queued { connection, position, .. } => Some((*connection, *position)),
        _ => None,
    });
    assert_eq!(told, Some((socket(6), 1)));
}

#[test]
fn with_never_no_live_session_goes_and_the_queue_ends_in_a_refusal_with_a_time() {
    let mut world = World::with(LimitSpec { force: Force::Never, reserve_sessions: 0, ..small() });
    world.fill(4);
    world.connect(5);
    world.open(5, Some("new"), None);
    assert_eq!(world.positions(), [("new".to_owned(), 1)]);
    world.advance(SECOND * 8);
    assert_eq!((world.opened("new"), world.evicted().len()), (None, 0));
    let refused = world.seen.iter().find_map(|output| match output {
        Output::Refused { refusal, .. } => Some(*refusal),
        _ => None,
    });
    assert_eq!(refused, Some(Refusal::NoSlot { retry_in: SECOND * 8 }));
    world.input(Input::Disconnect { user: user(), connection: socket(1), end: End::Lost });
    world.open(5, Some("new"), None);
    assert!(world.opened("new").is_some(), "what is not alive goes with `never` too");
}

#[test]
fn pinned_sessions_are_protected_as_if_a_run_were_in_flight() {
    let mut world = World::with(LimitSpec { pinned_sessions: 2, ..small() });
    world.fill(4);
    world.input(Input::Used { key: key("t1") });
    for n in 5..=6 {
        world.connect(n);
        world.open(n, Some(&format!("t{n}")), None);
        world.now = world.now + Duration::from_millis(1);
    }
    let gone: Vec<_> = world.evicted().into_iter().map(|(thread, _)| thread).collect();
    assert_eq!(gone, ["t2", "t3"]);
    let mut all = World::with(LimitSpec { pinned_sessions: 4, ..small() });
    all.fill(4);
    all.arrive(5);
    assert_eq!(all.opened("t5"), Some(AdmissionPath::Reserve));
}

#[test]
fn the_plan_of_the_newest_token_sets_the_limit_and_a_lower_one_evicts_nobody_by_itself() {
    let mut world = World::with(small());
    let two = Limits::new(LimitSpec { max_sessions_per_user: 2, ..small() }).unwrap();
    let plans = Plans::new(Limits::new(small()).unwrap()).with("two", two);
    let plan = plans.find("two").unwrap();
    world.gate = Gate::new(plans, 7);
    world.fill(4);
    let heartbeat = Heartbeat::Application;
    world.input(Input::Connect { user: user(), connection: socket(9), prev: None, heartbeat, expires: None, plan });
    assert_eq!((world.count(), world.evicted().len()), (4, 0));
    assert_eq!(world.gate.usage(&user()).limit, 2);
    world.open(9, Some("new"), None);
    assert_eq!((world.count(), world.evicted().len()), (4, 1), "one goes for one, the count does not rise");
}

#[test]
fn in_shadow_mode_the_gate_tells_what_it_would_do_and_admits() {
    let mut world = World::with(LimitSpec { mode: Mode::Shadow, ..small() });
    world.fill(6);
    assert_eq!((world.count(), world.evicted().len()), (6, 0));
    assert_eq!(world.opened("t5"), Some(AdmissionPath::Shadow));
    let would: Vec<_> = world
        .seen
        .iter()
        .filter_map(|output| match output {
            Output::Event(Event::WouldEvict { key, eviction }) => Some((key.thread().to_string(), eviction.level)),
            _ => None,
        })
        .collect();
    assert_eq!(would, vec![("t1".to_owned(), ReclaimLevel::Force); 2]);
    world.advance(SECOND * 300);
    assert_eq!(world.evicted().len(), 0, "nor in the background");
}

#[test]
fn a_probe_that_cannot_be_written_five_times_opens_the_breaker_and_force_goes_on_without() {
    let mut world = World::with(LimitSpec { max_sessions_per_user: 5, ..LimitSpec::default() });
    world.fill(5);
    world.connect(6);
    world.silent.extend((1..=6).map(socket));
    world.unwritable = true;
    world.now = world.now + SECOND;
    world.open(6, Some("new"), None);
    assert_eq!(world.breaker_moves(), [(false, ReclaimStep::Probe, BreakerState::Open)]);
    world.advance(SECOND);
    assert!(world.opened("new").is_some());
    let pings = world.seen.iter().filter(|output| matches!(output, Output::Ping { .. })).count();
    world.open(6, Some("newer"), None);
    assert!(world.opened("newer").is_some(), "an open breaker skips a level, and never a user");
    assert_eq!(world.seen.iter().filter(|output| matches!(output, Output::Ping { .. })).count(), pings);
    world.unwritable = false;
    world.silent.clear();
    world.now = world.now + SECOND * 10;
    world.open(6, Some("newest"), None);
    let moves: Vec<_> = world.breaker_moves().into_iter().map(|(_, _, state)| state).collect();
    assert_eq!(moves, [BreakerState::Open, BreakerState::Probing, BreakerState::Closed]);
}

#[test]
fn closes_that_are_not_confirmed_open_the_breaker_and_sockets_are_torn_down_at_once() {
    let mut world = World::with_five_closes();
    assert!(world.closed_sockets().iter().all(|(_, _, manner)| *manner == Manner::Handshake));
    world.advance(SECOND * 6);
    assert_eq!(world.breaker_moves(), [(false, ReclaimStep::Close, BreakerState::Open)]);
    world.connect(7);
    world.open(7, Some("t7"), None);
    assert_eq!(world.closed_sockets().last(), Some(&(socket(6), EvictReason::MadeRoom, Manner::Abort)));
}

#[test]
fn failures_of_ten_users_open_the_breaker_of_the_node_for_all_its_gates() {
    let node = std::sync::Arc::new(NodeBreakers::default());
    let limits = Limits::new(LimitSpec { max_sessions_per_user: 1, ..LimitSpec::default() }).unwrap();
    let mut gates: Vec<_> =
        (0..2).map(|seed| Gate::of_node(limits.clone(), seed, std::sync::Arc::clone(&node))).collect();
    let mut moves = Vec::new();
    for n in 0..10_u128 {
        let user = UserId::parse(&format!("u{n}")).unwrap();
        let gate = &mut gates[n as usize % 2];
        let connect = |connection| Input::Connect {
            user: user.clone(),
            connection,
            prev: None,
            heartbeat: Heartbeat::Protocol,
            expires: None,
            plan: PlanId::default(),
        };
        gate.handle_input(Time::ZERO, connect(socket(n)));
        gate.handle_input(
            Time::ZERO,
            Input::Expel { user: user.clone(), connection: socket(n), reason: EvictReason::ByAdmin },
        );
        gate.handle_input(Time::ZERO, Input::EvictionFailed { user: user.clone(), connection: socket(n) });
        while let Some(output) = gate.poll_output() {
            if let Output::Event(Event::Breaker { user: None, step, state }) = output {
                moves.push((n, step, state));
            }
        }
    }
    assert_eq!(moves, [(9, ReclaimStep::Close, BreakerState::Open)]);
}

#[test]
fn a_ghost_is_found_and_buried_and_told_as_a_defect() {
    let mut world = World::with(small());
    world.fill(2);
    world.gate.audit(world.now, 10, |connection| connection != socket(1));
    world.drain();
    assert!(world.seen.iter().any(|output| matches!(output, Output::Event(Event::Repaired { .. }))));
    let ghost = |output: &&Output| matches!(output, Output::Event(Event::Zombie { kind: ZombieKind::Ghost, connection, .. }) if *connection == socket(1));
    assert_eq!(world.seen.iter().filter(ghost).count(), 1);
    assert_eq!(world.gate.connection_count(), 1);
}

#[test]
fn records_that_contradict_each_other_are_repaired_and_nobody_who_is_attached_loses_a_session() {
    let mut world = World::new();
    world.fill(3);
    {
        let user = world.gate.users[0].as_mut().unwrap();
        let twin = crate::session::Session::new(
            thread("t1"),
            crate::session::Attachment { connection: socket(77), claim: None, reference: None },
            world.now,
        );
        user.sessions.push(twin);
        user.sessions[1].attached[0].connection = socket(99);
        user.sessions[2].lingers_until = Some(world.now);
    }
    assert!(world.gate.check().is_err());
    world.gate.audit(world.now, 1, |_| true);
    world.drain();
    assert_eq!(world.gate.check(), Ok(()));
    assert_eq!(world.count(), 3);
    world.advance(SECOND * 11);
    let held: Vec<_> = world.released().into_iter().map(|(thread, _)| thread).collect();
    assert_eq!(held, ["t2"], "only the one that nobody was attached to");
}

#[test]
fn an_audit_of_a_sound_gate_changes_nothing() {
    let mut world = World::with(small());
    world.fill(4);
    let seen = world.seen.len();
    for _ in 0..10 {
        world.gate.audit(world.now, 3, |_| true);
        world.drain();
    }
    assert_eq!(world.seen.len(), seen);
}

#[test]
fn an_eviction_tells_its_level_and_which_questions_stayed_unanswered() {
    let mut world = World::with(LimitSpec { max_sessions_per_user: 1, ..LimitSpec::default() });
    world.fill(1);
    world.silent.insert(socket(1));
    world.advance(SECOND);
    world.connect(2);
    world.open(2, Some("new"), None);
    world.advance(SECOND);
    let eviction = world.seen.iter().find_map(|output| match output {
        Output::Closed { eviction, .. } => *eviction,
        _ => None,
    });
    let eviction = eviction.unwrap();
    assert_eq!(eviction.level, ReclaimLevel::Aggressive);
    assert_eq!((eviction.evidence.missed_pings, eviction.evidence.missed_probes), (0, 2));
    assert_eq!(eviction.evidence.unanswered_for, Some(SECOND));
    assert!(eviction.evidence.silent_for >= SECOND);
}

#[test]
fn closes_that_our_own_stall_held_up_are_no_failures() {
    let mut world = World::with_five_closes();
    world.now = world.now + SECOND * 6;
    world.input(Input::Stalled { lag: SECOND * 6 });
    world.advance(SECOND);
    assert_eq!(world.breaker_moves(), []);
    world.advance(SECOND * 5);
    assert_eq!(world.breaker_moves().len(), 1);
}

#[test]
fn who_died_while_others_waited_is_found_before_anybody_is_taken_over() {
    let mut world = World::with(LimitSpec { reserve_sessions: 0, ..small() });
    world.fill_busy(4);
    world.arrive(5);
    world.advance(SECOND * 2);
    world.silent.insert(socket(4));
    world.advance(SECOND * 6);
    assert_eq!(world.opened("t5"), Some(AdmissionPath::Queue));
    assert_eq!(world.evicted(), [("t4".to_owned(), ReclaimLevel::Aggressive)], "and not t1, which lives");
}

#[test]
fn a_stall_in_the_last_second_of_the_queue_does_not_take_the_probe_from_it() {
    let mut world = World::with(LimitSpec { reserve_sessions: 0, ..small() });
    world.fill_busy(4);
    world.arrive(5);
    world.silent.insert(socket(4));
    world.advance(Duration::from_millis(7_200));
    let lag = Duration::from_millis(700);
    world.now = world.now + lag;
    world.input(Input::Stalled { lag });
    world.advance(Duration::from_millis(700));
    assert_eq!(world.opened("t5"), None, "the answers of the last probe have not had their time");
    world.advance(Duration::from_millis(100));
    assert_eq!(world.evicted(), [("t4".to_owned(), ReclaimLevel::Aggressive)]);
}

#[test]
fn who_waits_when_his_user_comes_to_a_plan_that_only_tells_is_admitted_and_nobody_goes() {
    let mut world = World::with(small());
    let tells = Limits::new(LimitSpec { mode: Mode::Shadow, ..small() }).unwrap();
    let limits = Limits::new(LimitSpec { reserve_sessions: 0, ..small() }).unwrap();
    let plans = Plans::new(limits).with("tells", tells);
    let plan = plans.find("tells").unwrap();
    world.gate = Gate::new(plans, 7);
    world.fill_busy(4);
    world.arrive(5);
    assert_eq!(world.opened("t5"), None);
    world.input(Input::Renew { user: user(), connection: socket(5), expires: None, plan });
    assert_eq!((world.opened("t5"), world.evicted().len()), (Some(AdmissionPath::Shadow), 0));
}

#[test]
fn a_reserve_that_may_open_again_is_open_for_whoever_is_served_late() {
    let mut world = World::with(LimitSpec { reserve_sessions: 1, ..small() });
    world.fill_busy(4);
    world.arrive(5);
    world.advance(SECOND);
    world.input(Input::Leave { user: user(), connection: socket(5), thread: thread("t5") });
    world.advance(Duration::from_millis(59_500));
    world.arrive(6);
    assert_eq!(world.positions(), [("t6".to_owned(), 1)], "the window is over");
    // While we stand still the reserve may open again, and then the time of the waiter in the queue ends.
    let lag = SECOND * 10;
    world.now = world.now + lag;
    world.input(Input::Stalled { lag });
    world.advance(Duration::ZERO);
    assert_eq!(world.opened("t6"), Some(AdmissionPath::Reserve));
    assert_eq!(world.evicted().len(), 0);
}

#[test]
fn who_is_told_of_a_band_in_the_middle_of_a_step_is_told_of_the_one_at_its_end() {
    let mut world = World::with(small());
    let six = Limits::new(LimitSpec { max_sessions_per_user: 6, ..small() }).unwrap();
    let limits = Limits::new(LimitSpec { reserve_sessions: 0, ..small() }).unwrap();
    let plans = Plans::new(limits).with("six", six);
    let plan = plans.find("six").unwrap();
    world.gate = Gate::new(plans, 7);
    world.fill_busy(4);
    world.arrive(5);
    world.arrive(6);
    let heartbeat = Heartbeat::Application;
    // Six are allowed now: who connects is told of four of six, and then the two who wait are admitted.
    world.input(Input::Connect { user: user(), connection: socket(9), prev: None, heartbeat, expires: None, plan });
    assert_eq!(world.count(), 6);
    let told = world.seen.iter().rev().find_map(|output| match output {
        Output::Connected { connection, usage, .. } | Output::Limit { connection, usage } => {
            (*connection == socket(9)).then_some(usage.level)
        }
        _ => None,
    });
    assert_eq!(told, Some(Pressure::Full));
}

#[test]
fn a_slot_of_the_reserve_that_comes_free_serves_the_queue_at_once() {
    let mut world = World::with(small());
    world.fill_busy(4);
    for n in 5..=7 {
        world.arrive(n);
    }
    assert_eq!(world.opened("t7"), None);
    world.input(Input::Leave { user: user(), connection: socket(6), thread: thread("t6") });
    assert_eq!((world.opened("t7"), world.count()), (Some(AdmissionPath::Reserve), 6));
}

#[test]
fn crossing_from_the_sixty_per_cent_mark_to_the_seventy_per_cent_mark_asks_everybody_at_once() {
    let mut world = World::new();
    world.fill(12);
    world.advance(SECOND * 5);
    let before = world.seen.len();
    for n in 13..=14 {
        world.connect(n);
        world.open(n, Some(&format!("t{n}")), None);
    }
    world.advance(SECOND);
    let asked = world.seen[before..].iter().filter(|output| matches!(output, Output::Ping { .. })).count();
    assert!(asked >= 14, "{asked}");
}

#[test]
fn lower_bounds_of_a_plan_take_nothing_away_and_are_no_broken_record() {
    let lower = LimitSpec {
        max_sessions_per_user: 1,
        max_connections_per_session: 2,
        max_connections_per_user: 3,
        max_waiting_opens_per_user: 1,
        reserve_sessions: 0,
        ..LimitSpec::default()
    };
    let mut world = World::with(small());
    let plans = Plans::new(Limits::new(LimitSpec { reserve_sessions: 0, ..small() }).unwrap())
        .with("lower", Limits::new(lower).unwrap());
    let plan = plans.find("lower").unwrap();
    world.gate = Gate::new(plans, 7);
    world.fill_busy(4);
    for n in 5..=8 {
        world.connect(n);
        world.open(n, Some("t1"), None);
    }
    for n in 9..=11 {
        world.connect(n);
        world.open(n, Some(&format!("t{n}")), None);
    }
    assert_eq!(world.gate.census().waiting, 3);
    world.input(Input::Renew { user: user(), connection: socket(1), expires: None, plan });
    world.gate.audit(world.now, 1, |_| true);
    world.drain();
    assert!(!world.seen.iter().any(|output| matches!(output, Output::Event(Event::Repaired { .. }))));
    assert_eq!((world.gate.census().waiting, world.gate.connection_count()), (3, 11));
    world.advance(SECOND * 10);
    assert!((9..=11).all(|n| world.opened(&format!("t{n}")).is_some()), "nobody who waited is forgotten");
}

#[test]
fn a_connect_under_a_lowered_bound_costs_one_connection() {
    let mut world = World::with(LimitSpec { max_sessions_per_user: 20, ..small() });
    let few = LimitSpec { max_connections_per_user: 8, ..LimitSpec::default() };
    let plans = Plans::new(Limits::default()).with("few", Limits::new(few).unwrap());
    let plan = plans.find("few").unwrap();
    world.gate = Gate::new(plans, 7);
    world.fill(12);
    let heartbeat = Heartbeat::Application;
    world.input(Input::Connect { user: user(), connection: socket(20), prev: None, heartbeat, expires: None, plan });
    assert_eq!((world.closed_sockets().len(), world.gate.connection_count()), (1, 12));
}

#[test]
fn every_open_of_a_thread_that_waits_is_answered_by_its_own_ref_and_so_is_a_leave() {
    let mut world = World::with(LimitSpec { reserve_sessions: 0, ..small() });
    world.fill_busy(4);
    world.connect(5);
    for reference in ["a", "b"] {
        world.open(5, Some("new"), Some(reference));
    }
    world.open(5, Some("other"), Some("c"));
    world.input(Input::Leave { user: user(), connection: socket(5), thread: thread("other") });
    let left = world.seen.iter().any(|output| {
        matches!(output, Output::Closed { reference: Some(reference), reason: EvictReason::Left, .. } if &**reference == "c")
    });
    assert!(left, "a leave of what waits is answered");
    world.advance(SECOND * 9);
    let opened: Vec<_> = world
        .seen
        .iter()
        .filter_map(|output| match output {
            Output::Opened { context, reference, .. } if context.thread().as_str() == "new" => reference.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [Box::from("a"), Box::from("b")]);
}

#[test]
fn one_thread_opened_without_end_while_it_waits_holds_no_more_than_the_bound() {
    let mut world = World::with(LimitSpec { reserve_sessions: 0, max_connections_per_user: 8, ..small() });
    world.fill_busy(4);
    world.connect(5);
    for n in 0..100 {
        world.open(5, Some("new"), Some(&format!("r{n}")));
    }
    assert_eq!(world.gate.users[0].as_ref().unwrap().waiting[0].askers.len(), 8);
}

#[test]
fn in_shadow_mode_the_ceiling_is_the_end_even_where_every_session_is_protected() {
    let spec = LimitSpec { mode: Mode::Shadow, max_sessions_per_user: 1_000, pinned_sessions: 1_000, ..small() };
    let mut world = World::with(spec);
    world.connect(1);
    for n in 0..1_002 {
        world.open(1, Some(&format!("t{n}")), None);
    }
    assert_eq!(world.count(), 1_000);
}

#[test]
fn the_trial_of_a_close_is_judged_by_its_own_handshake() {
    let mut world = World::with_five_closes();
    world.advance(SECOND * 16);
    world.connect(7);
    world.open(7, Some("t7"), None);
    assert_eq!(world.closed_sockets().last().map(|(_, _, manner)| *manner), Some(Manner::Handshake), "the trial");
    world.connect(8);
    world.open(8, Some("t8"), None);
    let torn = world.closed_sockets().last().map(|(connection, _, _)| *connection).unwrap();
    world.input(Input::EvictionDone { user: user(), connection: torn });
    let last = world.breaker_moves().last().map(|(_, _, state)| *state);
    assert_eq!(last, Some(BreakerState::Probing), "a socket that we tore down ourselves proves nothing");
}

#[test]
fn questions_that_could_not_be_asked_do_not_make_a_suspect_alive() {
    let mut world = World::with(LimitSpec { max_sessions_per_user: 2, reserve_sessions: 0, ..small() });
    world.fill_busy(2);
    world.silent.insert(socket(2));
    world.gate.users[0].as_mut().unwrap().connections[1].missed_probes = 1;
    world.unwritable = true;
    world.connect(3);
    world.open(3, Some("new"), None);
    world.advance(SECOND * 9);
    assert_eq!(world.evicted(), [("t2".to_owned(), ReclaimLevel::Force)], "the suspect, not the one used longest ago");
}

#[test]
fn a_claim_that_has_run_out_is_not_taken_over_however_late_that_is_noticed() {
    let mut world = World::new();
    world.fill(1);
    world.connect_after(2, Some(1));
    // Nobody opens the session on the second socket, and no deadline is let pass.
    world.now = world.now + Duration::from_millis(10_010);
    world.connect_after(3, Some(2));
    world.advance(SECOND);
    assert_eq!(world.released(), [("t1".to_owned(), EvictReason::LingerEnded)]);
}
