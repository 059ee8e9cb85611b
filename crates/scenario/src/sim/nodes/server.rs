//! The server that has the data: it answers at once, late, with an error, or not at all, and it may not be there.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lychgate::cluster::{Incarnation, LeaseId, Report, Trouble};
use lychgate_core::{ThreadId, Time, UserId};

use super::mistake::Mistake;
use super::plan::Remains;
use super::redis::{Beat, Change, Data, Here, Reply, Script, Speaker, Wanted};

/// What a node sends.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// Opens a connection and looks whose data it is.
    Look,
    Beat(Beat),
    Acquire(Speaker, Wanted),
    Assert(Speaker),
    Release(UserId, LeaseId, ThreadId),
    Publish(Incarnation, Message),
    /// Listens as this incarnation; the number names the connection.
    Listen(Incarnation, u64),
    Ping,
}

/// What nodes say to each other.
#[derive(Clone, Debug)]
pub(super) enum Message {
    Mail,
    Ask { from: Incarnation, number: u64, user: UserId },
    Reply { number: u64, reports: Vec<Report> },
}

/// What came of a command.
#[derive(Clone, Debug)]
pub(super) enum Done {
    /// The server's run.
    Looked(u64),
    Beaten(Option<Here>),
    Leased(Reply),
    Said,
}

/// A command on its way.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) node: usize,
    /// The process that sent it.
    pub(super) life: u64,
    pub(super) call: u64,
    /// The run of the server that its connection leads to; none for one that opens it.
    pub(super) run: Option<u64>,
    pub(super) command: Command,
}

/// How the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Answers,
    Hangs,
    Refuses,
    Gone,
}

/// Who listens: a node's newest connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ear {
    pub(super) node: usize,
    pub(super) life: u64,
    pub(super) number: u64,
    me: Incarnation,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) data: Data,
    copy: Data,
    pub(super) mood: Mood,
    pub(super) run: u64,
    /// Of its clock, in milliseconds.
    ahead: i64,
    pub(super) slow: Duration,
    /// What waits while it hangs.
    pub(super) waiting: VecDeque<Order>,
    ears: BTreeMap<usize, Ear>,
    mistake: Option<Mistake>,
}

/// What a command brought about.
#[derive(Debug)]
pub(super) struct Executed {
    pub(super) answer: Result<Done, Trouble>,
    pub(super) changes: Vec<Change>,
    pub(super) told: Vec<(Ear, Message)>,
}

impl Server {
    pub(super) fn new(mistake: Option<Mistake>) -> Self {
        Self {
            data: Data::default(),
            copy: Data::default(),
            mood: Mood::Answers,
            run: 1,
            ahead: 1_000_000,
            slow: Duration::ZERO,
            waiting: VecDeque::new(),
            ears: BTreeMap::new(),
            mistake,
        }
    }

    /// What a command does. To be called while the server answers or refuses.
    pub(super) fn execute(&mut self, now: Time, order: &Order) -> Executed {
        let failed = |trouble| Executed { answer: Err(trouble), changes: Vec::new(), told: Vec::new() };
        if self.mood == Mood::Gone || order.run.is_some_and(|run| run != self.run) {
            return failed(Trouble::Unreachable);
        }
        if self.mood == Mood::Refuses {
            return failed(Trouble::Unfit);
        }
        let now = self.clock(now);
        let mut script = Script { data: &mut self.data, now, mistake: self.mistake, changes: Vec::new() };
        let mut told = Vec::new();
        let done = match &order.command {
            Command::Look => Done::Looked(self.run),
            Command::Beat(beat) => Done::Beaten(script.beat(beat)),
            Command::Acquire(speaker, wanted) => Done::Leased(script.acquire(speaker, wanted)),
            Command::Assert(speaker) => Done::Leased(script.assert(speaker)),
            Command::Release(user, lease, thread) => {
                script.release(user, *lease, thread);
                Done::Said
            }
            Command::Publish(to, message) => {
                told.push((*to, message.clone()));
                Done::Said
            }
            Command::Listen(me, number) => {
                let ear = Ear { node: order.node, life: order.life, number: *number, me: *me };
                // One that is late is of a connection that its node gave up.
                let newer = self.ears.get(&order.node).filter(|it| (it.life, it.number) > (order.life, *number));
                if newer.is_none() {
                    self.ears.insert(order.node, ear);
                }
                Done::Said
            }
            Command::Ping => Done::Said,
        };
        let changes = std::mem::take(&mut script.changes);
        told.extend(changes.iter().filter_map(|change| match change {
            Change::Hint(to) => Some((*to, Message::Mail)),
            Change::Held { .. } | Change::Confirmed { .. } | Change::Taken { .. } | Change::Released { .. } => None,
        }));
        let heard = |(to, message): &(Incarnation, Message)| {
            let ear = self.ears.values().find(|ear| ear.me == *to)?;
            Some((*ear, message.clone()))
        };
        Executed { answer: Ok(done), changes, told: told.iter().filter_map(heard).collect() }
    }

    /// Its clock, in milliseconds since 1970.
    fn clock(&self, now: Time) -> i64 {
        i64::try_from(now.as_micros() / 1_000).unwrap_or(i64::MAX) + self.ahead
    }

    pub(super) fn copy(&mut self) {
        self.copy = self.data.clone();
    }

    pub(super) fn flush(&mut self) {
        self.data = Data::default();
    }

    pub(super) fn set_clock(&mut self, by: i64) {
        self.ahead += by;
    }

    /// What waited goes with the process.
    pub(super) fn kill(&mut self) {
        self.mood = Mood::Gone;
        self.waiting.clear();
        self.ears.clear();
    }

    pub(super) fn start(&mut self, remains: Remains) {
        match remains {
            Remains::All => {}
            Remains::Older => self.data = self.copy.clone(),
            Remains::Nothing => self.data = Data::default(),
        }
        self.mood = Mood::Answers;
        self.run += 1;
    }
}
