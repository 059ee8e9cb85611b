//! The trend is Holt's, however often one looks.

use super::*;

const SMOOTHING: Duration = Duration::from_secs(60);
const FORESIGHT: Foresight = Foresight { horizon: Duration::from_secs(600), smoothing: SMOOTHING, min_samples: 0 };

fn at(secs: f64) -> Time {
    Time::from_micros((secs * 1e6) as u64)
}

/// Counts at seconds, from none on.
fn trend(changes: &[(f64, usize)]) -> Trend {
    let mut trend = Trend::default();
    let mut held = 0;
    for (secs, count) in changes {
        trend.change(at(*secs), (held, *count), &FORESIGHT);
        held = *count;
    }
    trend
}

fn one_a_minute(minutes: usize) -> Vec<(f64, usize)> {
    (1..=minutes).map(|minute| (minute as f64 * 60.0, minute)).collect()
}

#[test]
fn a_steady_rise_is_learnt_and_its_end_foretold() {
    let trend = trend(&one_a_minute(12));
    let full_in = trend.full_in(at(720.0), (12, 20), &FORESIGHT).unwrap().as_secs();
    assert!((400..=560).contains(&full_in), "{full_in} s, and it takes 480");
}

#[test]
fn looking_more_often_changes_nothing() {
    let changes = one_a_minute(8);
    let rarely = trend(&changes);
    let mut often = Trend::default();
    for (secs, count) in changes {
        for step in 0..600 {
            // Nothing changes here: the record is brought up to date, as somebody who looks might.
            often = often.at(at(secs - 60.0 + f64::from(step) / 10.0), SMOOTHING);
        }
        often.change(at(secs), (count - 1, count), &FORESIGHT);
    }
    let (rarely, often) = (rarely.slope(at(500.0), SMOOTHING), often.slope(at(500.0), SMOOTHING));
    assert!((rarely - often).abs() < 1e-3 * rarely, "{rarely} and {often}");
}

#[test]
fn it_is_holts_recursion_with_many_small_steps() {
    let changes = [(3.0, 4), (40.0, 9), (41.0, 7), (100.0, 12)];
    let (mut level, mut slope, mut count, mut next) = (0.0, 0.0, 0.0, 0);
    // Brown's coupling of Holt's constants, for observations every 10 ms.
    let step = 0.01;
    let keeps = f64::exp(-step / SMOOTHING.as_secs_f64());
    let (alpha, alpha_beta) = (1.0 - keeps * keeps, (1.0 - keeps) * (1.0 - keeps));
    for number in 0..15_000 {
        if next < changes.len() && f64::from(number) * step >= changes[next].0 {
            count = changes[next].1 as f64;
            next += 1;
        }
        let error = count - (level + slope * step);
        level += slope * step + alpha * error;
        slope += alpha_beta * error / step;
    }
    let ours = f64::from(trend(&changes).slope(at(150.0), SMOOTHING));
    assert!((ours - slope).abs() < 0.02 * slope.abs(), "{ours}, and by recursion {slope}");
}

#[test]
fn a_count_that_holds_loses_its_trend() {
    let trend = trend(&one_a_minute(12));
    assert!(trend.full_in(at(720.0), (12, 20), &FORESIGHT).is_some_and(|after| after < FORESIGHT.horizon));
    assert!(trend.full_in(at(1200.0), (12, 20), &FORESIGHT).is_none_or(|after| after > FORESIGHT.horizon));
}

#[test]
fn a_saw_of_reloads_is_no_rise() {
    let reloads: Vec<_> = (1..60).map(|turn| (f64::from(turn) * 15.0, if turn % 2 == 0 { 8 } else { 14 })).collect();
    let trend = trend(&reloads);
    let soon = trend.full_in(at(890.0), (14, 20), &FORESIGHT).filter(|after| *after < FORESIGHT.horizon);
    assert_eq!(soon, None);
}

#[test]
fn nothing_is_foretold_without_a_rise() {
    assert_eq!(trend(&[(1.0, 10), (30.0, 2)]).full_in(at(300.0), (2, 20), &FORESIGHT), None);
    assert_eq!(Trend::default().full_in(at(0.0), (0, 20), &FORESIGHT), None);
}

#[test]
fn tabs_that_are_restored_at_the_start_are_no_rise_and_what_follows_is() {
    let foresight = Foresight { min_samples: 3, ..FORESIGHT };
    let mut trend = Trend::default();
    for tab in 0..11 {
        trend.change(at(10.0 + f64::from(tab) * 0.2), (tab as usize, tab as usize + 1), &foresight);
    }
    assert_eq!(trend.full_in(at(60.0), (11, 20), &foresight), None);
    trend.change(at(70.0), (11, 12), &foresight);
    assert!(trend.full_in(at(80.0), (12, 20), &foresight).is_some());
}

#[test]
fn who_is_at_the_limit_is_there_now_and_it_is_in_sight_only_while_he_rises() {
    assert_eq!(Trend::default().full_in(at(0.0), (20, 20), &FORESIGHT), Some(Duration::ZERO));
    assert!(!Trend::default().is_in_sight(at(0.0), (20, 20), &FORESIGHT));
    assert!(trend(&one_a_minute(20)).is_in_sight(at(1200.0), (20, 20), &FORESIGHT));
}

#[test]
fn no_time_and_no_smoothing_divides_by_nothing() {
    let none = Foresight { smoothing: Duration::ZERO, ..FORESIGHT };
    let mut trend = trend(&[(1.0, 1), (1.0, 2), (1.0, 3)]);
    trend.change(at(0.5), (3, 4), &none);
    trend.change(Time::from_micros(u64::MAX - 1), (4, 500), &none);
    assert!(trend.slope(Time::from_micros(u64::MAX - 1), Duration::ZERO).is_finite());
}
