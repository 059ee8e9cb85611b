//! A scrape as the history needs it: a few sums over its series.

use std::collections::BTreeMap;

use crate::telemetry::exposition::{Sample, label, samples, unescaped};

/// What the counters said at a moment; all are zero at the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) admissions: BTreeMap<String, u64>,
    pub(super) reclaims: BTreeMap<String, u64>,
    pub(super) lockouts_prevented: u64,
    pub(super) refusals: u64,
    pub(super) zombies: u64,
    pub(super) verdicts_disproved: u64,
    pub(super) waited: Spread,
    pub(super) runtime_lag_seconds: f64,
    pub(super) reaper_lag_seconds: f64,
    pub(super) resident_bytes: f64,
    pub(super) cpu_seconds: f64,
    pub(super) agents: BTreeMap<String, AgentTotals>,
}

/// What an agent did since the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentTotals {
    /// Answers by what became of them.
    pub runs: BTreeMap<String, u64>,
    /// From the question to the first event.
    pub first_event: Spread,
}

/// What became of an answer that is no failure: the agent's, or its user's wish.
const NO_FAILURE: [&str; 2] = ["done", "stopped"];

impl AgentTotals {
    /// Answers that ended.
    pub(super) fn ended(&self) -> u64 {
        self.runs.values().sum()
    }

    /// Those that failed, or never began.
    pub(super) fn failed(&self) -> u64 {
        self.runs.iter().filter(|(outcome, _)| !NO_FAILURE.contains(&outcome.as_str())).map(|(_, count)| count).sum()
    }
}

/// How long things took: how many of them at most so long, for rising bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread(Vec<Bucket>);

/// How many took at most so many seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    bound: f64,
    count: u64,
}

impl Spread {
    fn add(&mut self, bound: f64, count: u64) {
        match self.0.iter_mut().find(|bucket| bucket.bound.total_cmp(&bound).is_eq()) {
            Some(bucket) => bucket.count += count,
            None => {
                let at = self.0.partition_point(|bucket| bucket.bound < bound);
                self.0.insert(at, Bucket { bound, count });
            }
        }
    }

    /// What was added to an earlier spread of the same series.
    pub(super) fn since(&self, before: &Self) -> Self {
        let earlier = |bound: f64| before.0.iter().find(|bucket| bucket.bound.total_cmp(&bound).is_eq());
        let risen = |&Bucket { bound, count }: &Bucket| Bucket {
            bound,
            count: count.saturating_sub(earlier(bound).map_or(0, |bucket| bucket.count)),
        };
        Self(self.0.iter().map(risen).collect())
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.last().map_or(0, |bucket| bucket.count)
    }

    /// The time in milliseconds within which this share of them was done; none of nothing. Within a bucket it is interpolated, as
    /// Prometheus' `histogram_quantile` does, so that it is exact at the bounds of buckets alone; of what took longer than the
    /// greatest of them it is that bound.
    #[must_use]
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = share * total as f64;
        let at = self.0.iter().position(|bucket| bucket.count as f64 >= rank)?;
        let below = at.checked_sub(1).map(|at| self.0[at]).unwrap_or(Bucket { bound: 0.0, count: 0 });
        let Bucket { bound, count } = self.0[at];
        let seconds = match bound.is_finite() {
            true => {
                below.bound + (bound - below.bound) * (rank - below.count as f64) / (count - below.count).max(1) as f64
            }
            false => below.bound,
        };
        Some(seconds * 1_000.0)
    }
}

impl Reading {
    /// Sums up the text of a scrape. What is not in it is zero.
    pub(super) fn of(text: &str) -> Self {
        let mut reading = Self::default();
        samples(text).for_each(|sample| reading.add(&sample));
        reading
    }

