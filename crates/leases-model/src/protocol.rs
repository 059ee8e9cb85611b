//! The model as the checker sees it: first state, actions, steps, promises.

use stateright::{Model, Property};

use crate::action::Action;
use crate::bounds::Bounds;
use crate::mutant::Mutant;
use crate::promise;
use crate::step::Step;
use crate::world::World;

/// The lease protocol within bounds, with at most one mistake in it.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// How much of it is looked at.
    pub bounds: Bounds,
    /// The mistake; none in the protocol as it is built.
    pub mutant: Option<Mutant>,
}

impl Protocol {
    /// As it is built.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, mutant: None }
    }

    /// With a mistake.
    pub fn with_mutant(bounds: Bounds, mutant: Mutant) -> Self {
        Self { bounds, mutant: Some(mutant) }
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub(crate) fn owner(&self, session: u8) -> u8 {
        self.bounds.owner(session)
    }

    /// How many places a newcomer must free, if so many are held.
    pub(crate) fn surplus(&self, held: u32) -> u32 {
        let one = self.is(Mutant::SwapOfOneVictim);
        if one { held.min(1) } else { (held + 1).saturating_sub(self.bounds.limit) }
    }

    pub(crate) fn sessions(&self) -> std::ops::Range<u8> {
        0..u8::try_from(self.bounds.owners.len()).unwrap_or(0)
    }

    pub(crate) fn sessions_of(&self, node: u8) -> impl Iterator<Item = u8> {
        self.sessions().filter(move |&session| self.owner(session) == node)
    }

    pub(crate) fn nodes(&self) -> std::ops::Range<u8> {
        0..u8::try_from(self.bounds.nodes).unwrap_or(0)
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.broken.is_none() {
            self.enabled(world, actions);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let next = Step::new(self, *world).act(action);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promise::properties()
    }
}
