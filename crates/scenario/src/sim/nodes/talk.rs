//! `cluster/redis/talk.rs` and `ear.rs`: questions, answers and hints over pub/sub.

use std::time::Duration;

use lychgate::cluster::{Incarnation, LeaseId, Presence, Report, Standing as Guarded};
use lychgate_core::UserId;
use lychgate_core::lease::{ForeignLease, ForeignNode, ForeignReport, News, OwnReport, Told};
use lychgate_core::reclaim::Standing;

use super::mistake::Mistake;
use super::node::{INTERVAL, Node, Out, Purpose, Timer};
use super::server::{Command, Message};

const ANSWER_WITHIN: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(250);

/// A question on its way.
#[derive(Clone, Debug)]
pub(super) struct Question {
    user: UserId,
    of: Incarnation,
    was_asked: bool,
    /// There was no trouble since, and the ear heard.
    pub(super) has_heard: bool,
}

/// Who listens, over a connection of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ear {
    /// For a connection that answers.
    Waits,
    /// For the answer to what it wants to hear.
    Joins(Listener),
    /// It hears, and asks from time to time whether it does.
    Hears(Listener),
    /// For the answer to that.
    Asks(Listener),
    Pauses(u64),
}

/// A connection that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    number: u64,
    me: Incarnation,
    run: u64,
}

impl Node {
    pub(super) fn ask(&mut self, user: UserId, of: Incarnation) {
        let Some(from) = self.state.term.map(|term| term.me) else {
            return self.tell(user, of, Told::NotAsked);
        };
        let number = self.number();
        let message = Message::Ask { from, number, user: user.clone() };
        let has_heard = self.state.trouble.is_none() && self.hears_as(from);
        self.questions.insert(number, Question { user, of, was_asked: false, has_heard });
        self.unsaid.push_back((of, message, Some(number)));
        self.after(ANSWER_WITHIN, Timer::Question(number));
    }

    pub(super) fn on_question_timer(&mut self, number: u64) {
        let Some(question) = self.questions.remove(&number) else { return };
        let could_tell = question.was_asked && question.has_heard;
        let told = match could_tell || self.mistake == Some(Mistake::BlamesOthers) {
            false => Told::NotAsked,
            true => {
                self.out.push(Out::FoundSilent { was_asked: could_tell });
                Told::Silence
            }
        };
        self.tell(question.user, question.of, told);
    }

    fn tell(&mut self, user: UserId, of: Incarnation, told: Told) {
        self.news.push_back(News::Reported { user, node: ForeignNode(of.0), told });
    }

    /// Publishes the next message, and moves the ear.
    pub(super) fn move_talk(&mut self) -> bool {
        self.move_ear() || self.publish()
    }

    fn publish(&mut self) -> bool {
        if self.is_publishing {
            return false;
        }
        let Some((to, message, question)) = self.unsaid.pop_front() else { return false };
        if let (None, Some(run)) = (self.state.trouble, self.state.run) {
            if let Some(question) = question.and_then(|number| self.questions.get_mut(&number)) {
                question.was_asked = true;
            }
            self.is_publishing = true;
            self.call(Some(run), Command::Publish(to, message), Purpose::Publish);
        }
        true
    }

    fn move_ear(&mut self) -> bool {
        let me = self.state.term.map(|term| term.me);
        match self.ear {
            Ear::Waits => {
                let Some((run, term)) = self.linked() else { return false };
                let listener = Listener { number: self.number(), me: term.me, run };
                self.ear = Ear::Joins(listener);
                self.call(Some(run), Command::Listen(term.me, listener.number), Purpose::Listen);
                true
            }
            Ear::Hears(listener) | Ear::Asks(listener) if Some(listener.me) != me => {
                self.rest_ear();
                true
            }
            Ear::Joins(_) | Ear::Hears(_) | Ear::Asks(_) | Ear::Pauses(_) => false,
        }
    }

    fn hears_as(&self, me: Incarnation) -> bool {
        matches!(self.ear, Ear::Hears(listener) | Ear::Asks(listener) if listener.me == me)
    }

    fn rest_ear(&mut self) {
        self.questions.values_mut().for_each(|question| question.has_heard = false);
        let number = self.number();
        self.ear = Ear::Pauses(number);
        self.after(PAUSE, Timer::Ear(number));
    }

    pub(super) fn on_ear_answer(&mut self, is_ok: bool) {
        match self.ear {
            Ear::Joins(listener) | Ear::Asks(listener) if is_ok => {
                self.wake |= matches!(self.ear, Ear::Joins(_));
                self.ear = Ear::Hears(listener);
                self.after(INTERVAL, Timer::Ear(listener.number));
            }
            Ear::Joins(_) | Ear::Asks(_) => self.rest_ear(),
            // The answer to one that was given up.
            Ear::Waits | Ear::Hears(_) | Ear::Pauses(_) => {}
        }
    }

    pub(super) fn on_ear_timer(&mut self, number: u64) {
        match self.ear {
            Ear::Hears(listener) if listener.number == number => {
                self.ear = Ear::Asks(listener);
                self.call(Some(listener.run), Command::Ping, Purpose::Ping);
            }
            Ear::Pauses(wanted) if wanted == number => self.ear = Ear::Waits,
            Ear::Waits | Ear::Joins(_) | Ear::Hears(_) | Ear::Asks(_) | Ear::Pauses(_) => {}
        }
    }

    pub(super) fn on_heard(&mut self, ear: u64, message: Message) {
        match self.ear {
            Ear::Hears(listener) | Ear::Asks(listener) if listener.number == ear => {}
            Ear::Waits | Ear::Joins(_) | Ear::Hears(_) | Ear::Asks(_) | Ear::Pauses(_) => return,
        }
        match message {
            Message::Mail => self.wake = true,
            Message::Reply { number, reports } => {
                if let Some(question) = self.questions.remove(&number) {
                    let reports = reports.iter().map(foreign).collect();
                    self.tell(question.user, question.of, Told::Reports(reports));
                }
            }
            Message::Ask { from, number, user } => {
                let own = self.gate.own_reports(&user, self.now);
                let reports = own.iter().map(|own| self.report(own)).collect();
                self.unsaid.push_back((from, Message::Reply { number, reports }, None));
            }
        }
    }

    fn report(&self, own: &OwnReport) -> Report {
        let OwnReport { lease, standing, protected, health, idle } = *own;
        let presence = match standing {
            Standing::Gone { .. } => Presence::Gone,
            Standing::Detached => Presence::Detached,
            Standing::Suspect => Presence::Suspect,
            Standing::Alive => Presence::Alive,
        };
        let is_guarded = protected && self.mistake != Some(Mistake::HidesItsRuns);
        let standing = if is_guarded { Guarded::Protected } else { Guarded::Plain };
        Report { lease: self.id(lease), standing, health, presence, idle }
    }
}

fn foreign(report: &Report) -> ForeignReport {
    let LeaseId { life, number } = report.lease;
    let standing = match report.presence {
        Presence::Gone => Standing::Gone { by_probe: false },
        Presence::Detached => Standing::Detached,
        Presence::Suspect => Standing::Suspect,
        Presence::Alive => Standing::Alive,
    };
    ForeignReport {
        lease: ForeignLease { life, number },
        standing,
        protected: report.standing == Guarded::Protected,
        health: report.health,
        idle: report.idle,
    }
}
