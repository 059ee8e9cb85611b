//! What can happen next.

use crate::bounds::Fault;
use crate::ids::{INCARNATIONS, Lease, Leases};
use crate::mutant::Mutant;
use crate::protocol::Protocol;
use crate::redis::{Answer, Flight, Redis};
use crate::world::{Contact, Life, Phase, World};

/// One thing that happens. Numbers are indices of sessions or nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A newcomer's node asks for a lease.
    Ask(u8),
    /// A newcomer is admitted by the local limit, in the place of a session of the same node if that is full.
    AdmitLocally(u8, Option<u8>),
    /// A newcomer that waits goes away.
    GiveUp(u8),
    /// A session's client leaves.
    Leave(u8),
    /// A node asserts a session.
    Assert(u8),
    /// A node releases a session that is over.
    Release(u8),
    /// The command about a session reaches Redis.
    Arrive(u8),
    /// Its answer reaches the node, which chooses these victims if it has to.
    Answer(u8, Leases),
    /// Its answer does not come in time.
    TimeOut(u8),
    /// A command reaches Redis whose caller has given up.
    ArriveLate(usize),
    /// A node hears that a lease was taken.
    Hear(Lease),
    /// A node renews its lease, and reads generation and node table.
    Renew(u8),
    /// A node finds that Redis does not answer.
    FindAway(u8),
    /// Time passes.
    Tick,
    /// Something goes wrong, or right again.
    Befall(Event),
}

/// What befalls nodes, network and Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The process dies.
    Kill(u8),
    /// The process does nothing any more.
    Stop(u8),
    /// It goes on where it was.
    Continue(u8),
    /// Nothing passes between this node and Redis.
    Cut(u8),
    /// It passes again.
    Mend(u8),
    /// What is published does not reach the node until it subscribes again.
    Unsubscribe(u8),
    /// Redis does nothing any more; its clock goes on.
    Hang,
    /// It goes on.
    Resume,
    /// Everything in Redis is gone.
    Flush,
    /// From here on the replica does not follow.
    BreakReplication,
    /// The replica takes over.
    FailOver,
}

impl Protocol {
    /// Every action that is possible now. Some of them change nothing.
    pub(crate) fn enabled(&self, world: &World, actions: &mut Vec<Action>) {
        for session in self.sessions() {
            self.of_session(world, session, actions);
        }
        if !world.hung {
            let late = world.late.iter().enumerate().filter(|(_, flight)| flight.is_some());
            actions.extend(late.map(|(index, _)| Action::ArriveLate(index)));
        }
        actions.extend(world.notices.iter().filter(|&lease| self.hears(world, lease)).map(Action::Hear));
        for node in self.nodes() {
            if world.node(node).life == Life::Running {
                if world.reaches(node) {
                    // Others happen with time.
                    if self.is_due(world, node) {
                        actions.push(Action::Renew(node));
                    }
                } else if world.node(node).contact != Contact::Away {
                    actions.push(Action::FindAway(node));
                }
            }
        }
        if self.may_tick(world) {
            actions.push(Action::Tick);
        }
        self.faults(world, actions);
    }

    pub(crate) fn hears(&self, world: &World, lease: Lease) -> bool {
        let owner = self.owner(lease.session);
        world.node(owner).life == Life::Running && world.reaches(owner)
    }

    fn of_session(&self, world: &World, session: u8, actions: &mut Vec<Action>) {
        let running = world.node(self.owner(session)).life == Life::Running;
        if let Some(flight) = &world.awaited[usize::from(session)] {
            self.of_awaited(world, flight, actions);
        } else if running {
            self.of_phase(world, session, actions);
        }
    }

    fn of_awaited(&self, world: &World, flight: &Flight, actions: &mut Vec<Action>) {
        let (session, owner) = (flight.lease.session, self.owner(flight.lease.session));
        let (running, reached) = (world.node(owner).life == Life::Running, world.reaches(owner));
        match flight.answer {
            // What a stopped process has sent arrives all the same.
            None if reached => actions.push(Action::Arrive(session)),
            Some(Answer::Denied { holders }) if reached && running => {
                let victims = holders.choices(self.surplus(holders.len()));
                actions.extend(victims.map(|victims| Action::Answer(session, victims)));
            }
            Some(_) if reached && running => actions.push(Action::Answer(session, Leases::NONE)),
            None | Some(_) => {}
        }
        if running && (!reached || self.may_fail(world, Fault::Late)) {
            actions.push(Action::TimeOut(session));
        }
    }

    fn of_phase(&self, world: &World, session: u8, actions: &mut Vec<Action>) {
        match world.session(session).phase {
            // Sessions of one node that were never opened are all alike: the first goes first.
            Phase::New if !self.is_next(world, session) => {}
            Phase::New => self.of_newcomer(world, session, actions),
            Phase::Waiting | Phase::Doubtful => {
                self.of_newcomer(world, session, actions);
                actions.push(Action::GiveUp(session));
            }
            Phase::Serving => {
                if self.may_assert(world, session) {
                    actions.push(Action::Assert(session));
                }
                actions.push(Action::Leave(session));
            }
            Phase::Gone if self.may_release(world, session) => actions.push(Action::Release(session)),
            Phase::Gone | Phase::Pending => {}
        }
    }