    fn add(&mut self, sample: &Sample<'_>) {
        let (series, count) = (sample.series, sample.value as u64);
        let count_by = |name: &str, to: &mut BTreeMap<String, u64>| {
            *to.entry(label(series, name).unwrap_or_default().to_owned()).or_default() += count;
        };
        match sample.name {
            "lychgate_admissions_total" => count_by("path", &mut self.admissions),
            "lychgate_evictions_total" => count_by("level", &mut self.reclaims),
            "lychgate_lockouts_prevented_total" => self.lockouts_prevented += count,
            "lychgate_refusals_total" => self.refusals += count,
            "lychgate_zombies_total" => self.zombies += count,
            "lychgate_verdicts_disproved_total" => self.verdicts_disproved += count,
            "lychgate_runtime_lag_seconds" => self.runtime_lag_seconds = sample.value,
            "lychgate_reaper_lag_seconds" => self.reaper_lag_seconds = sample.value,
            "lychgate_process_resident_memory_bytes" => self.resident_bytes = sample.value,
            "lychgate_process_cpu_seconds_total" => self.cpu_seconds = sample.value,
            "lychgate_admission_wait_seconds_bucket" => self.waited.add(bound(series), count),
            "lychgate_agent_runs_total" => count_by("outcome", &mut self.agent(series).runs),
            "lychgate_agent_first_event_seconds_bucket" => self.agent(series).first_event.add(bound(series), count),
            _ => {}
        }
    }

    fn agent(&mut self, series: &str) -> &mut AgentTotals {
        self.agents.entry(label(series, "agent").map(unescaped).unwrap_or_default()).or_default()
    }
}

/// The upper bound of a bucket, in seconds.
fn bound(series: &str) -> f64 {
    match label(series, "le") {
        Some("+Inf") | None => f64::INFINITY,
        Some(bound) => bound.parse().unwrap_or(f64::INFINITY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(counts: &[(f64, u64)]) -> Spread {
        let mut spread = Spread::default();
        counts.iter().for_each(|(bound, count)| spread.add(*bound, *count));
        spread
    }

    #[test]
    fn a_percentile_lies_in_the_bucket_where_it_falls() {
        let of_nothing = spread(&[(0.001, 0), (f64::INFINITY, 0)]);
        assert_eq!(of_nothing.percentile_ms(0.5), None);
        let all_quick = spread(&[(0.001, 10), (0.005, 10), (f64::INFINITY, 10)]);
        assert_eq!((all_quick.percentile_ms(0.5), all_quick.percentile_ms(1.0)), (Some(0.5), Some(1.0)));
        let mixed = spread(&[(0.001, 50), (0.005, 90), (0.025, 100), (f64::INFINITY, 100)]);
        assert_eq!(mixed.percentile_ms(0.5), Some(1.0));
        assert_eq!(mixed.percentile_ms(0.9), Some(5.0));
        assert!((mixed.percentile_ms(0.95).unwrap() - 15.0).abs() < 1e-9);
        let endless = spread(&[(10.0, 1), (f64::INFINITY, 2)]);
        assert_eq!(endless.percentile_ms(0.99), Some(10_000.0), "nothing is known beyond the greatest bound");
    }

    #[test]
    fn series_of_one_metric_are_added_up_and_what_was_before_is_taken_off() {
        let before = Reading::of("lychgate_admission_wait_seconds_bucket{le=\"0.001\",path=\"free\"} 4\n");
        let now = Reading::of(
            "lychgate_admission_wait_seconds_bucket{le=\"0.001\",path=\"free\"} 5\n\
             lychgate_admission_wait_seconds_bucket{le=\"+Inf\",path=\"free\"} 5\n\
             lychgate_admission_wait_seconds_bucket{le=\"0.001\",path=\"queue\"} 0\n\
             lychgate_admission_wait_seconds_bucket{le=\"+Inf\",path=\"queue\"} 3\n\
             lychgate_evictions_total{level=\"force\",reason=\"slow\"} 2\n\
             lychgate_evictions_total{level=\"force\",reason=\"made_room\"} 3\n\
             lychgate_agent_runs_total{agent=\"a \\\"b\\\"\",outcome=\"timeout\"} 7\n\
             lychgate_agent_runs_total{agent=\"a \\\"b\\\"\",outcome=\"done\"} 1\n",
        );
        assert_eq!(now.waited.since(&before.waited), spread(&[(0.001, 1), (f64::INFINITY, 8)]));
        assert_eq!(now.reclaims["force"], 5);
        let agent = &now.agents["a \"b\""];
        assert_eq!((agent.ended(), agent.failed()), (8, 7));
    }
}
