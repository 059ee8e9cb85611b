//! What is told of an admission at the limit, and of what reclaim tried for it.

use super::*;
use crate::limits::Mode;

impl World {
    /// Of every session that came into being: its thread, its path, and whether its user was full when it was asked for.
    fn created(&self) -> Vec<(String, AdmissionPath, bool)> {
        let created = self.seen.iter().filter_map(|output| match output {
            Output::Event(Event::SessionCreated { key, path, was_full, .. }) => {
                Some((key.thread().as_str().to_owned(), *path, *was_full))
            }
            _ => None,
        });
        created.collect()
    }

    /// What reclaim tried since the beginning, and what it freed.
    fn efforts(&self) -> Vec<(ReclaimLevel, usize)> {
        let efforts = self.seen.iter().filter_map(|output| match output {
            Output::Event(Event::Reclaimed { level, freed, .. }) => Some((*level, *freed)),
            _ => None,
        });
        efforts.collect()
    }

    fn last(&self) -> (AdmissionPath, bool) {
        let (_, path, was_full) = self.created().pop().unwrap();
        (path, was_full)
    }
}

/// A user with `sessions` sessions on sockets that stay silent, and as few as that allowed.
fn full(sessions: usize) -> World {
    let mut world =
        World::with(LimitSpec { max_sessions_per_user: sessions, reserve_sessions: 0, ..LimitSpec::default() });
    world.fill(sessions as u128);
    world.silent = (1..=sessions as u128).map(socket).collect();
    world.connect(99);
    world
}

#[test]
fn a_slot_that_came_free_while_an_open_waited_still_prevented_a_lockout() {
    let mut world = full(3);
    world.open(99, Some("new"), None);
    assert_eq!(world.opened("new"), None, "it waits for a probe");
    world.input(Input::Leave { user: user(), connection: socket(2), thread: thread("t2") });
    assert_eq!(world.last(), (AdmissionPath::Free, true));
}

#[test]
fn an_open_below_the_limit_prevents_none_and_one_at_it_does_whatever_its_path() {
    let mut world = full(3);
    assert!(world.created().iter().all(|(_, path, was_full)| (*path, *was_full) == (AdmissionPath::Free, false)));
    world.open(99, Some("new"), None);
    world.advance(Duration::from_secs(2));
    assert_eq!(world.last(), (AdmissionPath::Reclaimed(ReclaimLevel::Aggressive), true));
}

#[test]
fn an_attach_at_the_limit_prevents_no_lockout() {
    let mut world = full(3);
    world.open(99, Some("t1"), None);
    assert_eq!(world.opened("t1"), Some(AdmissionPath::Attach));
    assert_eq!(world.created().len(), 3);
}

#[test]
fn opens_of_one_thread_that_wait_together_are_one_lockout_and_each_says_how_long_it_waited() {
    let mut world = full(3);
    world.connect(98);
    world.open(98, Some("new"), None);
    world.advance(Duration::from_millis(300));
    world.open(99, Some("new"), None);
    world.advance(Duration::from_secs(2));
    assert_eq!(world.created().iter().filter(|(_, _, was_full)| *was_full).count(), 1);
    let attached = world.seen.iter().find_map(|output| match output {
        Output::Event(Event::SessionAttached { waited, .. }) => Some(*waited),
        _ => None,
    });
    assert!(attached.is_some_and(|waited| waited > Duration::from_millis(500)), "{attached:?}");
}

#[test]
fn a_limit_that_only_tells_prevents_no_lockout() {
    let shadow = LimitSpec { mode: Mode::Shadow, max_sessions_per_user: 2, ..LimitSpec::default() };
    let mut world = World::with(shadow);
    world.fill(3);
    assert_eq!(world.last(), (AdmissionPath::Shadow, false));
    assert_eq!(world.efforts(), []);
}

