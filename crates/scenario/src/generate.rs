//! Random plans, made from a seed, and the shrinking of one that broke a promise.
//!
//! The plans live where the trouble is: one to three users at their limit, tabs that come back while their old sockets
//! look alive, runs in flight, and a server that now and then stands still. Each seed has its own numbers and a temper,
//! because some corners are reached only by those who insist: the reserve and the queue by users whose every session is
//! busy, breakers by sockets that keep failing.

use std::time::Duration;

use lychgate_core::{End, Force, Foresight, Heartbeat, LimitSpec, Mode};

use crate::plan::Plan;
use crate::random::Random;
use crate::step::{Step, Tab, Thread, TokenPlan, Way};

mod shrink;

pub(crate) use shrink::half;
pub use shrink::{shrink, shrink_steps};

/// Makes the plan of a seed: the same one for ever, as long as this module is not changed.
#[must_use]
pub fn generate(seed: u64, steps: usize) -> Plan {
    let mut random = Random::new(seed);
    let mut plan = world(seed, &mut random);
    let sessions = plan.everybody.max_sessions_per_user as u32;
    let temper =
        *random.pick(&[Temper::Calm, Temper::Rough, Temper::Rough, Temper::Busy, Temper::Busy, Temper::Broken]);
    let mut maker = Maker {
        users: match temper == Temper::Broken && random.one_in(6) {
            // So many that their failures are the node's.
            true => 12,
            false => random.between(1, 3),
        },
        // A few more than fit, so that most opens find the user at his limit.
        tabs: sessions + random.between(1, 4),
        threads: sessions + random.between(1, 4),
        temper,
        token_plans: plan.named.iter().map(|(name, _)| name.clone()).collect(),
        write_stall: plan.everybody.write_stall,
        random,
    };
    maker.fill(&mut plan.steps, sessions, steps);
    while plan.steps.len() < steps {
        maker.push_some(&mut plan.steps);
    }
    plan.steps.truncate(steps);
    maker.finish(&mut plan.steps);
    plan
}

/// The numbers of a seed.
fn world(seed: u64, random: &mut Random) -> Plan {
    let seconds = |number: u32| Duration::from_secs(u64::from(number));
    let sessions = *random.pick(&[1, 2, 2, 3, 3, 4, 5, 6, 8, 20]);
    let everybody = LimitSpec {
        max_sessions_per_user: sessions,
        max_connections_per_user: *random.pick(&[sessions + 2, sessions * 2 + 2, 64]),
        max_waiting_opens_per_user: *random.pick(&[32, 32, 4, 2]),
        reserve_sessions: *random.pick(&[0, 1, 2, 5]),
        reserve_window: seconds(*random.pick(&[5, 20, 60])),
        pinned_sessions: *random.pick(&[0, 0, 0, 1, 2]),
        force: if random.one_in(6) { Force::Never } else { Force::Evict },
        mode: if random.one_in(12) { Mode::Shadow } else { Mode::Enforce },
        queue_deadline: seconds(*random.pick(&[8, 8, 4])),
        reclaim_interval: seconds(*random.pick(&[120, 120, 3])),
        forecast: foresight(seed),
        ..LimitSpec::default()
    };
    let late = Duration::from_millis(*random.pick(&[0, 0, 20]));
    let named = match random.one_in(3) {
        true => token_plans(&everybody, random),
        false => Vec::new(),
    };
    Plan { late, everybody, named, ..Plan::new(seed) }
}

/// Every third seed forecasts, with a memory as short as its steps are. Drawn for itself: what else a seed makes stays as
/// it was before there were forecasts.
fn foresight(seed: u64) -> Option<Foresight> {
    let mut random = Random::new(!seed);
    random.one_in(3).then(|| Foresight {
        horizon: Duration::from_secs(*random.pick(&[5, 30, 120])),
        smoothing: Duration::from_secs(*random.pick(&[1, 2, 10])),
        min_samples: *random.pick(&[0, 1, 3]),
    })
}