    fn is_next(&self, world: &World, session: u8) -> bool {
        let owner = self.owner(session);
        self.sessions_of(owner).find(|&other| world.session(other).phase == Phase::New) == Some(session)
    }

    fn of_newcomer(&self, world: &World, session: u8, actions: &mut Vec<Action>) {
        if self.may_ask(world, session) {
            actions.push(Action::Ask(session));
        }
        if self.may_admit_locally(world, session) {
            let owner = self.owner(session);
            if self.occupied(world, owner) < self.bounds.limit {
                actions.push(Action::AdmitLocally(session, None));
            } else {
                let victims = self.sessions_of(owner).filter(|&other| world.session(other).phase == Phase::Serving);
                actions.extend(victims.map(|victim| Action::AdmitLocally(session, Some(victim))));
            }
        }
    }

    /// A node with anything unasserted of this user does not go by grant: Redis does not know yet what it has.
    pub(crate) fn may_ask(&self, world: &World, session: u8) -> bool {
        let owner = self.owner(session);
        let doubtful = self.is(Mutant::AsksTwiceUnderOneLease) && world.session(session).phase == Phase::Doubtful;
        world.node(owner).contact == Contact::Steady
            && self.sessions_of(owner).all(|own| !world.session(own).owes)
            && (doubtful || matches!(world.session(session).phase, Phase::New | Phase::Waiting))
            && world.awaited[usize::from(session)].is_none()
    }

    /// Redis is away; or it is back, and the truth takes longer to rebuild than anybody should wait.
    pub(crate) fn may_admit_locally(&self, world: &World, session: u8) -> bool {
        let owner = self.owner(session);
        let unknown = match world.node(owner).contact {
            Contact::Away => true,
            Contact::Settling => world.redis.table[usize::from(owner)].contact >= self.bounds.grace,
            Contact::Steady => false,
        };
        unknown && !self.is(Mutant::RefusesWhenUnknown)
    }

    pub(crate) fn may_assert(&self, world: &World, session: u8) -> bool {
        let own = world.session(session);
        own.owes && own.phase == Phase::Serving && self.may_send(world, session)
    }

    pub(crate) fn may_release(&self, world: &World, session: u8) -> bool {
        let own = world.session(session);
        own.unreleased && own.phase == Phase::Gone && self.may_send(world, session)
    }

    fn may_send(&self, world: &World, session: u8) -> bool {
        world.node(self.owner(session)).contact != Contact::Away && world.awaited[usize::from(session)].is_none()
    }

    /// Sessions that count against a node's own limit.
    pub(crate) fn occupied(&self, world: &World, node: u8) -> u32 {
        let counts = |&session: &u8| matches!(world.session(session).phase, Phase::Serving | Phase::Pending);
        u32::try_from(self.sessions_of(node).filter(counts).count()).unwrap_or(u32::MAX)
    }

    /// Deadlines and renewals are kept by whoever runs: time waits for them.
    pub(crate) fn may_tick(&self, world: &World) -> bool {
        self.nodes().all(|node| {
            let own = world.node(node);
            let waits = self.sessions_of(node).any(|session| world.awaited[usize::from(session)].is_some());
            match own.life {
                Life::Stopped | Life::Killed => true,
                Life::Running if waits => false,
                Life::Running if world.reaches(node) => own.lag == 0 || !self.is_due(world, node),
                Life::Running => own.contact == Contact::Away,
            }
        })
    }

    /// Whether a renewal would do more than prolong the node's lease.
    pub(crate) fn is_due(&self, world: &World, node: u8) -> bool {
        let (own, entry) = (world.node(node), &world.redis.table[usize::from(node)]);
        own.contact != Contact::Steady
            || own.generation != world.redis.generation
            || !own.subscribed
            || !entry.registered
            || entry.lease == 0
            || entry.incarnation != own.incarnation
            || world.redis.dead.has(world.incarnation(node))
    }

    pub(crate) fn may_fail(&self, world: &World, fault: Fault) -> bool {
        world.faults < self.bounds.fault_count && self.bounds.faults.contains(&fault)
    }

    fn faults(&self, world: &World, actions: &mut Vec<Action>) {
        let mut events = Vec::new();
        for node in self.nodes() {
            let own = world.node(node);
            if own.life == Life::Stopped {
                events.push(Event::Continue(node));
            }
            if !own.linked {
                events.push(Event::Mend(node));
            }
            if own.life != Life::Running || own.incarnation + 1 == INCARNATIONS {
                continue;
            }
            let kinds = [
                (Fault::Kill, Event::Kill(node)),
                (Fault::Stop, Event::Stop(node)),
                (Fault::Cut, Event::Cut(node)),
                (Fault::Unsubscribe, Event::Unsubscribe(node)),
            ];
            events.extend(kinds.iter().filter(|(fault, _)| self.may_fail(world, *fault)).map(|(_, event)| *event));
        }
        if world.hung {
            events.push(Event::Resume);
        } else if self.may_fail(world, Fault::Hang) {
            events.push(Event::Hang);
        }
        if self.may_fail(world, Fault::Flush) && world.redis != Redis::empty(world.redis.server) {
            events.push(Event::Flush);
        }
        if world.replica.is_some() {
            events.push(Event::FailOver);
        } else if self.may_fail(world, Fault::Failover) {
            events.push(Event::BreakReplication);
        }
        actions.extend(events.into_iter().map(Action::Befall));
    }
}
