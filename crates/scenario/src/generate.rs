//! Random plans, made from a seed, and the shrinking of one that broke a promise.
//!
//! The plans live where the trouble is: one to three users at their limit, tabs that come back while their old sockets
//! look alive, runs in flight, and a server that now and then stands still.

use std::time::Duration;

use lychgate_core::{End, Heartbeat};

use crate::plan::Plan;
use crate::random::Random;
use crate::step::{Step, Tab, Thread, Way};

mod shrink;

pub use shrink::shrink;

/// Makes the plan of a seed: the same one for ever, as long as this module is not changed.
#[must_use]
pub fn generate(seed: u64, steps: usize) -> Plan {
    let mut random = Random::new(seed);
    let sessions = *random.pick(&[1, 2, 2, 3, 3, 4, 5, 6, 8, 20]);
    let connections = *random.pick(&[sessions + 2, sessions * 2 + 2, 64]);
    let mut maker = Maker {
        users: random.between(1, 3),
        // A few more than fit, so that most opens find the user at his limit.
        tabs: sessions as u32 + random.between(1, 4),
        threads: sessions as u32 + random.between(1, 4),
        is_calm: random.one_in(4),
        random,
    };
    let mut plan = Plan { sessions, connections, ..Plan::new(seed) };
    maker.fill(&mut plan.steps, sessions as u32, steps);
    while plan.steps.len() < steps {
        let step = maker.step();
        plan.steps.push(step);
    }
    maker.finish(&mut plan.steps);
    plan
}

struct Maker {
    users: u32,
    tabs: u32,
    threads: u32,
    /// No stalls and few faults: then the plan judges the ladder alone.
    is_calm: bool,
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
                plan.push(Step::OpenTab {
                    tab: Tab { user, number },
                    thread: Thread::Named(number),
                    heartbeat: self.heartbeat(),
                });
            }
        }
        plan.push(Step::Advance(Duration::from_millis(200)));
    }

    /// One plan in eight ends with silence: the gate has to find the dead by itself.
    fn finish(&mut self, plan: &mut Vec<Step>) {
        if !self.random.one_in(8) {
            return;
        }
        let keep = plan.len().saturating_sub((self.users * self.tabs) as usize + 1);
        plan.truncate(keep);
        for user in 0..self.users {
            for number in 0..self.tabs {
                plan.push(Step::GoSilent(Tab { user, number }));
            }
        }
        plan.push(Step::Advance(Duration::from_secs(130)));
    }

    fn step(&mut self) -> Step {
        match self.random.below(100) {
            0..=19 => self.advance(),
            20..=37 => Step::OpenTab { tab: self.tab(), thread: self.thread(), heartbeat: self.heartbeat() },
            38..=42 => Step::OpenThread { tab: self.tab(), thread: self.thread() },
            43..=54 => Step::Reconnect { tab: self.tab(), way: self.way() },
            55..=61 => Step::GoSilent(self.tab()),
            62..=65 => Step::WakeUp(self.tab()),
            66..=71 => {
                Step::CloseTab { tab: self.tab(), end: *self.random.pick(&[End::Lost, End::Lost, End::ClientClosed]) }
            }
            72..=75 => Step::Leave { tab: self.tab(), thread: self.thread() },
            76..=82 => Step::Prompt { user: self.user(), thread: self.thread() },
            83..=86 => Step::RunEnds { user: self.user(), thread: self.thread() },
            87 => Step::Look(self.tab()),
            88 => Step::Freeze(self.tab()),
            _ if self.is_calm => self.advance(),
            89..=91 => Step::StopReading(self.tab()),
            92 => Step::ReadSome(self.tab()),
            93 => Step::ReadAgain(self.tab()),
            94..=95 => Step::StallRuntime(self.duration()),
            96 => Step::CloseFails(self.tab()),
            97 => Step::CloseHangs(self.tab()),
            98 => Step::Expire { tab: self.tab(), after: self.duration() },
            _ => match self.random.one_in(60) {
                true => Step::Drain(Duration::from_secs(5)),
                false => Step::Expel(self.tab()),
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
