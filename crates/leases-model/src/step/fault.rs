//! What befalls nodes, network and Redis.

use super::{Contact, Fault, Leases, Life, Phase, Redis, Step};
use crate::action::Event;

impl Step<'_> {
    pub(super) fn spend(&mut self, fault: Fault) {
        debug_assert!(self.protocol.bounds.faults.contains(&fault), "the bounds know of no {fault:?}");
        self.world.faults += 1;
    }

    pub(super) fn befall(&mut self, event: Event) {
        match event {
            Event::Kill(node) => {
                self.spend(Fault::Kill);
                self.go_out(node);
                self.node(node).life = Life::Killed;
                for session in self.protocol.sessions_of(node) {
                    self.give_up_waiting(session);
                }
                self.drop_notices(node);
            }
            Event::Stop(node) => {
                self.spend(Fault::Stop);
                self.go_out(node);
                self.node(node).life = Life::Stopped;
            }
            Event::Continue(node) => self.node(node).life = Life::Running,
            Event::Cut(node) => {
                self.spend(Fault::Cut);
                self.go_out(node);
                self.node(node).linked = false;
            }
            Event::Mend(node) => self.node(node).linked = true,
            Event::Unsubscribe(node) => {
                self.spend(Fault::Unsubscribe);
                self.node(node).subscribed = false;
                self.drop_notices(node);
            }
            Event::Hang => {
                self.spend(Fault::Hang);
                self.world.hung = true;
            }
            Event::Resume => self.world.hung = false,
            Event::Flush => {
                self.spend(Fault::Flush);
                self.world.redis = Redis::empty(self.world.redis.server);
            }
            Event::BreakReplication => {
                self.spend(Fault::Failover);
                self.world.replica = Some(self.world.redis);
            }
            Event::FailOver => self.fail_over(),
        }
    }

    /// Whatever this node serves may be missing in Redis from now on, and is allowed for until it is known to be there.
    fn go_out(&mut self, node: u8) {
        self.node(node).out = true;
        for session in self.protocol.sessions_of(node) {
            let own = self.session(session);
            own.slack = matches!(own.phase, Phase::Serving | Phase::Pending | Phase::Waiting | Phase::Doubtful);
        }
    }

    /// The old process takes every connection with it, and what was under way on them; answers that were already on
    /// their way are read first.
    fn fail_over(&mut self) {
        let Some(replica) = self.world.replica.take() else {
            return;
        };
        self.world.redis = replica;
        self.world.server += 1;
        self.world.late = Default::default();
        for session in self.protocol.sessions() {
            let unanswered = self.awaited(session).is_some_and(|flight| flight.answer.is_none());
            if unanswered {
                *self.awaited(session) = None;
                self.doubt(session);
            }
        }
        for node in self.protocol.nodes() {
            let own = self.node(node);
            own.contact = Contact::Away;
            own.subscribed = false;
        }
    }

    pub(super) fn drop_notices(&mut self, node: u8) {
        for session in self.protocol.sessions_of(node) {
            self.world.notices = self.world.notices.without(Leases::of_session(session));
        }
    }
}
