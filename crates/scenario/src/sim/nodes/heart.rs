//! `cluster/redis/heart.rs`: the beat of a node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lychgate::cluster::redis::ledger::Job;
use lychgate::cluster::{Incarnation, Trouble};
use lychgate_core::Time;

use super::mistake::Mistake;
use super::node::{INTERVAL, NODE_LEASE, Node, PATIENCE, Purpose, Settled, Term, Timer};
use super::redis::{Beat, Entry, Generation, Here, LetterId};
use super::server::{Command, Done};

const PROBE: Duration = Duration::from_millis(250);
const HASTE: Duration = Duration::from_millis(50);
const MAX_BEATS: u32 = 4;

#[derive(Debug)]
pub(super) struct Heart {
    run: Option<u64>,
    me: Incarnation,
    joins: bool,
    after: LetterId,
    published: Option<Generation>,
    awaited: BTreeSet<u64>,
    heard_again: Option<Time>,
    missing: BTreeSet<u64>,
    joined: Time,
    /// Beats in a row.
    beats: u32,
    pause: Pause,
}

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// An answer.
    None,
    /// The next beat, or to be woken.
    Rest(u64),
    /// The next try.
    Probe(u64),
}

impl Heart {
    pub(super) fn new(me: Incarnation, now: Time) -> Self {
        Self {
            run: None,
            me,
            joins: true,
            after: (0, 0),
            published: None,
            awaited: BTreeSet::new(),
            heard_again: None,
            missing: BTreeSet::new(),
            joined: now,
            beats: 0,
            pause: Pause::None,
        }
    }
}

impl Node {
    pub(super) fn begin_beating(&mut self) {
        self.heart.beats = 0;
        self.heart.pause = Pause::None;
        self.beat();
    }

    fn beat(&mut self) {
        if self.heart.beats >= MAX_BEATS {
            return self.rest();
        }
        let Some(run) = self.heart.run else {
            self.call(None, Command::Look, Purpose::Look);
            return;
        };
        self.heart.beats += 1;
        let entry = Entry { settled: self.heart.published, life: self.life };
        let fresh = self.draw();
        let Heart { me, joins, after, .. } = self.heart;
        let lease_ms = i64::try_from(NODE_LEASE.as_millis()).unwrap_or(i64::MAX);
        let beat = Beat { me, joins, lease_ms, entry, fresh, run, after };
        let left = self.now;
        self.call(Some(run), Command::Beat(beat), Purpose::Beat { left });
    }

    pub(super) fn on_looked(&mut self, answer: Result<Done, Trouble>) {
        match answer {
            Ok(Done::Looked(run)) => {
                self.heart.run = Some(run);
                self.beat();
            }
            Ok(Done::Beaten(_) | Done::Leased(_) | Done::Said) => self.stumble(Trouble::Foreign),
            Err(trouble) => self.stumble(trouble),
        }
    }

    pub(super) fn on_beaten(&mut self, left: Time, answer: Result<Done, Trouble>) {
        match answer {
            Ok(Done::Beaten(None)) => {
                self.heart.me = Incarnation(self.draw());
                self.heart.joins = true;
                self.heart.after = (0, 0);
                self.beat();
            }
            Ok(Done::Beaten(Some(here))) => {
                self.heart.joins = false;
                let generation = here.generation;
                self.on_here(here, left);
                if self.heart.published == Some(generation) || !self.ledger.is_told() {
                    return self.rest();
                }
                self.heart.published = Some(generation);
                self.beat();
            }
            Ok(Done::Looked(_) | Done::Leased(_) | Done::Said) => self.stumble(Trouble::Foreign),
            Err(trouble) => self.stumble(trouble),
        }
    }

    fn stumble(&mut self, trouble: Trouble) {
        self.heart.run = None;
        self.lost(trouble);
        let number = self.number();
        self.heart.pause = Pause::Probe(number);
        self.after(PROBE, Timer::Heart(number));
    }

    fn rest(&mut self) {
        let pause = match self.state.settled {
            Settled::Yes => INTERVAL,
            Settled::Until(_) => HASTE,
        };
        let number = self.number();
        self.heart.pause = Pause::Rest(number);
        self.after(pause, Timer::Heart(number));
    }

