//! Rounds of questions: every connection of a user is asked twice for a sign of life, and what did not answer is
//! written down. The breakers round this and round closing stand here too.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use smallvec::SmallVec;

use crate::breaker::{BreakerState, ReclaimStep};
use crate::gate::Step;
use crate::gate::io::{Event, Output};
use crate::queue::{Asked, Round};
use crate::reclaim::ReclaimLevel;

impl Step<'_> {
    /// Asks every connection of this user for a sign of life; while the breaker is open the ladder goes on without.
    pub(super) fn start_round(&mut self) {
        if !self.may_try(ReclaimStep::Probe) {
            return self.conclude(|_| true);
        }
        self.begin_round();
        self.on_probe_answer();
    }

    /// Asks everybody, whatever the breakers say.
    pub(super) fn begin_round(&mut self) {
        let asked = self
            .user
            .connections
            .iter()
            .map(|connection| Asked { connection: connection.id, written: SmallVec::new() });
        self.user.round = Some(Box::new(Round {
            started: self.clock.now,
            started_awake: self.clock.awake(),
            second_asked: false,
            reclaims: false,
            asked: asked.collect(),
        }));
        self.ask_silent();
    }

    /// Pings those who have not been heard since the round began.
    fn ask_silent(&mut self) {
        let user = &*self.user;
        let Some(round) = &user.round else { return };
        let silent = user.connections.iter().filter(|connection| connection.heard < round.started);
        let pings: Vec<_> =
            silent.map(|connection| Output::Ping { user: user.id.clone(), connection: connection.id }).collect();
        self.out.extend(pings);
    }

    /// Ends the round early once everybody who was asked has answered or is gone.
    pub(super) fn on_probe_answer(&mut self) {
        let Some(round) = &self.user.round else { return };
        let waits_for = |asked: &Asked| {
            self.user.connection(asked.connection).is_some_and(|connection| connection.heard < round.started)
        };
        if !round.asked.iter().any(waits_for) {
            self.end_round();
        }
    }

    /// What the round is due for: its second pings, or its end.
    pub(super) fn advance_round(&mut self) {
        let Some(round) = &mut self.user.round else { return };
        let elapsed = self.clock.awake().since(round.started_awake);
        if elapsed >= self.limits.probe_deadline {
            self.end_round();
        } else if elapsed >= self.limits.probe_gap && !round.second_asked {
            round.second_asked = true;
            self.ask_silent();
        }
    }

    /// Writes down who did not answer, and serves all who asked before the round began.
    fn end_round(&mut self) {
        let Some(round) = self.user.round.take() else { return };
        // A ping that left late had no fair chance to be answered: half of what the second one is due counts.
        let fair = (self.limits.probe_deadline - self.limits.probe_gap) / 2;
        let awake = self.clock.awake();
        for asked in &round.asked {
            let unanswered = asked.written.iter().filter(|at| awake.since(**at) >= fair);
            let first = unanswered.clone().next().map(|at| self.clock.wall(*at));
            let count = unanswered.count() as u32;
            if let Some(connection) = self.user.connection_mut(asked.connection)
                && connection.heard < round.started
            {
                connection.on_missed_probe(count, first);
            }
        }
        self.efforts.tried(ReclaimLevel::Aggressive);
        if round.reclaims {
            self.reclaim_all(ReclaimLevel::Aggressive);
        }
        self.conclude(|waiter| waiter.since <= round.started);
    }

    /// Whether a step may be taken, by the node's breaker and by the user's own.
    pub(super) fn may_try(&mut self, step: ReclaimStep) -> bool {
        // Asked first, so that the node's one trial is not given to somebody who then makes none.
        if !self.user.breakers.would_try(step, self.clock.now) {
            return false;
        }
        let (node_allows, moved) = self.node.may_try(step, self.clock.now);
        self.tell_breaker(true, step, moved);
        if !node_allows {
            return false;
        }
        let (user_allows, moved) = self.user.breakers.may_try(step, self.clock.now);
        self.tell_breaker(false, step, moved);
        user_allows
    }

    pub(super) fn on_step_failure(&mut self, step: ReclaimStep) {
        let moved = self.user.breakers.on_failure(step, self.clock.now);
        self.tell_breaker(false, step, moved);
        let user = FixedState::with_seed(0).hash_one(&self.user.id);
        let moved = self.node.on_failure(step, self.clock.now, user);
        self.tell_breaker(true, step, moved);
    }

    pub(super) fn on_step_success(&mut self, step: ReclaimStep) {
        let moved = self.user.breakers.on_success(step, self.clock.now);
        self.tell_breaker(false, step, moved);
        let moved = self.node.on_success(step);
        self.tell_breaker(true, step, moved);
    }

    fn tell_breaker(&mut self, of_node: bool, step: ReclaimStep, moved: Option<BreakerState>) {
        if let Some(state) = moved {
            let user = (!of_node).then(|| self.user.id.clone());
            self.tell(Event::Breaker { user, step, state });
        }
    }
}
