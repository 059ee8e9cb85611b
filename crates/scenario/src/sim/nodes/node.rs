//! One node: a real gate and the real ledger, and between them and Redis what `crates/server/src/app/leases.rs` and
//! `cluster/redis` do with tasks. No I/O: events and its own time go in, [`Out`] comes out.
//!
//! ```text
//!  Input, gate's deadline --> gate --Wish--> ledger, admissions --+--> heart, clerk, talk --Out::Send--> network
//!                              ^                                  |                                        |
//!                              '---News---------------------------'<----Answer, Heard, Timer---------------'
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use lychgate::cluster::redis::ledger::{Job, Ledger};
use lychgate::cluster::{Claim, Facts, Incarnation, LeaseId, Standing, Trouble};
use lychgate_core::lease::{Answer, Counting, Either, Lease, News, Wish};
use lychgate_core::{Gate, Input, Limits, Output, SessionKey, ThreadId, Time, UserId};

use super::admit::Admission;
use super::clerk::Clerk;
use super::heart::Heart;
use super::mistake::Mistake;
use super::redis::{Entry, Generation};
use super::server::{Command, Done, Message};
use super::talk::{Ear, Question};
use crate::random::Random;

/// `cluster.command_timeout`, by default.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_millis(500);
/// `cluster.node_lease`, by default.
pub(super) const NODE_LEASE: Duration = Duration::from_secs(10);
/// `PATIENCE` of the cluster with that lease.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// `INTERVAL` of the cluster with that lease.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// What happens to a node.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Input(Input),
    /// The gate's deadline.
    Due,
    Answer(u64, Result<Done, Trouble>),
    Timer(Timer),
    /// On which connection, and what.
    Heard(u64, Message),
}

/// What a node waits for; a number that is not the last one drawn is of a wait that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    Deadline(u64),
    Heart(u64),
    Clerk(u64),
    Ear(u64),
    Question(u64),
    Look,
}

/// What a node does.
#[derive(Clone, Debug)]
pub(super) enum Out {
    Send {
        call: u64,
        run: Option<u64>,
        command: Command,
    },
    After(Duration, Timer),
    Gate(Output),
    /// It takes another node for silent; whether its question had left, and it heard all the time.
    FoundSilent {
        was_asked: bool,
    },
}

/// Why a command was sent.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Look,
    Beat {
        left: Time,
    },
    Acquire(LeaseId),
    Job {
        round: u64,
        job: Job,
    },
    Publish,
    Listen,
    Ping,
    /// Nobody waits for it.
    Nothing,
}

/// `state.rs` of the cluster.
#[derive(Debug)]
pub(super) struct State {
    pub(super) run: Option<u64>,
    pub(super) trouble: Option<Trouble>,
    pub(super) term: Option<Term>,
    pub(super) beaten: Option<Time>,
    pub(super) settled: Settled,
    pub(super) table: BTreeMap<Incarnation, Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) number: u64,
    pub(super) me: Incarnation,
    pub(super) generation: Generation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Yes,
    Until(Time),
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) life: u64,
    pub(super) gate: Gate,
    pub(super) ledger: Ledger,
    pub(super) state: State,
    pub(super) now: Time,
    pub(super) out: Vec<Out>,
    pub(super) heart: Heart,
    pub(super) clerk: Clerk,
    pub(super) ear: Ear,
    pub(super) admissions: BTreeMap<LeaseId, Admission>,
    pub(super) questions: BTreeMap<u64, Question>,
    pub(super) unsaid: VecDeque<(Incarnation, Message, Option<u64>)>,
    pub(super) is_publishing: bool,
    pub(super) calls: BTreeMap<u64, Purpose>,
    pub(super) news: VecDeque<News>,
    /// `Shared::wake` and `Shared::clerk`.
    pub(super) wake: bool,
    pub(super) has_jobs: bool,
    pub(super) mistake: Option<Mistake>,
    /// Of every lease that was drawn.
    threads: BTreeMap<LeaseId, ThreadId>,
    last_number: u64,
    random: Random,
}