#[test]
fn the_ladder_tells_each_level_that_it_tried_once_and_what_that_freed() {
    let mut world = full(3);
    world.open(99, Some("new"), None);
    let in_vain = [(ReclaimLevel::Conservative, 0), (ReclaimLevel::Moderate, 0)];
    assert_eq!(world.efforts(), in_vain, "everybody looks alive");
    world.advance(Duration::from_secs(2));
    // The background looks in between, and finds nobody either.
    assert_eq!(world.efforts(), [&in_vain[..], &in_vain, &[(ReclaimLevel::Aggressive, 1)]].concat());
}

#[test]
fn a_level_that_finds_somebody_ends_the_ladder_and_force_is_told_after_a_probe_in_vain() {
    let mut world = full(3);
    world.silent.clear();
    world.open(99, Some("new"), None);
    world.advance(Duration::from_secs(2));
    // What follows is the background, which finds that its user is at his limit.
    assert_eq!(world.efforts()[2..4], [(ReclaimLevel::Aggressive, 0), (ReclaimLevel::Force, 1)]);
    let mut world = full(3);
    world.input(Input::Disconnect { user: user(), connection: socket(1), end: End::Lost });
    world.open(99, Some("new"), None);
    assert_eq!(world.efforts(), [(ReclaimLevel::Conservative, 0), (ReclaimLevel::Moderate, 1)]);
}

#[test]
fn a_question_that_cannot_be_written_is_a_failed_step_of_its_level() {
    let mut world = full(3);
    world.unwritable = true;
    world.open(99, Some("new"), None);
    let failed = world.seen.iter().filter(|output| matches!(output, Output::Event(Event::ProbeFailed { .. }))).count();
    assert_eq!(failed, 3, "one for each silent one; the newcomer was heard just now");
}

#[test]
fn a_close_that_is_not_confirmed_names_the_level_that_ordered_it_and_no_other_one_does() {
    let mut world = full(3);
    world.silent.clear();
    world.closes_work = false;
    world.open(99, Some("new"), None);
    world.connect_after(97, Some(3));
    world.advance(Duration::from_secs(10));
    let levels: Vec<_> = world
        .seen
        .iter()
        .filter_map(|output| match output {
            Output::Event(Event::CloseUnconfirmed { connection, level, .. }) => Some((*connection, *level)),
            _ => None,
        })
        .collect();
    assert!(levels.contains(&(socket(3), None)), "superseded by its own tab: {levels:?}");
    assert!(levels.iter().any(|(_, level)| *level == Some(ReclaimLevel::Force)), "{levels:?}");
}

#[test]
fn a_lent_limit_that_ended_counts_in_the_band_of_its_user_though_nobody_acted_since() {
    let mut world = World::with(LimitSpec { max_sessions_per_user: 4, reserve_sessions: 0, ..LimitSpec::default() });
    world.fill(4);
    world.input(Input::Lend { user: user(), sessions: Some(8), lasting: Duration::from_secs(5) });
    let bands = |world: &World, at| world.gate.census_of(0..usize::MAX, at).0.by_pressure;
    assert_eq!(bands(&world, world.now), [0, 1, 0, 0, 0]);
    assert_eq!(bands(&world, world.now + Duration::from_secs(6)), [0, 0, 0, 0, 1]);
}

#[test]
fn breakers_that_skip_are_counted_until_their_time_is_over() {
    let mut world = full(3);
    world.unwritable = true;
    world.open(99, Some("new"), None);
    world.advance(Duration::from_secs(3));
    world.connect(98);
    world.open(98, Some("newer"), None);
    world.advance(Duration::from_secs(2));
    let open = |world: &World, at| world.gate.census_of(0..usize::MAX, at).0.open_breakers;
    assert_eq!(open(&world, world.now), 1);
    assert_eq!(open(&world, world.now + Duration::from_secs(11)), 0);
}

#[test]
fn a_census_of_some_places_after_others_is_the_census_of_all() {
    let mut world = World::new();
    world.fill(5);
    let (first, more) = world.gate.census_of(0..1, world.now);
    assert!(!more);
    assert_eq!(first, world.gate.census());
    assert_eq!(world.gate.census_of(1..2, world.now), (crate::Census::default(), false));
    assert_eq!(world.gate.census_of(0..0, world.now), (crate::Census::default(), true));
}
