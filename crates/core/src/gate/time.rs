//! Deadlines pass: heartbeats, stalled writers, expiry, claims, linger, probes, closes, background reclaim.

use std::time::Duration;

use crate::connection::{Ping, jittered};
use crate::gate::Step;
use crate::gate::io::{Cause, Manner, Output};
use crate::id::ConnectionId;
use crate::limits::{Mode, Pressure};
use crate::liveness::Liveness;
use crate::reclaim::{self, Facts, ReclaimLevel, Standing};
use crate::refusal::EvictReason;

impl Step<'_> {
    pub(super) fn on_timeout(&mut self) {
        // First, because a connection that goes would give a session whose claim has run out a second linger.
        self.end_claims();
        self.tell_expiry();
        self.expire_tokens();
        self.judge_silence();
        self.order_pings();
        self.end_lingers();
        self.advance_round();
        self.ask_again();
        self.serve_overdue();
        self.abort_unconfirmed();
        self.reclaim_in_background();
    }

    fn connections_where(&self, chosen: impl Fn(&crate::connection::Connection) -> bool) -> Vec<ConnectionId> {
        self.user.connections.iter().filter(|connection| chosen(connection)).map(|connection| connection.id).collect()
    }

    /// Once for each token, early enough that its client can bring the next one.
    fn tell_expiry(&mut self) {
        let now = self.clock.now;
        for id in self.connections_where(|connection| connection.notice_at().is_some_and(|at| at <= now)) {
            let Some(connection) = self.user.connection_mut(id) else { continue };
            connection.notice_secs = 0;
            let expires_in = connection.expires.map_or(Duration::ZERO, |at| at.since(now));
            self.emit(Output::Expiring { connection: id, expires_in });
        }
    }

    fn expire_tokens(&mut self) {
        let (now, grace) = (self.clock.now, self.limits.expiry_grace);
        for id in self.connections_where(|connection| connection.expires.is_some_and(|at| at + grace <= now)) {
            self.drop_connection(id, EvictReason::TokenExpired, Manner::Handshake);
        }
    }

    /// Counts heartbeats that stayed unanswered while we ran, and buries whoever is proven dead by them or has taken no
    /// byte for too long. What a probe alone suggests is left to the admission that needs the slot.
    fn judge_silence(&mut self) {
        let awake = self.clock.awake();
        let hurry = self.user.urgency >= Pressure::High;
        for connection in &mut self.user.connections {
            let Ping::Written(at) = connection.ping else { continue };
            if awake.since(at) >= self.limits.ping_answer {
                connection.on_missed_ping(self.clock.wall(at));
                if hurry {
                    connection.next_ping = self.clock.now;
                }
            }
        }
        let without_probe = |connection: &crate::connection::Connection| {
            let evidence = connection.evidence(&self.clock);
            crate::liveness::judge(&crate::liveness::Evidence { missed_probes: 0, ..evidence }, self.limits)
        };
        let dead: Vec<_> = self
            .user
            .connections
            .iter()
            .filter_map(|connection| match without_probe(connection) {
                Liveness::Zombie(kind) => Some((connection.id, kind)),
                Liveness::Alive | Liveness::Suspect => None,
            })
            .collect();
        for (id, kind) in dead {
            self.bury(id, kind);
        }
    }

    fn order_pings(&mut self) {
        let now = self.clock.now;
        for id in self.connections_where(|connection| connection.next_ping <= now) {
            let jitter = self.draw();
            let interval = jittered(self.limits.ping_interval, jitter);
            let user = self.user.id.clone();
            let Some(connection) = self.user.connection_mut(id) else {
                continue;
            };
            connection.next_ping = now + interval;
            // One question at a time: a ping that waits behind a backlog is asked once it is written.
            if connection.ping == Ping::Idle {
                connection.ping = Ping::Ordered;
                self.emit(Output::Ping { user, connection: id });
            }
        }
    }

    /// A claim that has run out counts no more, however late its deadline is noticed: whoever takes over the claimer would
    /// hold its sessions for another linger.
    pub(super) fn forget_claims(&mut self) {
        if self.user.timer.is_some_and(|due| due <= self.clock.now) {
            self.end_claims();
        }
    }

    /// Sessions that came over by `prev` and were not opened in time are let go: they have lingered already.
    fn end_claims(&mut self) {
        let now = self.clock.now;
        for session in &mut self.user.sessions {
            session.attached.retain(|attachment| attachment.claim.is_none_or(|until| until > now));
            if session.attached.is_empty() && session.lingers_until.is_none() {
                session.lingers_until = Some(now);
            }
        }
    }

    fn end_lingers(&mut self) {
        let now = self.clock.now;
        let ended: Vec<_> = self
            .user
            .sessions
            .iter()
            .filter(|session| session.lingers_until.is_some_and(|until| until <= now))
            .map(|session| session.thread.clone())
            .collect();
        for thread in ended {
            self.release(&thread, EvictReason::LingerEnded);
        }
    }

    /// Above 60 %, or above 50 % while the limit is in sight: lets go of detached sessions and of those that missed more
    /// than one question, down to the watermark and no further. One band higher: asks every connection at once, and again
    /// as soon as an answer is missed, so that the dead are found in a third of the time. Nobody waits for a slot here, so
    /// nobody is judged by the short deadline of an admission's probe: a tab in a tunnel survives its user's other tabs.
    fn reclaim_in_background(&mut self) {
        let now = self.clock.now;
        if self.user.reclaim_at.is_none_or(|due| due > now) {
            return;
        }
        self.user.reclaim_at = Some(now + self.limits.reclaim_interval);
        let facts: Vec<_> = self.user.facts(&self.clock, self.limits);
        let patient = facts.iter().zip(&self.user.sessions).map(|(facts, session)| self.patient(*facts, session));
        let patient: Vec<_> = patient.collect();
        let used = self.user.sessions.len();
        let is_in_sight = self.user.is_limit_in_sight(&self.clock, self.limits);
        let urgency = |used| self.limits.urgency(used, is_in_sight);
        let excess = (1..=used).take_while(|freed| urgency(used - freed + 1) >= Pressure::Warn).count();
        let plan = reclaim::plan(ReclaimLevel::Moderate, &patient, excess);
        let victims: Vec<_> =
            plan.iter().map(|pick| (self.user.sessions[pick.index].thread.clone(), pick.level)).collect();
        match self.limits.mode {
            Mode::Enforce => {
                let gone = plan.iter().filter(|pick| pick.level == ReclaimLevel::Conservative).count();
                if excess > 0 {
                    self.efforts.tried(ReclaimLevel::Conservative);
                }
                if excess > gone {
                    self.efforts.tried(ReclaimLevel::Moderate);
                }
                victims.into_iter().for_each(|(thread, level)| self.evict(&thread, level, Cause::Pressure));
            }
            Mode::Shadow => plan.iter().for_each(|pick| self.tell_would_evict(pick.index, pick.level)),
        }
        if self.limits.urgency(self.user.sessions.len(), is_in_sight) >= Pressure::High {
            self.user.connections.iter_mut().for_each(|connection| connection.next_ping = now);
            self.order_pings();
        }
    }

    /// The facts as patience sees them: whoever missed a single question counts as alive.
    fn patient(&self, facts: Facts, session: &crate::session::Session) -> Facts {
        let missed =
            self.user.best_evidence(session, &self.clock, self.limits).map_or(0, |(_, seen)| seen.missed_pings);
        let standing = match facts.standing {
            Standing::Suspect | Standing::Gone { .. } if missed < 2 => Standing::Alive,
            Standing::Suspect | Standing::Gone { .. } | Standing::Detached | Standing::Alive => facts.standing,
        };
        Facts { standing, ..facts }
    }
}
