//! Random plans of many nodes, made from a seed.
//!
//! Users stand at their limit, tabs come and go on all nodes, and meanwhile trouble begins and ends: each seed has a temper
//! that says of what kind, and how much of it at once.

use std::time::Duration;

use super::plan::{MAX_NODES, Plan, Remains, Step, Tab};
use crate::random::Random;

/// Makes the plan of a seed: the same one for ever, as long as this module is not changed.
#[must_use]
pub fn generate(seed: u64, steps: usize) -> Plan {
    let mut random = Random::new(seed ^ 0x6e_6f64_6573);
    let nodes = *random.pick(&[2, 3, 3, 3, 4, MAX_NODES]);
    let sessions = *random.pick(&[1, 2, 2, 3, 4, 4, 6]);
    let reserve = *random.pick(&[0, 0, 0, 1, 2]);
    let temper = *random.pick(&[
        Temper::Calm,
        Temper::Redis,
        Temper::Redis,
        Temper::Network,
        Temper::Network,
        Temper::Nodes,
        Temper::Nodes,
        Temper::All,
        Temper::All,
    ]);
    let mut maker = Maker {
        nodes: nodes as u32,
        users: random.between(1, 2),
        tabs: sessions as u32 + random.between(1, 5),
        temper,
        is_busy: random.one_in(4),
        ends: Vec::new(),
        steps: vec![Step::Advance(Duration::from_secs(3))],
        random,
    };
    while maker.steps.len() < steps {
        maker.push();
    }
    maker.steps.truncate(steps);
    Plan { seed, nodes, sessions, reserve, steps: maker.steps }
}

/// What kind of trouble a plan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Temper {
    /// None: then the count over all nodes is judged alone.
    Calm,
    /// Redis is slow, hangs, dies, forgets.
    Redis,
    /// Nodes do not reach it, messages are lost.
    Network,
    /// Nodes stand still and die.
    Nodes,
    /// All of it.
    All,
}

struct Maker {
    nodes: u32,
    users: u32,
    tabs: u32,
    temper: Temper,
    /// Most sessions have a run in flight.
    is_busy: bool,
    /// What ends the trouble that there is.
    ends: Vec<Step>,
    steps: Vec<Step>,
    random: Random,
}

impl Maker {
    fn push(&mut self) {
        match self.random.below(100) {
            0..=29 => {
                let by = self.span();
                self.steps.push(Step::Advance(by));
            }
            30..=59 => self.open(),
            60..=79 => {
                let step = self.of_a_tab();
                self.steps.push(step);
            }
            80..=89 if !self.ends.is_empty() => {
                let end = self.random.below(self.ends.len() as u32) as usize;
                let end = self.ends.swap_remove(end);
                self.steps.push(end);
            }
            _ if self.ends.len() < 3 => self.trouble(),
            _ => {}
        }
    }

    fn open(&mut self) {
        let (node, tab) = (self.node(), self.tab());
        // Now and then two tabs want one thread.
        let thread = if self.random.one_in(8) { self.random.below(self.tabs) } else { tab.number };
        self.steps.push(Step::Open { node, tab, thread });
        if self.is_busy && !self.random.one_in(5) {
            self.steps.push(Step::Run(tab));
        }
    }

    fn of_a_tab(&mut self) -> Step {
        let tab = self.tab();
        match self.random.below(12) {
            0..=2 => Step::Close { tab, clean: self.random.one_in(2) },
            3 => Step::Leave(tab),
            4..=5 => Step::Silence(tab),
            6..=8 => Step::Run(tab),
            _ => Step::RunEnds(tab),
        }
    }

    fn trouble(&mut self) {
        match self.temper {
            Temper::Calm => {}
            Temper::Redis => self.of_redis(),
            Temper::Network => self.of_the_network(),
            Temper::Nodes => self.of_nodes(),
            Temper::All => match self.random.below(3) {
                0 => self.of_redis(),
                1 => self.of_the_network(),
                _ => self.of_nodes(),
            },
        }
    }

    fn of_redis(&mut self) {
        let (begin, end) = match self.random.below(10) {
            0..=1 => (Step::Slow(self.millis(50, 1_400)), Some(Step::Go)),
            2..=3 => (Step::Hang, Some(Step::Go)),
            4 => (Step::Refuse, Some(Step::Go)),
            5 => {
                let remains = *self.random.pick(&[Remains::All, Remains::Older, Remains::Nothing]);
                (Step::KillRedis, Some(Step::StartRedis(remains)))
            }
            6..=7 => {
                let ahead = *self.random.pick(&[0, 3, -3, 400, -400, 30_000, -30_000]);
                (Step::Copy, Some(Step::Failover(ahead)))
            }
            8 => (Step::Flush, None),
            _ => (Step::SetClock(*self.random.pick(&[2_000, -2_000, 60_000, -60_000])), None),
        };
        self.steps.push(begin);
        self.ends.extend(end);
    }

    fn of_the_network(&mut self) {
        if self.random.one_in(4) {
            let one_in = *self.random.pick(&[4, 12, 40]);
            self.steps.push(Step::Lossy(one_in));
            return self.ends.push(Step::Lossy(0));
        }
        let all = self.random.one_in(6);
        let node = self.node();
        let nodes = if all { 0..self.nodes as usize } else { node..node + 1 };
        self.steps.extend(nodes.clone().map(Step::Cut));
        self.ends.extend(nodes.map(Step::Mend));
    }

    fn of_nodes(&mut self) {
        let node = self.node();
        let (begin, end) = match self.random.below(3) {
            0 => (Step::Kill(node), Step::Start(node)),
            _ => (Step::Stop(node), Step::Continue(node)),
        };
        self.steps.push(begin);
        self.ends.push(end);
    }

    /// Mostly shorter than a deadline of a command, often about as long as a beat or a patience, sometimes longer than a lease.
    fn span(&mut self) -> Duration {
        match self.random.below(20) {
            0..=8 => self.millis(1, 60),
            9..=14 => self.millis(100, 1_500),
            15..=18 => self.millis(1_500, 5_000),
            _ => self.millis(9_000, 16_000),
        }
    }

    fn millis(&mut self, low: u32, high: u32) -> Duration {
        Duration::from_millis(u64::from(self.random.between(low, high)))
    }

    fn node(&mut self) -> usize {
        self.random.below(self.nodes) as usize
    }

    fn tab(&mut self) -> Tab {
        Tab { user: self.random.below(self.users), number: self.random.below(self.tabs) }
    }
}
