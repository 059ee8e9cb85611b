//! What happened to sessions, as their clients saw it, and whether that may have happened: pure, so that a bad history can
//! be written by hand.
//!
//! ```text
//! tabs, faults --> Diary --> [Entry ...] --judge, Rules--> Verdict: numbers, and each broken promise with its moment
//! ```
//!
//! A client holds a session from the moment it hears `opened` to the moment it says goodbye: it never counts one that the
//! nodes do not. The one exception is a session that made room: its place is gone when the newcomer is told, and its own
//! client hears it a little later, on another node. So who is found to be too many is looked for among those who are closed
//! as evicted afterwards, each of whom answers for one newcomer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

mod judge;

pub use judge::judge;

/// A session: each open is one, and none is used again.
pub type Session = u64;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Since the beginning, on the one clock of the process that plays.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Something of a session.
    Session {
        /// Whose: his number.
        user: usize,
        /// Which.
        session: Session,
        /// On which node: its number.
        node: usize,
        /// What.
        step: Step,
    },
    /// A node was killed, and with it every session that it held.
    Died {
        /// Its number.
        node: usize,
    },
    /// A fault begins in which Redis answers all the time.
    Begun,
    /// A fault begins: from here on Redis may be unknown to somebody.
    Faulty,
    /// From here on Redis may be unknown to somebody as well, because the machine is too busy to answer in time.
    Busy,
    /// The nodes, Redis and the clients agree again about who holds what.
    Healed,
    /// Nobody comes any more. From here on whoever makes room may leave before he hears of it: nobody is counted.
    Over,
}

/// A step in the life of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Its client asked for it.
    Asked,
    /// Its client was told that it is open.
    Admitted,
    /// Its client was told something else, or nothing, by a node that was there.
    Refused(String),
    /// Its client asked a node that was then stopped or killed, or leaves in order, and goes to another one.
    GivenUp,
    /// Its client says goodbye.
    Released,
    /// It made room for somebody.
    Evicted,
    /// Its node leaves in order, and sends its client to another one.
    Moved,
    /// It ended in any other way.
    Cut(String),
}

/// What is promised.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Nodes.
    pub nodes: usize,
    /// Sessions of a user over all nodes.
    pub limit: usize,
    /// Sessions beyond it that the reserve admits.
    pub reserve: usize,
    /// Users who never hold so many that one has to make room.
    pub never_full: BTreeSet<usize>,
}

impl Rules {
    /// How many a user may hold at most while Redis is unknown: as many as every node by itself admits (docs/cluster.md).
    #[must_use]
    pub fn most_apart(&self) -> usize {
        self.nodes * (self.limit + self.reserve)
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// When.
    pub at: Duration,
    /// Whose.
    pub user: usize,
    /// Which, and how.
    pub sentence: String,
}

/// What a history comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Opens that were sent to a node which was there until it answered.
    pub tried: u64,
    /// Of those, answered with a session.
    pub admitted: u64,
    /// Of those, answered otherwise or not at all.
    pub refused: u64,
    /// The largest excess over the limit that was seen, allowed or not.
    pub over: usize,
    /// The longest time from an open, its connection included, to its session.
    pub longest: Duration,
    /// Sessions that ended though nobody needed their place.
    pub wrongly_closed: u64,
    /// In the order in which they were found.
    pub breaches: Vec<Breach>,
}

/// Entries of one user around a moment that fit on a screen.
const SHOWN: usize = 36;

/// What happened to a user around a moment, and to the nodes: a line each, at most one screen.
#[must_use]
pub fn around(entries: &[Entry], breach: &Breach) -> String {
    let is_about = |entry: &&Entry| match &entry.what {
        What::Session { user, .. } => *user == breach.user,
        What::Died { .. } | What::Begun | What::Faulty | What::Busy | What::Healed | What::Over => true,
    };
    let own: Vec<&Entry> = entries.iter().filter(is_about).collect();
    let moment = own.partition_point(|entry| entry.at <= breach.at);
    let from = moment.saturating_sub(SHOWN * 2 / 3);
    let until = (from + SHOWN).min(own.len());
    let lines = own[from..until].iter().enumerate().map(|(index, entry)| {
        let mark = if from + index + 1 == moment { '>' } else { ' ' };
        format!("{mark} {:9.3} s  {}", entry.at.as_secs_f64(), told(&entry.what))
    });
    std::iter::once(breach.sentence.clone()).chain(lines).collect::<Vec<_>>().join("\n")
}