impl Node {
    /// A process that starts now.
    pub(super) fn new(life: u64, limits: Limits, now: Time, mistake: Option<Mistake>) -> Self {
        let mut random = Random::new(life);
        let gate = Gate::new(limits, life).counting(Counting::Shared(NonZeroU64::MIN));
        let heart = Heart::new(Incarnation(random.bits()), now);
        let mut node = Self {
            life,
            gate,
            ledger: Ledger::new(),
            state: State {
                run: None,
                trouble: None,
                term: None,
                beaten: None,
                settled: Settled::Until(now),
                table: BTreeMap::new(),
            },
            now,
            out: Vec::new(),
            heart,
            clerk: Clerk::Waits,
            ear: Ear::Waits,
            admissions: BTreeMap::new(),
            questions: BTreeMap::new(),
            unsaid: VecDeque::new(),
            is_publishing: false,
            calls: BTreeMap::new(),
            news: VecDeque::new(),
            wake: false,
            has_jobs: false,
            mistake,
            threads: BTreeMap::new(),
            last_number: 0,
            random,
        };
        node.begin_beating();
        node
    }

    /// Takes one event; what it does about it is in `out` then.
    pub(super) fn handle(&mut self, now: Time, event: Event) {
        self.now = self.now.max(now);
        match event {
            Event::Input(input) => self.gate.handle_input(self.now, input),
            Event::Due => self.gate.handle_timeout(self.now),
            Event::Answer(call, answer) => self.on_answer(call, answer),
            Event::Timer(Timer::Deadline(call)) => self.on_answer(call, Err(Trouble::Silent)),
            Event::Timer(Timer::Heart(number)) => self.on_heart_timer(number),
            Event::Timer(Timer::Clerk(number)) => self.on_clerk_timer(number),
            Event::Timer(Timer::Ear(number)) => self.on_ear_timer(number),
            Event::Timer(Timer::Question(number)) => self.on_question_timer(number),
            Event::Timer(Timer::Look) => {}
            Event::Heard(ear, message) => self.on_heard(ear, message),
        }
        self.settle();
    }

    /// Every task goes as far as it can.
    fn settle(&mut self) {
        loop {
            while let Some(output) = self.gate.poll_output() {
                if let Output::Wish(wish) = &output {
                    self.wish(wish.clone());
                }
                self.out.push(Out::Gate(output));
            }
            if let Some(news) = self.news.pop_front() {
                self.gate.handle_input(self.now, Input::News(news));
                continue;
            }
            let moved = [self.move_admissions(), self.move_clerk(), self.move_heart(), self.move_talk()];
            if moved == [false; 4] && self.news.is_empty() {
                return;
            }
        }
    }

    fn on_answer(&mut self, call: u64, answer: Result<Done, Trouble>) {
        match (self.calls.remove(&call), answer) {
            (None | Some(Purpose::Nothing), _) => {}
            (Some(Purpose::Look), answer) => self.on_looked(answer),
            (Some(Purpose::Beat { left }), answer) => self.on_beaten(left, answer),
            (Some(Purpose::Acquire(lease)), answer) => self.on_acquired(lease, answer),
            (Some(Purpose::Job { round, job }), answer) => self.on_job_done(round, &job, answer),
            (Some(Purpose::Publish), answer) => {
                self.is_publishing = false;
                if let Err(trouble) = answer {
                    self.suspect(trouble);
                }
            }
            (Some(Purpose::Listen | Purpose::Ping), answer) => self.on_ear_answer(answer.is_ok()),
        }
    }

    fn wish(&mut self, wish: Wish) {
        match wish {
            Wish::Acquire { key, lease, limit, instead_of } => self.on_acquire(&key, lease, limit, instead_of),
            Wish::Keep { key, lease } => {
                if self.mistake != Some(Mistake::KeepsItToItself) {
                    self.ledger.keep(self.claim(&key, lease, usize::MAX));
                    self.has_jobs = true;
                }
            }
            Wish::Release { lease, .. } => {
                self.ledger.release(self.id(lease));
                self.has_jobs = true;
            }
            Wish::Ask { user, node } => self.ask(user, Incarnation(node.0)),
            // No tab of these plans comes back by `prev`.
            Wish::Supersede { .. } => {}
        }
    }

