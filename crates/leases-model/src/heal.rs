//! From any state: what becomes of it if nothing goes wrong any more.
//!
//! A checker of states cannot ask "is it right in the end" of a protocol that may run for ever. So every state is carried
//! on by one fair schedule, in which everything that can be done is done, until nothing changes.

use crate::action::{Action, Event};
use crate::ids::{Incarnation, Leases};
use crate::protocol::Protocol;
use crate::redis::Answer;
use crate::step::Step;
use crate::world::{Contact, Life, Phase, World};

/// What has become of the faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// All over: stopped nodes go on, and late commands never arrive.
    Mended,
    /// Stopped nodes never go on, and every late command arrives after everything else.
    Abandoned,
    /// Redis never answers again.
    Dark,
}

/// More rounds than any state needs; one that needs more does not converge.
const ROUNDS: usize = 40;

/// The state in which nothing changes any more, or none if there is none.
pub(crate) fn heal(protocol: &Protocol, world: &World, outlook: Outlook) -> Option<World> {
    let mut healing = Healing { protocol, world: *world };
    healing.begin(outlook);
    let settled = healing.until_still();
    if outlook != Outlook::Abandoned || settled.is_none() {
        return settled;
    }
    while let Some(index) = healing.world.late.iter().position(Option::is_some) {
        healing.act(Action::ArriveLate(index));
    }
    healing.until_still()
}

/// Whether a newcomer on each living node gets a place in a healed state; true where no newcomer is left.
pub(crate) fn admits(protocol: &Protocol, healed: &World) -> bool {
    protocol.nodes().filter(|&node| healed.node(node).life == Life::Running).all(|node| {
        let newcomer = protocol.sessions_of(node).find(|&session| healed.session(session).phase == Phase::New);
        newcomer.is_none_or(|session| {
            let mut healing = Healing { protocol, world: *healed };
            healing.open(session);
            let after = healing.until_still();
            after.is_some_and(|after| after.broken.is_some() || after.session(session).phase == Phase::Serving)
        })
    })
}

/// Whether Redis holds exactly what is served. Members of the dead do not count: whoever needs their place has it.
pub(crate) fn agrees(protocol: &Protocol, healed: &World) -> bool {
    let redis = &healed.redis;
    let buried = redis.held.iter().filter(|lease| {
        let owner = protocol.owner(lease.session);
        let killed = healed.node(owner).life == Life::Killed;
        killed || redis.dead.has(Incarnation { node: owner, number: lease.incarnation })
    });
    let buried = buried.fold(Leases::NONE, |set, lease| set.with(Leases::of(lease)));
    redis.held.without(buried) == healed.served(protocol)
}

struct Healing<'a> {
    protocol: &'a Protocol,
    world: World,
}

impl Healing<'_> {
    fn act(&mut self, action: Action) {
        self.world = Step::new(self.protocol, self.world).act(action);
    }

    fn begin(&mut self, outlook: Outlook) {
        // From here on nothing new goes wrong, and nothing of before is repeated.
        self.world.replica = None;
        for node in self.protocol.nodes() {
            match (self.world.node(node).life, outlook) {
                (Life::Stopped, Outlook::Abandoned) => {
                    self.world.nodes[usize::from(node)].life = Life::Killed;
                    for session in self.protocol.sessions_of(node) {
                        self.world.awaited[usize::from(session)] = None;
                    }
                }
                (Life::Stopped, Outlook::Mended | Outlook::Dark) => self.act(Action::Befall(Event::Continue(node))),
                (Life::Running | Life::Killed, _) => {}
            }
            self.act(Action::Befall(Event::Mend(node)));
        }
        self.world.hung = outlook == Outlook::Dark;
        if outlook == Outlook::Mended {
            self.world.late = Default::default();
        }
    }

    fn until_still(&mut self) -> Option<World> {
        for _ in 0..ROUNDS {
            let before = self.world;
            self.round();
            if self.world == before {
                return Some(before);
            }
        }
        None
    }

    fn round(&mut self) {
        for session in self.protocol.sessions() {
            self.carry(session);
        }
        for lease in self.world.notices.iter() {
            if self.protocol.hears(&self.world, lease) {
                self.act(Action::Hear(lease));
            }
        }
        for node in self.protocol.nodes() {
            if self.world.node(node).life != Life::Running {
                continue;
            }
            if self.world.reaches(node) {
                if self.protocol.is_due(&self.world, node) {
                    self.act(Action::Renew(node));
                }
            } else if self.world.node(node).contact != Contact::Away {
                self.act(Action::FindAway(node));
            }
        }
        if self.protocol.may_tick(&self.world) {
            self.act(Action::Tick);
        }
    }

    /// Does what can be done for one session, except that it is neither begun nor ended.
    fn carry(&mut self, session: u8) {
        let owner = self.protocol.owner(session);
        if self.world.node(owner).life != Life::Running {
            return;
        }
        let reached = self.world.reaches(owner);
        if self.world.awaited[usize::from(session)].is_some() {
            if reached {
                self.act(Action::Arrive(session));
                self.act(Action::Answer(session, self.victims(session)));
            } else {
                self.act(Action::TimeOut(session));
            }
        }
        if self.world.awaited[usize::from(session)].is_some() {
            return;
        }
        if matches!(self.world.session(session).phase, Phase::Waiting | Phase::Doubtful) {
            self.open(session);
        } else if self.protocol.may_assert(&self.world, session) {
            self.act(Action::Assert(session));
        } else if self.protocol.may_release(&self.world, session) {
            self.act(Action::Release(session));
        }
    }

    fn victims(&self, session: u8) -> Leases {
        let answer = self.world.awaited[usize::from(session)].and_then(|flight| flight.answer);
        let Some(Answer::Denied { holders }) = answer else {
            return Leases::NONE;
        };
        holders.choices(self.protocol.surplus(holders.len())).next().unwrap_or(Leases::NONE)
    }

    fn open(&mut self, session: u8) {
        if self.protocol.may_ask(&self.world, session) {
            self.act(Action::Ask(session));
        } else if self.protocol.may_admit_locally(&self.world, session) {
            let owner = self.protocol.owner(session);
            let full = self.protocol.occupied(&self.world, owner) >= self.protocol.bounds.limit;
            let serving = |&other: &u8| self.world.session(other).phase == Phase::Serving;
            let victim = self.protocol.sessions_of(owner).find(serving).filter(|_| full);
            self.act(Action::AdmitLocally(session, victim));
        } else if self.world.session(session).phase == Phase::Doubtful {
            self.act(Action::GiveUp(session));
        }
    }
}
