//! What the protocol promises, each a property that the checker tries to refute.

use stateright::Property;

use crate::heal::{Outlook, admits, agrees, heal};
use crate::protocol::Protocol;
use crate::world::{Broken, Life, Phase, World};

/// I1: a grant of Redis never raises the number of sessions above the limit.
pub const NOT_OVER_THE_LIMIT: &str = "a grant never raises the truth above the limit";
/// The slack: without Redis each node still keeps the limit for itself, so there are never more than nodes x limit.
pub const NODES_KEEP_THE_LIMIT: &str = "no node serves more than the limit, but for what was taken and is not told yet";
/// R14, R16: what is over stays over.
pub const NOT_REVIVED: &str = "a lease that was taken or released is never held again";
/// R33: dead is who could have renewed and did not.
pub const NOT_BURIED_ALIVE: &str = "nobody is declared dead while Redis could hear him";
/// I4: nobody goes for nothing.
pub const TAKEN_FOR_A_NEWCOMER: &str = "a victim goes only for a newcomer who needs its place";
/// R33: only a tombstone closes.
pub const CLOSED_BY_TOMBSTONE: &str = "a session is closed only if its lease was taken";
/// I2, I6: after any faults Redis and the truth come to agree by themselves.
pub const CONVERGES: &str = "whatever happened, Redis comes to hold exactly what is served";
/// I3: nobody is locked out: not by the slots of the dead, not by an excess, not by Redis being away.
pub const ADMITS: &str = "whatever happened, a newcomer gets a place";
/// R15: without Redis nobody is closed and nobody refused.
pub const DARK_IS_HARMLESS: &str = "while Redis is away nobody is closed and nobody refused";

/// The slack is no larger than it must be: it is reached.
pub const SLACK_IS_REACHED: &str = "nodes x limit sessions are served";
/// What the model is about does happen in it: a dead node's place is taken.
pub const DEAD_GIVE_WAY: &str = "a lease of a killed node is taken";
/// And a running node closes because it was told.
pub const LIVING_ARE_FENCED: &str = "a running node closes a session whose lease was taken";

/// What must never be refuted.
pub const PROMISES: [&str; 9] = [
    NOT_OVER_THE_LIMIT,
    NODES_KEEP_THE_LIMIT,
    NOT_REVIVED,
    NOT_BURIED_ALIVE,
    TAKEN_FOR_A_NEWCOMER,
    CLOSED_BY_TOMBSTONE,
    CONVERGES,
    ADMITS,
    DARK_IS_HARMLESS,
];

/// What must be seen if any one fault may happen.
pub const WITNESSES: [&str; 3] = [SLACK_IS_REACHED, DEAD_GIVE_WAY, LIVING_ARE_FENCED];

pub(crate) fn properties() -> Vec<Property<Protocol>> {
    vec![
        Property::always(NOT_OVER_THE_LIMIT, |_, world: &World| world.broken != Some(Broken::OverTheLimit)),
        Property::always(NODES_KEEP_THE_LIMIT, nodes_keep_the_limit),
        Property::always(NOT_REVIVED, |_, world: &World| world.broken != Some(Broken::Revived)),
        Property::always(NOT_BURIED_ALIVE, |_, world: &World| world.broken != Some(Broken::BuriedAlive)),
        Property::always(TAKEN_FOR_A_NEWCOMER, |_, world: &World| world.broken != Some(Broken::TakenForNothing)),
        Property::always(CLOSED_BY_TOMBSTONE, |_, world: &World| world.broken != Some(Broken::ClosedUntold)),
        Property::always(CONVERGES, converges),
        Property::always(ADMITS, newcomers_are_admitted),
        Property::always(DARK_IS_HARMLESS, dark_is_harmless),
        Property::sometimes(SLACK_IS_REACHED, slack_is_reached),
        Property::sometimes(DEAD_GIVE_WAY, dead_give_way),
        Property::sometimes(LIVING_ARE_FENCED, living_are_fenced),
    ]
}

fn nodes_keep_the_limit(protocol: &Protocol, world: &World) -> bool {
    let taken = world.ever_taken.sessions();
    let served = world.served(protocol);
    protocol.nodes().all(|node| {
        let own =
            served.iter().filter(|lease| taken & (1 << lease.session) == 0 && protocol.owner(lease.session) == node);
        let own = own.count();
        own <= usize::try_from(protocol.bounds.limit).unwrap_or(usize::MAX)
    })
}

/// The ways in which it may go on. Without stopped nodes and late commands they are one.
fn outlooks(world: &World) -> &'static [Outlook] {
    let stopped = world.nodes.iter().any(|node| node.life == Life::Stopped);
    let late = world.late.iter().any(Option::is_some);
    if stopped || late { &[Outlook::Mended, Outlook::Abandoned] } else { &[Outlook::Mended] }
}

fn converges(protocol: &Protocol, world: &World) -> bool {
    world.broken.is_some()
        || outlooks(world).iter().all(|&outlook| {
            // A promise that is broken on the way is found by the checker when it goes that way.
            heal(protocol, world, outlook).is_some_and(|healed| healed.broken.is_some() || agrees(protocol, &healed))
        })
}

fn newcomers_are_admitted(protocol: &Protocol, world: &World) -> bool {
    world.broken.is_some()
        || outlooks(world).iter().all(|&outlook| {
            // Who does not converge breaks another promise.
            heal(protocol, world, outlook).is_none_or(|healed| healed.broken.is_some() || admits(protocol, &healed))
        })
}

fn dark_is_harmless(protocol: &Protocol, world: &World) -> bool {
    let Some(dark) = heal(protocol, world, Outlook::Dark).filter(|_| world.broken.is_none()) else {
        return world.broken.is_some();
    };
    let waits = |session: u8| {
        let running = world.node(protocol.owner(session)).life != Life::Killed;
        running && matches!(dark.session(session).phase, Phase::Pending | Phase::Waiting | Phase::Doubtful)
    };
    // A session may give way to a newcomer of its own node, by the local limit; nothing else ends.
    let closed = world.served(protocol).sessions() & !dark.served(protocol).sessions();
    let newcomers = dark.served(protocol).sessions() & !world.served(protocol).sessions();
    dark.broken.is_none()
        && !protocol.sessions().any(waits)
        && closed.count_ones() <= newcomers.count_ones()
        && admits(protocol, &dark)
}

fn slack_is_reached(protocol: &Protocol, world: &World) -> bool {
    usize::try_from(world.served(protocol).len() / protocol.bounds.limit) == Ok(protocol.bounds.nodes)
}

fn dead_give_way(protocol: &Protocol, world: &World) -> bool {
    let mut taken = world.redis.taken.iter();
    taken.any(|lease| world.node(protocol.owner(lease.session)).life == Life::Killed)
}

fn living_are_fenced(protocol: &Protocol, world: &World) -> bool {
    let mut taken = world.redis.taken.iter();
    taken.any(|lease| {
        let running = world.node(protocol.owner(lease.session)).life == Life::Running;
        running && world.session(lease.session).phase == Phase::Gone
    })
}