    fn on_acquire(&mut self, key: &SessionKey, lease: Lease, limit: usize, instead_of: Option<Either>) {
        let claim = self.claim(key, lease, limit);
        self.threads.insert(claim.lease, key.thread().clone());
        self.ledger.begin(&claim);
        let is_away = self.state.trouble.is_some() || self.mistake == Some(Mistake::CountsAlone);
        if is_away {
            self.ledger.doubt(claim.lease);
            return self.answer(key.user().clone(), lease, Answer::Unknown);
        }
        let victim = instead_of.map(|victim| match victim {
            Either::Own(own) => (self.id(own), self.state.term.map_or(Incarnation(0), |term| term.me)),
            Either::Foreign(holder) => {
                let theirs = LeaseId { life: holder.lease.life, number: holder.lease.number };
                (theirs, Incarnation(holder.node.0))
            }
        });
        let admission = Admission::new(claim, limit, victim, self.now + PATIENCE);
        self.admissions.insert(self.id(lease), admission);
    }

    pub(super) fn answer(&mut self, user: UserId, lease: Lease, answer: Answer) {
        self.news.push_back(News::Answered { user, lease, answer });
    }

    pub(super) fn id(&self, lease: Lease) -> LeaseId {
        LeaseId { life: self.life, number: lease.number() }
    }

    /// Of a lease of this node.
    pub(super) fn thread_of(&self, lease: LeaseId) -> ThreadId {
        self.threads[&lease].clone()
    }

    fn claim(&self, key: &SessionKey, lease: Lease, limit: usize) -> Claim {
        let facts = Facts { thread: key.thread().clone(), standing: Standing::Plain };
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Claim { lease: self.id(lease), user: key.user().clone(), facts, limit }
    }

    /// `Shared::taken`.
    pub(super) fn taken(&mut self, lease: LeaseId) {
        let own = NonZeroU64::new(lease.number).filter(|_| lease.life == self.life);
        if let (Some(user), Some(number)) = (self.ledger.taken(lease), own) {
            self.news.push_back(News::Taken { user, lease: Lease::from_number(number) });
        }
    }

    /// `Shared::suspect`.
    pub(super) fn suspect(&mut self, trouble: Trouble) {
        self.lost(trouble);
        self.wake = true;
    }

    /// `Shared::lost`.
    pub(super) fn lost(&mut self, trouble: Trouble) {
        let is_new = self.state.trouble.replace(trouble).is_none();
        self.questions.values_mut().for_each(|question| question.has_heard = false);
        if is_new && self.mistake == Some(Mistake::ClosesOnUnknown) {
            self.close_all();
        }
    }

    fn close_all(&mut self) {
        for (user, _) in self.gate.connections() {
            for report in self.gate.own_reports(&user, self.now) {
                self.news.push_back(News::Taken { user: user.clone(), lease: report.lease });
            }
        }
    }

    /// `Shared::linked`: the connection and the term under which scripts may be run.
    pub(super) fn linked(&self) -> Option<(u64, Term)> {
        self.state.run.zip(self.state.term).filter(|_| self.state.trouble.is_none())
    }

    /// Sends a command; its purpose hears of it once, within the deadline.
    pub(super) fn call(&mut self, run: Option<u64>, command: Command, purpose: Purpose) -> u64 {
        let call = self.number();
        let waits_for_ever = matches!(purpose, Purpose::Acquire(_)) && self.mistake == Some(Mistake::NeverGivesUp);
        self.calls.insert(call, purpose);
        self.out.push(Out::Send { call, run, command });
        if !waits_for_ever {
            self.after(COMMAND_TIMEOUT, Timer::Deadline(call));
        }
        call
    }

    pub(super) fn after(&mut self, wait: Duration, timer: Timer) {
        self.out.push(Out::After(wait, timer));
    }

    /// A number that was never drawn before.
    pub(super) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.random.bits()
    }
}
