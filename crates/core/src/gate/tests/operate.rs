//! What operators ask for: a session ended, reclaim by hand, another limit for a while, other plans, a report.

use super::*;
use crate::plans::Plans;

const SECOND: Duration = Duration::from_secs(1);

impl World {
    fn reclaim(&mut self, level: ReclaimLevel) -> Vec<(String, ReclaimLevel)> {
        self.seen.clear();
        self.input(Input::Reclaim { user: user(), level });
        self.evicted()
    }

    fn lend(&mut self, sessions: Option<usize>, lasting: Duration) {
        self.input(Input::Lend { user: user(), sessions, lasting });
    }
}

#[test]
fn a_session_that_an_operator_ends_frees_its_slot_and_closes_the_socket_that_shows_nothing_else() {
    let mut world = World::new();
    world.connect(1);
    world.open(1, Some("a"), None);
    world.open(1, Some("b"), None);
    let reason = EvictReason::ByAdmin;
    world.input(Input::End { key: key("a"), reason });
    assert_eq!(world.count(), 1);
    assert!(world.closed_sockets().is_empty(), "it shows b still");
    world.input(Input::End { key: key("b"), reason });
    assert_eq!(world.count(), 0);
    assert_eq!(world.closed_sockets(), [(socket(1), reason, Manner::Handshake)]);
    assert_eq!(world.released(), [("a".to_owned(), reason), ("b".to_owned(), reason)]);
    world.input(Input::End { key: key("b"), reason });
    assert_eq!(world.released().len(), 2, "a session ends once");
}

#[test]
fn reclaim_by_hand_takes_what_its_level_reaches_and_of_the_living_one() {
    let mut world = World::new();
    world.fill(4);
    world.input(Input::Disconnect { user: user(), connection: socket(4), end: End::Lost });
    assert_eq!(world.reclaim(ReclaimLevel::Conservative), []);
    assert_eq!(world.reclaim(ReclaimLevel::Moderate).len(), 1, "the one that lingers");
    assert_eq!(world.reclaim(ReclaimLevel::Moderate), []);
    assert_eq!(world.reclaim(ReclaimLevel::Force).len(), 1);
    assert_eq!(world.count(), 2);
}

#[test]
fn aggressive_reclaim_by_hand_asks_everybody_and_buries_who_does_not_answer() {
    let mut world = World::new();
    world.fill(3);
    world.advance(SECOND);
    world.silent.insert(socket(2));
    assert_eq!(world.reclaim(ReclaimLevel::Aggressive), [], "nobody goes unasked");
    world.advance(SECOND * 2);
    assert_eq!(world.evicted().len(), 1);
    assert_eq!(world.count(), 2);
}

#[test]
fn aggressive_reclaim_while_somebody_waits_serves_him_too() {
    let mut world = World::new();
    world.fill(20);
    world.advance(SECOND);
    world.silent.extend((1..=2).map(socket));
    world.reclaim(ReclaimLevel::Aggressive);
    world.connect(21);
    world.open(21, Some("late"), None);
    world.advance(SECOND * 3);
    assert!(world.opened("late").is_some());
    assert!(world.count() <= 19, "both dead ones went: {}", world.count());
}

#[test]
fn a_lent_limit_admits_more_for_a_while_and_its_end_evicts_nobody() {
    let mut world = World::new();
    world.fill(20);
    world.lend(Some(22), SECOND * 10);
    for (n, name) in [(21, "x"), (22, "y")] {
        world.connect(n);
        world.open(n, Some(name), None);
        assert_eq!(world.opened(name), Some(AdmissionPath::Free));
    }
    assert_eq!(world.gate.report(&user()).unwrap().lent, Some((22, SECOND * 10)));
    world.advance(SECOND * 11);
    world.input(Input::Used { key: key("x") });
    assert_eq!(world.count(), 22);
    assert_eq!(world.gate.usage(&user()).limit, 20);
    assert_eq!(world.gate.report(&user()).unwrap().lent, None);
}

#[test]
fn a_lower_limit_is_lent_and_taken_back_and_evicts_nobody() {
    let mut world = World::new();
    world.fill(3);
    world.lend(Some(2), SECOND * 60);
    assert_eq!((world.count(), world.gate.usage(&user()).limit), (3, 2));
    world.lend(None, Duration::ZERO);
    assert_eq!(world.gate.usage(&user()).limit, 20);
}

#[test]
fn a_limit_of_nothing_is_no_limit_and_changes_nothing() {
    let mut world = World::new();
    world.fill(1);
    world.lend(Some(0), SECOND * 60);
    assert_eq!(world.gate.usage(&user()).limit, 20);
}

#[test]
fn a_higher_limit_lent_to_whoever_waits_admits_him_at_once() {
    let mut world = World::with(LimitSpec { max_sessions_per_user: 1, reserve_sessions: 0, ..LimitSpec::default() });
    world.connect(1);
    world.open(1, Some("a"), None);
    world.input(Input::RunStarted { key: key("a"), run: RunId::parse("r").unwrap() });
    world.connect(2);
    world.open(2, Some("b"), None);
    assert_eq!(world.opened("b"), None);
    world.lend(Some(2), SECOND * 60);
    assert!(world.opened("b").is_some());
}

