//! A plan of many nodes: what the world is like, then one step per line. It prints as it reads.
//!
//! ```text
//! seed 7            latencies, clocks and ids
//! nodes 3           at the start, 1 to 5
//! sessions 4        max_sessions_per_user
//! reserve 1         reserve_sessions
//!
//! open n0 u0 c1 t1  a tab opens a thread on a node
//! redis hang
//! advance 3s
//! redis go
//! ```
//!
//! A step is total: one that makes no sense where it stands does nothing, so that a shrink may drop any step before it.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use crate::step::{duration_from_text, duration_to_text};

/// Most nodes of a plan.
pub(super) const MAX_NODES: usize = 5;

/// Steps, and the world that they happen in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Draws latencies, clocks and ids.
    pub seed: u64,
    /// Nodes that run at the start, 1 to 5.
    pub nodes: usize,
    /// Places of a user on all nodes, at least 1.
    pub sessions: usize,
    /// More of them, once everybody is protected.
    pub reserve: usize,
    /// What happens.
    pub steps: Vec<Step>,
}

/// A tab of a user, both by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tab {
    /// Whose.
    pub user: u32,
    /// Which.
    pub number: u32,
}

/// What a server starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// All that was written.
    All,
    /// What was written until the last [`Step::Copy`].
    Older,
    /// Nothing.
    Nothing,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Time passes.
    Advance(Duration),
    /// A tab connects to a node, unless it is connected, and opens a thread.
    Open {
        /// Which node.
        node: usize,
        /// Which tab.
        tab: Tab,
        /// Which thread.
        thread: u32,
    },
    /// It lets its session go.
    Leave(Tab),
    /// Its socket ends: with a close frame, or without.
    Close {
        /// Which tab.
        tab: Tab,
        /// Whether the client said so.
        clean: bool,
    },
    /// Nothing is heard of it any more.
    Silence(Tab),
    /// A run begins in its thread.
    Run(Tab),
    /// That run ends.
    RunEnds(Tab),
    /// Every command takes so much longer.
    Slow(Duration),
    /// Redis takes commands and answers none.
    Hang,
    /// It answers every command with an error.
    Refuse,
    /// It answers again; what piled up comes first.
    Go,
    /// Its process is gone.
    KillRedis,
    /// It runs again, as another process.
    StartRedis(Remains),
    /// What a replica, or a disk, has from now on.
    Copy,
    /// The replica takes over; its clock is ahead by so many milliseconds, or behind.
    Failover(i64),
    /// FLUSHALL.
    Flush,
    /// Its clock is put forward by so many milliseconds, or back.
    SetClock(i64),
    /// A node reaches Redis no more.
    Cut(usize),
    /// It does again.
    Mend(usize),
    /// One message in so many is lost, doubled or late; none at 0.
    Lossy(u32),
    /// A node's process stands still.
    Stop(usize),
    /// It goes on.
    Continue(usize),
    /// It is gone, with its tabs.
    Kill(usize),
    /// It runs again, as another process.
    Start(usize),
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, nodes, sessions, reserve, steps } = self;
        writeln!(f, "seed {seed}\nnodes {nodes}\nsessions {sessions}\nreserve {reserve}\n")?;
        steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl fmt::Display for Tab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u{} c{}", self.user, self.number)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Advance(by) => write!(f, "advance {}", duration_to_text(*by)),
            Self::Open { node, tab, thread } => write!(f, "open n{node} {tab} t{thread}"),
            Self::Leave(tab) => write!(f, "leave {tab}"),
            Self::Close { tab, clean: true } => write!(f, "close {tab} clean"),
            Self::Close { tab, clean: false } => write!(f, "close {tab} lost"),
            Self::Silence(tab) => write!(f, "silence {tab}"),
            Self::Run(tab) => write!(f, "run {tab}"),
            Self::RunEnds(tab) => write!(f, "run-ends {tab}"),
            Self::Slow(by) => write!(f, "redis slow {}", duration_to_text(*by)),
            Self::Hang => f.write_str("redis hang"),
            Self::Refuse => f.write_str("redis refuse"),
            Self::Go => f.write_str("redis go"),
            Self::KillRedis => f.write_str("redis kill"),
            Self::StartRedis(Remains::All) => f.write_str("redis start all"),
            Self::StartRedis(Remains::Older) => f.write_str("redis start older"),
            Self::StartRedis(Remains::Nothing) => f.write_str("redis start nothing"),
            Self::Copy => f.write_str("redis copy"),
            Self::Failover(ahead) => write!(f, "redis failover {ahead}"),
            Self::Flush => f.write_str("redis flush"),
            Self::SetClock(by) => write!(f, "redis clock {by}"),
            Self::Cut(node) => write!(f, "cut n{node}"),
            Self::Mend(node) => write!(f, "mend n{node}"),
            Self::Lossy(one_in) => write!(f, "lossy {one_in}"),
            Self::Stop(node) => write!(f, "stop n{node}"),
            Self::Continue(node) => write!(f, "continue n{node}"),
            Self::Kill(node) => write!(f, "kill n{node}"),
            Self::Start(node) => write!(f, "start n{node}"),
        }
    }
}