/// A plan above that of everybody and one below it, which may have other manners.
fn token_plans(everybody: &LimitSpec, random: &mut Random) -> Vec<(Box<str>, LimitSpec)> {
    let more = LimitSpec { max_sessions_per_user: everybody.max_sessions_per_user + 2, ..everybody.clone() };
    let less = LimitSpec {
        max_sessions_per_user: everybody.max_sessions_per_user.div_ceil(2),
        pinned_sessions: *random.pick(&[everybody.pinned_sessions, 0, 1]),
        reserve_sessions: *random.pick(&[everybody.reserve_sessions, 0, 1]),
        force: *random.pick(&[everybody.force, Force::Evict, Force::Never]),
        mode: *random.pick(&[everybody.mode, everybody.mode, Mode::Enforce, Mode::Shadow]),
        ..everybody.clone()
    };
    vec![("pro".into(), more), ("free".into(), less)]
}

/// What kind of trouble a plan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Temper {
    /// No stalls and few faults: then the plan judges the ladder alone.
    Calm,
    /// A little of everything.
    Rough,
    /// A run in flight on nearly every session: then it judges what comes after the ladder.
    Busy,
    /// Pings that cannot be written and closes that come to no end, many at a time.
    Broken,
}

struct Maker {
    users: u32,
    tabs: u32,
    threads: u32,
    temper: Temper,
    token_plans: Vec<Box<str>>,
    write_stall: Duration,
    random: Random,
}

impl Maker {
    /// Most users start at their limit, or one below it.
    fn fill(&mut self, plan: &mut Vec<Step>, sessions: u32, steps: usize) {
        for user in 0..self.users {
            let opened = sessions.saturating_sub(self.random.below(2));
            for number in 0..opened {
                if plan.len() >= steps / 2 {
                    return;
                }
                self.open_tab(plan, Tab { user, number }, Thread::Named(number));
            }
        }
        plan.push(Step::Advance(Duration::from_millis(200)));
    }

    /// One plan in eight ends with silence: the gate has to find the dead by itself.
    fn finish(&mut self, plan: &mut Vec<Step>) {
        if !self.random.one_in(8) {
            return;
        }
        let tabs = (0..self.users).flat_map(|user| (0..self.tabs).map(move |number| Tab { user, number }));
        let silence: Vec<_> = tabs.map(Step::GoSilent).take(plan.len().saturating_sub(1)).collect();
        plan.truncate(plan.len() - silence.len() - 1);
        plan.extend(silence);
        plan.push(Step::Advance(Duration::from_secs(130)));
    }

    fn open_tab(&mut self, plan: &mut Vec<Step>, tab: Tab, thread: Thread) {
        let (heartbeat, token) = (self.heartbeat(), self.token_plan());
        plan.push(Step::OpenTab { tab, thread, heartbeat, plan: token });
        if self.temper == Temper::Busy && !self.random.one_in(6) {
            plan.push(Step::Prompt { user: tab.user, thread });
        }
    }

    /// One step, or a few that belong together.
    fn push_some(&mut self, plan: &mut Vec<Step>) {
        match self.random.below(100) {
            0..=19 => plan.push(self.advance()),
            20..=39 => {
                let (tab, thread) = (self.tab(), self.thread());
                self.open_tab(plan, tab, thread);
            }
            40..=44 => plan.push(Step::OpenThread { tab: self.tab(), thread: self.thread() }),
            45..=97 => {
                let step = self.step();
                plan.push(step);
            }
            _ => self.push_trouble(plan),
        }
    }

    /// What is reached only by a few steps in a row.
    fn push_trouble(&mut self, plan: &mut Vec<Step>) {
        let user = self.user();
        let all = self.users >= 10;
        let (users, tabs) = if all { (0..self.users, 0..1) } else { (user..user + 1, 0..self.tabs) };
        let tabs = || users.clone().flat_map(|user| tabs.clone().map(move |number| Tab { user, number }));
        match self.random.below(if all { 6 } else { 4 }) {
            // A newcomer finds a socket that has taken no byte for just as long as it may.
            0..=1 => {
                plan.push(Step::StopReading(self.tab()));
                plan.push(Step::Advance(self.write_stall));
                let (tab, thread) = (self.tab(), self.thread());
                self.open_tab(plan, tab, thread);
            }
            _ if self.temper != Temper::Broken => plan.push(self.advance()),
            2 => plan.extend(tabs().map(Step::PingsFail)),
            _ => {
                plan.extend(tabs().map(Step::CloseHangs));
                plan.extend(tabs().map(|tab| Step::Reconnect { tab, way: Way::Prev }));
            }
        }
    }