    pub(super) fn on_heart_timer(&mut self, number: u64) {
        match self.heart.pause {
            Pause::Rest(wanted) | Pause::Probe(wanted) if wanted == number => self.begin_beating(),
            Pause::None | Pause::Rest(_) | Pause::Probe(_) => {}
        }
    }

    /// Whether it was woken.
    pub(super) fn move_heart(&mut self) -> bool {
        let wakes = matches!(self.heart.pause, Pause::Rest(_)) && self.wake;
        if wakes {
            self.wake = false;
            self.begin_beating();
        }
        wakes
    }

    fn on_here(&mut self, here: Here, left: Time) {
        self.note_missing(&here.table, left);
        let (me, before) = (self.heart.me, (self.state.term, self.state.settled));
        let term = match before.0 {
            Some(term) if term.me == me && term.generation == here.generation => term,
            Some(_) | None => self.begin_term(here.generation),
        };
        self.state.settled = match (self.is_complete(&here), before) {
            (true, _) => Settled::Yes,
            (false, (was, Settled::Until(until))) if was == Some(term) => Settled::Until(until),
            (false, (_, Settled::Yes | Settled::Until(_))) => Settled::Until(left + PATIENCE),
        };
        (self.state.run, self.state.term, self.state.beaten) = (self.heart.run, Some(term), Some(left));
        self.state.trouble = None;
        self.state.table = here.table;
        for (id, lease) in here.letters {
            self.taken(lease);
            self.heart.after = id;
        }
    }

    fn note_missing(&mut self, table: &BTreeMap<Incarnation, Entry>, left: Time) {
        if self.state.beaten.is_some_and(|beaten| left.since(beaten) >= NODE_LEASE / 2) {
            self.heart.heard_again = Some(left);
        }
        if self.heart.heard_again.is_none_or(|since| self.now.since(since) >= PATIENCE) {
            return self.heart.missing.clear();
        }
        self.heart.missing.extend(self.state.table.values().map(|entry| entry.life));
        let here: BTreeSet<u64> = table.values().map(|entry| entry.life).collect();
        self.heart.missing.retain(|life| !here.contains(life));
    }

    fn begin_term(&mut self, generation: Generation) -> Term {
        let before = self.state.term;
        match before {
            Some(term) if term.generation != generation => {
                let lives = self.state.table.values().map(|entry| entry.life);
                if self.state.settled == Settled::Yes {
                    self.heart.awaited.clear();
                }
                let lives = lives.chain(self.heart.missing.iter().copied());
                self.heart.awaited.extend(lives.filter(|life| *life != self.life));
                self.heart.published = None;
                self.heart.after = (0, 0);
            }
            Some(_) | None => self.heart.joined = self.now,
        }
        let number = before.map_or(1, |term| term.number + 1);
        self.ledger.begin_term(number);
        if self.mistake == Some(Mistake::ForgetsToTellAgain) {
            self.forget_to_tell(number);
        }
        self.has_jobs = true;
        Term { number, me: self.heart.me, generation }
    }

    fn forget_to_tell(&mut self, term: u64) {
        for job in self.ledger.jobs(usize::MAX) {
            match job {
                Job::Assert { lease, .. } => _ = self.ledger.granted(lease, term),
                Job::Release { .. } => {}
            }
        }
    }

    fn is_complete(&self, here: &Here) -> bool {
        let Heart { me, awaited, joined, .. } = &self.heart;
        let is_seen = self.now.since(*joined) >= PATIENCE * 3 / 4;
        let is_settled = |entry: &Entry| entry.settled == Some(here.generation);
        let is_back = |life: &u64| {
            *life == self.life || here.table.values().any(|entry| entry.life == *life && is_settled(entry))
        };
        let mut others = here.table.iter().filter(|(incarnation, _)| *incarnation != me);
        let is_old = u128::try_from(here.age_ms).is_ok_and(|age| age >= NODE_LEASE.as_millis());
        let are_back = is_old || awaited.iter().all(is_back);
        is_seen && are_back && self.ledger.is_told() && others.all(|(_, entry)| is_back(&entry.life))
    }
}
