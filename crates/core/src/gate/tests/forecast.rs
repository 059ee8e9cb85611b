//! A limit in sight: background reclaim starts one band early, takes no more than its level does, and nobody is told.

use super::*;
use crate::forecast::Foresight;

fn foreseeing() -> LimitSpec {
    LimitSpec { forecast: Some(Foresight { min_samples: 0, ..Foresight::default() }), ..LimitSpec::default() }
}

/// One tab with one session every 40 s, and one of them is lost right before the last one comes.
fn rise(spec: LimitSpec, tabs: u128, lost: u128) -> World {
    let mut world = World::with(spec);
    for n in 1..=tabs {
        if n == tabs {
            world.input(Input::Disconnect { user: user(), connection: socket(lost), end: End::Lost });
        }
        world.connect(n);
        world.open(n, Some(&format!("t{n}")), None);
        world.advance(Duration::from_millis(if n == tabs { 10 } else { 40_000 }));
    }
    world
}

fn told(world: &World) -> Vec<Pressure> {
    let pick = |output: &Output| match output {
        Output::Event(Event::Pressure { usage, .. }) | Output::Limit { usage, .. } => Some(usage.level),
        _ => None,
    };
    world.seen.iter().filter_map(pick).collect()
}

#[test]
fn at_half_the_limit_and_rising_the_lingering_go_at_once() {
    let world = rise(foreseeing(), 10, 3);
    assert_eq!(world.evicted(), [("t3".to_owned(), ReclaimLevel::Moderate)]);
    assert_eq!(world.count(), 9);
    assert!(told(&world).iter().all(|level| *level <= Pressure::Watch), "the band that users are told is the true one");
}

#[test]
fn without_a_forecast_half_the_limit_reclaims_nobody() {
    let world = rise(LimitSpec::default(), 10, 3);
    assert_eq!((world.evicted(), world.count()), (vec![], 10));
}

#[test]
fn below_the_first_mark_a_rise_reclaims_nobody() {
    let world = rise(foreseeing(), 9, 3);
    assert_eq!((world.evicted(), world.count()), (vec![], 9));
}

#[test]
fn early_reclaim_takes_nobody_who_lives_and_stops_below_the_first_mark() {
    let mut world = rise(foreseeing(), 10, 3);
    for n in 11..=14 {
        world.connect(n);
        world.open(n, Some(&format!("t{n}")), None);
        world.advance(Duration::from_secs(40));
    }
    assert_eq!(world.evicted().len(), 1, "whoever is attached and answers stays: {:?}", world.evicted());
    for n in [4, 5, 6, 7, 8, 9] {
        world.input(Input::Disconnect { user: user(), connection: socket(n), end: End::Lost });
    }
    world.connect(20);
    world.open(20, Some("x"), None);
    world.advance(Duration::from_millis(10));
    assert_eq!(world.count(), 9, "14 of 20: five of six that linger go, down to the first mark and no further");
    assert!(world.evicted().iter().all(|(_, level)| *level <= ReclaimLevel::Moderate));
}

#[test]
fn a_rise_that_ended_is_not_in_sight_any_more() {
    let mut world = rise(foreseeing(), 10, 3);
    world.advance(Duration::from_secs(900));
    world.input(Input::Disconnect { user: user(), connection: socket(4), end: End::Lost });
    world.connect(11);
    world.open(11, Some("t11"), None);
    world.connect(12);
    world.open(12, Some("t12"), None);
    world.advance(Duration::from_millis(10));
    assert_eq!(world.count(), 11, "two more after a quarter of an hour are no rise to the limit");
}

#[test]
fn at_the_second_mark_and_rising_everybody_is_asked_at_once() {
    let asked = |spec: LimitSpec| {
        let mut world = rise(spec, 12, 3);
        world.advance(Duration::from_secs(40));
        world.seen.clear();
        world.connect(13);
        world.open(13, Some("t13"), None);
        world.advance(Duration::from_millis(10));
        assert_eq!(world.count(), 12, "the second mark");
        world.seen.iter().filter(|output| matches!(output, Output::Ping { .. })).count()
    };
    assert_eq!((asked(LimitSpec::default()), asked(foreseeing())), (0, 12));
}

#[test]
fn the_census_counts_who_reaches_his_limit_soon_and_nobody_without_a_forecast() {
    assert_eq!(rise(foreseeing(), 10, 3).gate.census().by_forecast, [0, 0, 1]);
    assert_eq!(rise(LimitSpec::default(), 10, 3).gate.census().by_forecast, [0, 0, 0]);
}