    fn step(&mut self) -> Step {
        match self.random.below(54) {
            0..=11 => Step::Reconnect { tab: self.tab(), way: self.way() },
            12..=18 => Step::GoSilent(self.tab()),
            19..=22 => Step::WakeUp(self.tab()),
            23..=28 => {
                Step::CloseTab { tab: self.tab(), end: *self.random.pick(&[End::Lost, End::Lost, End::ClientClosed]) }
            }
            29..=31 => Step::Leave { tab: self.tab(), thread: self.thread() },
            32..=37 => Step::Prompt { user: self.user(), thread: self.thread() },
            38..=40 => Step::RunEnds { user: self.user(), thread: self.thread() },
            41 => Step::Look(self.tab()),
            42 => Step::Freeze(self.tab()),
            43 if !self.token_plans.is_empty() => Step::Renew { tab: self.tab(), plan: self.token_plan() },
            _ if self.temper == Temper::Calm => self.advance(),
            44..=45 => Step::StopReading(self.tab()),
            46 => Step::ReadSome(self.tab()),
            47 => Step::ReadAgain(self.tab()),
            48..=49 => Step::StallRuntime(self.duration()),
            50 => Step::CloseFails(self.tab()),
            51 => Step::CloseHangs(self.tab()),
            52 => Step::Expire { tab: self.tab(), after: self.duration() },
            _ => match self.random.below(60) {
                0 => Step::Drain(Duration::from_secs(5)),
                1..=20 => Step::PingsFail(self.tab()),
                _ => Step::Expel(self.tab()),
            },
        }
    }

    fn advance(&mut self) -> Step {
        Step::Advance(self.duration())
    }

    /// Mostly shorter than a probe, often about as long as one, sometimes as long as a linger or a heartbeat.
    fn duration(&mut self) -> Duration {
        let millis = match self.random.below(20) {
            0..=7 => self.random.between(1, 60),
            8..=14 => self.random.between(100, 1_500),
            15..=17 => self.random.between(2_000, 12_000),
            18 => self.random.between(3_000, 4_500),
            _ => self.random.between(20_000, 45_000),
        };
        Duration::from_millis(u64::from(millis))
    }

    fn user(&mut self) -> u32 {
        self.random.below(self.users)
    }

    fn tab(&mut self) -> Tab {
        Tab { user: self.user(), number: self.random.below(self.tabs) }
    }

    fn thread(&mut self) -> Thread {
        match self.random.one_in(16) {
            true => Thread::New(self.random.below(4)),
            false => Thread::Named(self.random.below(self.threads)),
        }
    }

    fn token_plan(&mut self) -> TokenPlan {
        match self.token_plans.is_empty() || !self.random.one_in(3) {
            true => None,
            false => Some(self.random.pick(&self.token_plans).clone()),
        }
    }

    fn heartbeat(&mut self) -> Heartbeat {
        *self.random.pick(&[Heartbeat::Protocol, Heartbeat::Application])
    }

    fn way(&mut self) -> Way {
        match self.random.below(20) {
            0..=11 => Way::Prev,
            12..=18 => Way::Fresh,
            _ => Way::Stolen(self.tab()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_makes_one_plan_of_the_length_that_was_asked_for() {
        for seed in 0..200 {
            let plan = generate(seed, 200);
            assert_eq!(plan, generate(seed, 200));
            assert_eq!(plan.steps.len(), 200, "seed {seed}");
        }
    }

    #[test]
    fn every_generated_plan_reads_back_from_its_text() {
        for seed in 0..200 {
            let plan = generate(seed, 100);
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
    }
}