/// The whole history in text, a line each.
#[must_use]
pub fn text(entries: &[Entry]) -> String {
    let line = |entry: &Entry| {
        let whose = match &entry.what {
            What::Session { user, .. } => format!("user {user}  "),
            What::Died { .. } | What::Begun | What::Faulty | What::Busy | What::Healed | What::Over => String::new(),
        };
        format!("{:9.3} s  {whose}{}\n", entry.at.as_secs_f64(), told(&entry.what))
    };
    entries.iter().map(line).collect()
}

/// The same history, with [`What::Busy`] right behind these times. Only afterwards is it known that it was so.
#[must_use]
pub fn busy_since(mut entries: Vec<Entry>, times: &[Duration]) -> Vec<Entry> {
    for at in times.iter().copied() {
        let behind = entries.partition_point(|entry| entry.at <= at);
        entries.insert(behind, Entry { at, what: What::Busy });
    }
    entries
}

fn told(what: &What) -> String {
    match what {
        What::Session { session, node, step, .. } => {
            let step = match step {
                Step::Asked => "asked",
                Step::Admitted => "admitted",
                Step::Refused(why) => return format!("session {session:4}  node {node}  refused: {why}"),
                Step::GivenUp => "given up, the node is not there",
                Step::Released => "released",
                Step::Evicted => "evicted",
                Step::Moved => "moved away",
                Step::Cut(how) => return format!("session {session:4}  node {node}  cut: {how}"),
            };
            format!("session {session:4}  node {node}  {step}")
        }
        What::Died { node } => format!("-- node {node} is killed"),
        What::Begun => "-- the fault begins, Redis can be asked".to_owned(),
        What::Faulty => "-- the fault begins".to_owned(),
        What::Busy => "-- a busy machine hides Redis from here on".to_owned(),
        What::Healed => "-- healed".to_owned(),
        What::Over => "-- nobody comes any more".to_owned(),
    }
}

/// A history as it is being written: every entry gets its time and its place in one order.
#[derive(Debug)]
pub struct Diary {
    begun: std::time::Instant,
    pages: std::sync::Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    entries: Vec<Entry>,
    /// Who holds what, by their clients.
    held: BTreeMap<usize, BTreeMap<Session, usize>>,
    next: Session,
    is_apart: bool,
}

impl Diary {
    /// Nothing has happened.
    #[must_use]
    pub fn begin() -> Self {
        Self { begun: std::time::Instant::now(), pages: std::sync::Mutex::default() }
    }

    /// A session that nobody used yet.
    pub fn session(&self) -> Session {
        let mut pages = self.pages();
        pages.next += 1;
        pages.next
    }

    /// Writes down what happens now, and says when that is.
    pub fn note(&self, what: What) -> Duration {
        let mut pages = self.pages();
        match &what {
            What::Session { user, session, node, step } => {
                let held = pages.held.entry(*user).or_default();
                match step {
                    Step::Admitted => {
                        held.insert(*session, *node);
                    }
                    Step::Asked => {}
                    Step::Refused(_) | Step::GivenUp | Step::Released | Step::Evicted | Step::Moved | Step::Cut(_) => {
                        held.remove(session);
                    }
                }
            }
            What::Died { node } => pages.held.values_mut().for_each(|held| held.retain(|_, its| its != node)),
            What::Begun | What::Busy | What::Over => {}
            What::Faulty => pages.is_apart = true,
            What::Healed => pages.is_apart = false,
        }
        let at = self.begun.elapsed();
        pages.entries.push(Entry { at, what });
        at
    }

    /// How many sessions a user holds, as his clients know.
    #[must_use]
    pub fn held(&self, user: usize) -> usize {
        self.pages().held.get(&user).map_or(0, BTreeMap::len)
    }

    /// Whether a fault lasts, or is not healed yet.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        self.pages().is_apart
    }

    /// How many admissions of a user there were so far.
    #[must_use]
    pub fn admissions(&self, user: usize) -> usize {
        let admitted = |entry: &&Entry| matches!(&entry.what, What::Session { user: whose, step: Step::Admitted, .. } if *whose == user);
        self.pages().entries.iter().filter(admitted).count()
    }

    /// Everything so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.pages().entries.clone()
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
