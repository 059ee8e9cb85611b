//! Makes a failing plan small: drops what is not needed, halves what is longer than needed.

use std::time::Duration;

use crate::plan::Plan;
use crate::step::Step;

/// Most attempts: a shrink ends, however large the plan.
const MAX_ATTEMPTS: usize = 5_000;

/// Drops ever smaller pieces of a failing plan as long as it fails, then shortens its times. `fails` says whether a
/// plan still breaks the same promise; it is true of the plan that is returned.
pub fn shrink(plan: &Plan, mut fails: impl FnMut(&Plan) -> bool) -> Plan {
    let with = |steps: &[Step]| Plan { steps: steps.to_vec(), ..plan.clone() };
    let steps = shrink_steps(&plan.steps, halved, |steps| fails(&with(steps)));
    with(&steps)
}

/// As [`shrink`], for the steps of any kind of plan; `halved` gives a step that takes half the time, where it takes any.
pub fn shrink_steps<S: Clone + PartialEq>(
    steps: &[S],
    halved: impl Fn(&S) -> Option<S>,
    fails: impl FnMut(&[S]) -> bool,
) -> Vec<S> {
    let mut shrinker = Shrinker { best: steps.to_vec(), halved, fails, attempts: 0 };
    loop {
        let before = shrinker.best.clone();
        shrinker.drop_pieces();
        shrinker.shorten_times();
        if shrinker.best == before || shrinker.attempts >= MAX_ATTEMPTS {
            return shrinker.best;
        }
    }
}

struct Shrinker<S, H, F> {
    best: Vec<S>,
    halved: H,
    fails: F,
    attempts: usize,
}

impl<S: Clone, H: Fn(&S) -> Option<S>, F: FnMut(&[S]) -> bool> Shrinker<S, H, F> {
    /// Keeps a candidate that still fails.
    fn consider(&mut self, steps: Vec<S>) -> bool {
        if self.attempts >= MAX_ATTEMPTS {
            return false;
        }
        self.attempts += 1;
        let fails = (self.fails)(&steps);
        if fails {
            self.best = steps;
        }
        fails
    }

    /// Delta debugging, greedy: from the end, because what led there is more often needed.
    fn drop_pieces(&mut self) {
        let mut size = self.best.len().div_ceil(2);
        while size > 0 {
            let mut end = self.best.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                let mut steps = self.best.clone();
                steps.drain(start..end);
                self.consider(steps);
                end = start.min(self.best.len());
            }
            size /= 2;
        }
    }

    fn shorten_times(&mut self) {
        for index in 0..self.best.len() {
            while let Some(shorter) = (self.halved)(&self.best[index]) {
                let mut steps = self.best.clone();
                steps[index] = shorter;
                if !self.consider(steps) {
                    break;
                }
            }
        }
    }
}

/// Half of a time, in whole milliseconds; none for one of them.
pub(crate) fn half(it: Duration) -> Option<Duration> {
    let millis = u64::try_from(it.as_millis()).unwrap_or(u64::MAX) / 2;
    (millis > 0).then(|| Duration::from_millis(millis))
}

fn halved(step: &Step) -> Option<Step> {
    match step {
        Step::Advance(by) => half(*by).map(Step::Advance),
        Step::StallRuntime(lag) => half(*lag).map(Step::StallRuntime),
        Step::Expire { tab, after } => half(*after).map(|after| Step::Expire { tab: *tab, after }),
        Step::OpenTab { .. }
        | Step::OpenThread { .. }
        | Step::CloseTab { .. }
        | Step::GoSilent(_)
        | Step::Freeze(_)
        | Step::WakeUp(_)
        | Step::StopReading(_)
        | Step::ReadSome(_)
        | Step::ReadAgain(_)
        | Step::Reconnect { .. }
        | Step::Leave { .. }
        | Step::Prompt { .. }
        | Step::RunEnds { .. }
        | Step::Look(_)
        | Step::CloseFails(_)
        | Step::CloseHangs(_)
        | Step::Renew { .. }
        | Step::PingsFail(_)
        | Step::Expel(_)
        | Step::Drain(_)
        | Step::Expect(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::generate;
    use crate::step::Tab;

    #[test]
    fn a_failing_plan_shrinks_to_the_steps_that_it_needs() {
        let tab = Tab { user: 0, number: 0 };
        let mut plan = generate(3, 200);
        plan.steps.retain(|step| !matches!(step, Step::Expel(_) | Step::Drain(_)));
        plan.steps.insert(20, Step::Expel(tab));
        plan.steps.insert(90, Step::Drain(Duration::from_secs(1)));
        let needs = |plan: &Plan| {
            let expelled = plan.steps.iter().position(|step| *step == Step::Expel(tab));
            let drained = plan.steps.iter().position(|step| matches!(step, Step::Drain(_)));
            expelled.is_some() && drained > expelled
        };
        let small = shrink(&plan, needs);
        assert_eq!(small.steps, [Step::Expel(tab), Step::Drain(Duration::from_secs(1))]);
    }

    #[test]
    fn times_are_halved_while_the_plan_still_fails() {
        let mut plan = Plan::new(0);
        plan.steps = vec![Step::Advance(Duration::from_secs(8))];
        let long_enough = |plan: &Plan| {
            plan.steps.iter().any(|step| matches!(step, Step::Advance(by) if *by >= Duration::from_secs(1)))
        };
        assert_eq!(shrink(&plan, long_enough).steps, [Step::Advance(Duration::from_secs(1))]);
    }
}