/// Why a text is no plan of many nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPlan {
    /// Counted from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

impl fmt::Display for NoPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, text } = self;
        write!(f, "line {line}: `{text}` is no step of a plan of many nodes, and no setting; see sim/nodes/plan.rs")
    }
}

impl std::error::Error for NoPlan {}

impl FromStr for Plan {
    type Err = NoPlan;

    fn from_str(text: &str) -> Result<Self, NoPlan> {
        let mut plan = Self { seed: 0, nodes: 3, sessions: 4, reserve: 0, steps: Vec::new() };
        for (index, raw) in text.lines().enumerate() {
            let line = raw.split('#').next().unwrap_or_default().trim();
            let fail = || NoPlan { line: index + 1, text: line.to_owned() };
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            match verb {
                "" => {}
                "seed" => plan.seed = rest.parse().map_err(|_| fail())?,
                "nodes" => {
                    plan.nodes = numbered(rest, "").filter(|it| (1..=MAX_NODES).contains(it)).ok_or_else(fail)?;
                }
                "sessions" => plan.sessions = numbered(rest, "").filter(|it| *it > 0).ok_or_else(fail)?,
                "reserve" => plan.reserve = numbered(rest, "").ok_or_else(fail)?,
                _ => plan.steps.push(step(line).ok_or_else(fail)?),
            }
        }
        Ok(plan)
    }
}

fn numbered<T: FromStr>(word: &str, stem: &str) -> Option<T> {
    word.strip_prefix(stem)?.parse().ok()
}

fn step(line: &str) -> Option<Step> {
    let mut words = line.split_whitespace();
    let step = match words.next()? {
        "advance" => Step::Advance(duration_from_text(words.next()?)?),
        "open" => Step::Open { node: node(&mut words)?, tab: tab(&mut words)?, thread: numbered(words.next()?, "t")? },
        "leave" => Step::Leave(tab(&mut words)?),
        "close" => Step::Close {
            tab: tab(&mut words)?,
            clean: match words.next()? {
                "clean" => true,
                "lost" => false,
                _ => return None,
            },
        },
        "silence" => Step::Silence(tab(&mut words)?),
        "run" => Step::Run(tab(&mut words)?),
        "run-ends" => Step::RunEnds(tab(&mut words)?),
        "redis" => redis(&mut words)?,
        "cut" => Step::Cut(node(&mut words)?),
        "mend" => Step::Mend(node(&mut words)?),
        "lossy" => Step::Lossy(words.next()?.parse().ok()?),
        "stop" => Step::Stop(node(&mut words)?),
        "continue" => Step::Continue(node(&mut words)?),
        "kill" => Step::Kill(node(&mut words)?),
        "start" => Step::Start(node(&mut words)?),
        _ => return None,
    };
    words.next().is_none().then_some(step)
}

fn redis(words: &mut SplitWhitespace<'_>) -> Option<Step> {
    Some(match words.next()? {
        "slow" => Step::Slow(duration_from_text(words.next()?)?),
        "hang" => Step::Hang,
        "refuse" => Step::Refuse,
        "go" => Step::Go,
        "kill" => Step::KillRedis,
        "start" => Step::StartRedis(match words.next()? {
            "all" => Remains::All,
            "older" => Remains::Older,
            "nothing" => Remains::Nothing,
            _ => return None,
        }),
        "copy" => Step::Copy,
        "failover" => Step::Failover(words.next()?.parse().ok()?),
        "flush" => Step::Flush,
        "clock" => Step::SetClock(words.next()?.parse().ok()?),
        _ => return None,
    })
}

fn node(words: &mut SplitWhitespace<'_>) -> Option<usize> {
    numbered(words.next()?, "n").filter(|node| *node < MAX_NODES)
}

fn tab(words: &mut SplitWhitespace<'_>) -> Option<Tab> {
    Some(Tab { user: numbered(words.next()?, "u")?, number: numbered(words.next()?, "c")? })
}
