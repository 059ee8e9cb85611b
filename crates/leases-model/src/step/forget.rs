//! States that differ in nothing that anybody will ever read are made one, so that there are fewer of them.

use super::{Command, Contact, Flight, Leases, Life, Phase, Step};

impl Step<'_> {
    pub(super) fn forget(&mut self) {
        self.forget_late_commands();
        for session in self.protocol.sessions() {
            self.forget_tombstones(session);
        }
        for node in self.protocol.nodes() {
            self.forget_node(node);
        }
        if self.world.redis.settled {
            self.world.redis.age = self.protocol.bounds.grace;
        }
    }

    /// Those that have no effect any more.
    fn forget_late_commands(&mut self) {
        for index in 0..self.world.late.len() {
            let idle = self.world.late[index].is_some_and(|flight| match flight.command {
                Command::Release => !self.world.session(flight.lease.session).unreleased,
                Command::Acquire | Command::Swap { .. } | Command::Assert { .. } => {
                    self.world.redis.turns_away(&flight, self.protocol).is_some()
                }
            });
            if idle {
                self.world.late[index] = None;
            }
        }
        self.world.late.sort_unstable();
    }

    /// Those of a session that is over, released, and about which nothing is under way.
    fn forget_tombstones(&mut self, session: u8) {
        let leases = Leases::of_session(session);
        let own = *self.world.session(session);
        let about = |flight: &Option<Flight>| flight.is_some_and(|flight| flight.lease.session == session);
        let over = own.phase == Phase::Gone && !own.unreleased && !self.world.late.iter().any(about);
        if over && self.awaited(session).is_none() && !self.world.notices.meets(leases) {
            let world = &mut self.world;
            world.redis.taken = world.redis.taken.without(leases);
            world.redis.released = world.redis.released.without(leases);
            world.ever_taken = world.ever_taken.without(leases);
            world.ended = world.ended.without(leases);
            self.session(session).incarnation = 0;
        }
    }

    /// What the dead remember, and how long somebody has been in contact who will begin anew.
    fn forget_node(&mut self, node: u8) {
        if self.world.node(node).contact == Contact::Away {
            self.world.redis.table[usize::from(node)].contact = 0;
        }
        if self.world.node(node).life != Life::Killed {
            return;
        }
        self.world.redis.table[usize::from(node)].contact = 0;
        let own = self.node(node);
        own.contact = Contact::Away;
        own.subscribed = false;
        own.linked = true;
        own.generation = 0;
        own.lag = 0;
        own.dead = Default::default();
        for session in self.protocol.sessions_of(node) {
            let own = self.session(session);
            own.phase = Phase::Gone;
            own.owes = false;
            own.slack = false;
            own.unreleased = false;
        }
    }
}
