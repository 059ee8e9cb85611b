//! `cluster/redis/clerk.rs`: tells Redis what it has to know. Its refresh every three hours is no part of these minutes.

use std::time::Duration;

use lychgate::cluster::Trouble;
use lychgate::cluster::redis::ledger::Job;
use lychgate_core::Time;

use super::mistake::Mistake;
use super::node::{INTERVAL, Node, Purpose, Term, Timer};
use super::redis::{Reply, Speaker};
use super::server::{Command, Done};

const AT_ONCE: usize = 64;
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clerk {
    /// For a connection.
    Waits,
    /// A round of jobs, by its number, and how many are not done.
    Works {
        round: u64,
        left: usize,
        was_told: bool,
        term: Term,
    },
    Rests(u64),
    Pauses(u64),
    /// For a beat that left after this.
    Fenced(Time),
}

impl Node {
    /// Whether it went a step further.
    pub(super) fn move_clerk(&mut self) -> bool {
        match self.clerk {
            Clerk::Waits => match self.linked() {
                Some((run, term)) => {
                    self.begin_work(run, term);
                    true
                }
                None => false,
            },
            Clerk::Rests(_) if self.has_jobs => {
                self.has_jobs = false;
                self.clerk = Clerk::Waits;
                true
            }
            Clerk::Fenced(since) if self.state.trouble.is_some() || self.state.beaten >= Some(since) => {
                self.clerk = Clerk::Waits;
                true
            }
            Clerk::Works { .. } | Clerk::Rests(_) | Clerk::Pauses(_) | Clerk::Fenced(_) => false,
        }
    }

    fn begin_work(&mut self, run: u64, term: Term) {
        let was_told = self.ledger.is_told();
        let jobs = self.ledger.jobs(AT_ONCE);
        let round = self.number();
        if jobs.is_empty() {
            self.clerk = Clerk::Rests(round);
            return self.after(INTERVAL, Timer::Clerk(round));
        }
        self.clerk = Clerk::Works { round, left: jobs.len(), was_told, term };
        for job in jobs {
            let command = self.command_for(&job, term);
            self.call(Some(run), command, Purpose::Job { round, job });
        }
    }

    fn command_for(&self, job: &Job, term: Term) -> Command {
        match job {
            Job::Release { lease, user } => Command::Release(user.clone(), *lease, self.thread_of(*lease)),
            Job::Assert { lease, user, facts } => Command::Assert(Speaker {
                me: term.me,
                generation: term.generation,
                user: user.clone(),
                lease: *lease,
                thread: facts.thread.clone(),
            }),
        }
    }

    pub(super) fn on_job_done(&mut self, round: u64, job: &Job, answer: Result<Done, Trouble>) {
        if let (Job::Release { lease, .. }, Some(Mistake::ReleasesOnce)) = (job, self.mistake) {
            self.ledger.released(*lease);
        }
        let Clerk::Works { round: wanted, left, was_told, term } = self.clerk else { return };
        if wanted != round {
            return;
        }
        match (job, answer) {
            (_, Err(trouble)) => return self.pause(trouble),
            (Job::Release { lease, .. }, Ok(_)) => self.ledger.released(*lease),
            (Job::Assert { lease, .. }, Ok(Done::Leased(Reply::Granted { .. }))) => {
                _ = self.ledger.granted(*lease, term.number);
            }
            (Job::Assert { lease, .. }, Ok(Done::Leased(Reply::Taken))) => self.taken(*lease),
            (Job::Assert { .. }, Ok(Done::Leased(Reply::Fenced))) => {
                self.wake = true;
                self.clerk = Clerk::Fenced(self.now);
                return;
            }
            (Job::Assert { .. }, Ok(_)) => return self.pause(Trouble::Foreign),
        }
        self.clerk = match left - 1 {
            0 => Clerk::Waits,
            left => Clerk::Works { round, left, was_told, term },
        };
        if left == 1 && !was_told && self.ledger.is_told() {
            self.wake = true;
        }
    }

    fn pause(&mut self, trouble: Trouble) {
        self.suspect(trouble);
        let number = self.number();
        self.clerk = Clerk::Pauses(number);
        self.after(PAUSE, Timer::Clerk(number));
    }

    pub(super) fn on_clerk_timer(&mut self, number: u64) {
        match self.clerk {
            Clerk::Rests(wanted) | Clerk::Pauses(wanted) if wanted == number => self.clerk = Clerk::Waits,
            Clerk::Waits | Clerk::Works { .. } | Clerk::Rests(_) | Clerk::Pauses(_) | Clerk::Fenced(_) => {}
        }
    }
}