#[test]
fn other_plans_keep_their_users_by_name() {
    let limits =
        |max_sessions_per_user| Limits::new(LimitSpec { max_sessions_per_user, ..LimitSpec::default() }).unwrap();
    let mut world = World::new();
    world.gate = Gate::new(Plans::new(limits(20)).with("pro", limits(40)).with("team", limits(60)), 7);
    let plan = world.gate.plan("team").unwrap();
    let (heartbeat, expires) = (Heartbeat::Protocol, None);
    world.input(Input::Connect { user: user(), connection: socket(1), prev: None, heartbeat, expires, plan });
    world.gate.replace_plans(world.now, Plans::new(limits(10)).with("team", limits(50)));
    world.drain();
    assert_eq!(world.gate.usage(&user()).limit, 50, "the place of the plan is another one, its name is not");
    world.gate.replace_plans(world.now, Plans::new(limits(10)));
    world.drain();
    assert_eq!(world.gate.usage(&user()).limit, 10);
}

#[test]
fn a_limit_that_is_lent_changes_nothing_else_of_the_plan_that_the_user_comes_to() {
    let limits = |max_sessions_per_user, max_runs_per_user| {
        Limits::new(LimitSpec { max_sessions_per_user, max_runs_per_user, ..LimitSpec::default() }).unwrap()
    };
    let mut world = World::new();
    world.gate = Gate::new(Plans::new(limits(20, 64)).with("pro", limits(30, 500)), 7);
    world.lend(Some(40), SECOND * 3_600);
    let plan = world.gate.plan("pro").unwrap();
    let (heartbeat, expires) = (Heartbeat::Protocol, None);
    world.input(Input::Connect { user: user(), connection: socket(1), prev: None, heartbeat, expires, plan });
    let in_force = world.gate.limits(&user()).into_owned();
    assert_eq!((in_force.max_sessions_per_user, in_force.max_runs_per_user), (40, 500));
    world.gate.replace_plans(world.now, Plans::new(limits(20, 64)).with("pro", limits(30, 900)));
    world.drain();
    let in_force = world.gate.limits(&user()).into_owned();
    assert_eq!((in_force.max_sessions_per_user, in_force.max_runs_per_user), (40, 900));
}

#[test]
fn whoever_waits_for_a_slot_is_told_of_a_drain_at_once() {
    let mut world = World::with(LimitSpec { max_sessions_per_user: 1, reserve_sessions: 0, ..LimitSpec::default() });
    world.connect(1);
    world.open(1, Some("a"), None);
    world.input(Input::RunStarted { key: key("a"), run: RunId::parse("r").unwrap() });
    world.connect(2);
    world.open(2, Some("b"), None);
    assert_eq!(world.refused(), 0);
    world.input(Input::Drain { retry_in: SECOND });
    assert_eq!(world.refused(), 1);
}

#[test]
fn a_report_says_who_is_attached_how_healthy_and_what_runs() {
    let mut world = World::new();
    world.fill(2);
    world.input(Input::RunStarted { key: key("t1"), run: RunId::parse("r").unwrap() });
    world.input(Input::Disconnect { user: user(), connection: socket(2), end: End::Lost });
    let report = world.gate.report(&user()).unwrap();
    assert_eq!((report.usage.used, report.connections.len(), report.runs.len()), (2, 1, 1));
    let [attached, lingering] = &report.sessions[..] else { panic!("{report:?}") };
    assert_eq!((&attached.attached[..], attached.health.score), (&[socket(1)][..], 100));
    assert_eq!(attached.run.as_ref().map(RunId::as_str), Some("r"));
    assert!(lingering.liveness.is_none() && lingering.lingers_for.is_some() && lingering.health.score < 100);
    assert_eq!(world.gate.reports(0, 10).0.len(), 1);
    assert_eq!(world.gate.reports(0, 10).1, None);
}

#[test]
fn a_brief_counts_what_a_report_lists_and_copies_whom_it_is_asked_for_alone() {
    let mut world = World::new();
    world.fill(2);
    world.input(Input::RunStarted { key: key("t1"), run: RunId::parse("r").unwrap() });
    world.input(Input::Disconnect { user: user(), connection: socket(2), end: End::Lost });
    let (briefs, next) = world.gate.briefs(0, 10, |_, usage| usage.used == 2);
    let [brief] = &briefs[..] else { panic!("{briefs:?}") };
    assert_eq!((brief.usage.used, brief.connections, brief.runs, brief.waiting), (2, 1, 1, 0));
    assert_eq!((brief.alive, brief.suspect, brief.zombie, brief.detached), (1, 0, 0, 1));
    assert_eq!((next, world.gate.user_count()), (None, 1));
    assert!(world.gate.briefs(0, 10, |_, usage| usage.used > 2).0.is_empty());
}
