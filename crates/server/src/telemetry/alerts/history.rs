//! What the series of conditions said lately, for as long as the longest window reaches back.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::condition::{Condition, Series, Value};
use crate::telemetry::exposition::{label, samples};

/// Series that are kept. Every label takes one of a few fixed words (hazard R25): some two hundred are there.
const MAX_SERIES: usize = 2_048;

/// Points of one series. At the shortest interval of a second they reach back over the longest window.
const MAX_POINTS: usize = 1_024;

/// The series that conditions ask for.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By name and labels.
    kept: BTreeMap<Box<str>, VecDeque<Point>>,
}

/// When, since any fixed moment, and what.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    at: Duration,
    value: f64,
}

impl History {
    /// Takes in a scrape that was made at `now`: of the names that `wanted` says yes to.
    pub(super) fn take(&mut self, now: Duration, text: &str, keep: Duration, wanted: impl Fn(&str) -> bool) {
        for sample in samples(text).filter(|sample| wanted(sample.name)) {
            let point = Point { at: now, value: sample.value };
            let has_room = self.kept.len() < MAX_SERIES;
            match self.kept.get_mut(sample.series) {
                Some(points) => points.push_back(point),
                None if has_room => drop(self.kept.insert(sample.series.into(), [point].into())),
                None => {}
            }
        }
        let oldest = now.saturating_sub(keep);
        for points in self.kept.values_mut() {
            while points.front().is_some_and(|first| first.at < oldest) || points.len() > MAX_POINTS {
                points.pop_front();
            }
        }
        self.kept.retain(|_, points| !points.is_empty());
    }

    /// The value that decides and whether the condition holds of it; none where a series is missing.
    pub(super) fn judge(&self, condition: &Condition, now: Duration) -> Option<(f64, bool)> {
        match condition {
            Condition::Above(value, bound) => self.value(value, now).map(|value| (value, value > *bound)),
            Condition::Below(value, bound) => self.value(value, now).map(|value| (value, value < *bound)),
            Condition::Both(one, other) => {
                let ((value, one), (_, other)) = (self.judge(one, now)?, self.judge(other, now)?);
                Some((value, one && other))
            }
            Condition::Any(all) => {
                let known = all.iter().filter_map(|one| self.judge(one, now));
                known.reduce(|first, next| if first.1 { first } else { next })
            }
        }
    }

    fn value(&self, value: &Value, now: Duration) -> Option<f64> {
        match value {
            Value::Sum(series) => self.newest(series, now).reduce(|a, b| a + b),
            Value::Max(series) => self.newest(series, now).reduce(f64::max),
            Value::Min(series) => self.newest(series, now).reduce(f64::min),
            Value::Increase(series, window) => {
                self.matching(series).filter_map(|points| increase(points, now, *window)).reduce(|a, b| a + b)
            }
            Value::Ratio(part, whole) => Some(self.value(part, now)? / self.value(whole, now)?),
        }
    }

    /// What the newest scrape says; a series that is no longer in it says nothing.
    fn newest(&self, series: &Series, now: Duration) -> impl Iterator<Item = f64> {
        self.matching(series).filter_map(|points| points.back()).filter(move |point| point.at == now).map(|it| it.value)
    }

    fn matching(&self, wanted: &Series) -> impl Iterator<Item = &VecDeque<Point>> {
        let Series { name, labels } = *wanted;
        let fits = move |series: &str| {
            let of_metric = series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
            of_metric
                && labels.iter().all(|(name, words)| label(series, name).is_some_and(|word| words.contains(&word)))
        };
        self.kept.iter().filter(move |(series, _)| fits(series)).map(|(_, points)| points)
    }
}

/// By how much a counter rose, as Prometheus says it (`extrapolatedRate` in promql/functions.go): what lies between the first
/// and the last point, with starts from zero added up, and extended to the ends of the window where the points come
/// near to them.
fn increase(points: &VecDeque<Point>, now: Duration, window: Duration) -> Option<f64> {
    // Below zero while the process is younger than the window.
    let begin = now.as_secs_f64() - window.as_secs_f64();
    let of_window = || points.iter().filter(|point| point.at.as_secs_f64() >= begin && point.at <= now);
    let (first, last, count) = (of_window().next()?, of_window().next_back()?, of_window().count());
    if count < 2 {
        return None;
    }
    let starts_anew = of_window().zip(of_window().skip(1)).filter(|(before, after)| after.value < before.value);
    let rise = last.value - first.value + starts_anew.map(|(before, _)| before.value).sum::<f64>();
    let sampled = (last.at - first.at).as_secs_f64();
    let between = sampled / (count - 1) as f64;
    let nearly = between * 1.1;
    let reach = |distance: f64| if distance < nearly { distance } else { between / 2.0 };
    let mut to_begin = first.at.as_secs_f64() - begin;
    if rise > 0.0 && first.value >= 0.0 {
        // A counter was never below zero.
        to_begin = to_begin.min(sampled * (first.value / rise));
    }
    let to_end = (now - last.at).as_secs_f64();
    Some(rise * (sampled + reach(to_begin) + reach(to_end)) / sampled)
}
