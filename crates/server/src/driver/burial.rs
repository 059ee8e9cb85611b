//! Whether a peer that was called dead was dead (hazard R7). What is counted is proven; what comes after the socket is gone
//! nobody can hear.
//!
//! ```text
//!  the gate: Bury(stalled)   -> does the socket take bytes at this moment?                      -> disproved
//!            Bury(half open) -> the kernel's unread bytes go to the task, which looks for frames -> on_words -> disproved
//!                               a frame that was read before, and waited for the shard's lock   -> on_words -> disproved
//! ```

use lychgate_core::{ConnectionId, Event, Heartbeat, Sign, UserId, ZombieKind};

use super::Shard;

/// Tears down the socket of a peer that was called dead; it is gone when this returns. Whether the verdict was right shows
/// now, for one that takes bytes again, or when its task reads what the peer had said before: see [`Shard::on_words`].
pub(super) fn bury(
    shard: &mut Shard,
    user: &UserId,
    connection: ConnectionId,
    kind: ZombieKind,
    events: &mut Vec<Event>,
) -> bool {
    let Some(link) = shard.links.get(&connection) else { return true };
    let takes_bytes = link.line.bury();
    match kind {
        ZombieKind::Stalled if takes_bytes => {
            events.push(Event::VerdictDisproved { user: user.clone(), connection, kind });
        }
        ZombieKind::HalfOpen => shard.buried.push((connection, kind)),
        // Whoever takes no bytes may speak as much as he likes, and the others have no socket.
        ZombieKind::Stalled | ZombieKind::Ghost | ZombieKind::Orphan | ZombieKind::StaleLease => {}
    }
    true
}

impl Shard {
    /// A connection spoke. Had it been called dead, it did so before its socket was gone: what its task reads afterwards
    /// had come before, so that silence was the wrong verdict (hazard R7).
    pub(super) fn on_words(&mut self, user: &UserId, connection: ConnectionId, heartbeat: Heartbeat, sign: Sign) {
        let is_life = heartbeat == Heartbeat::Protocol || sign != Sign::Pong;
        let place = self.buried.iter().position(|(buried, _)| *buried == connection).filter(|_| is_life);
        if let Some((connection, kind)) = place.map(|place| self.buried.swap_remove(place)) {
            self.disproved.push(Event::VerdictDisproved { user: user.clone(), connection, kind });
        }
    }
}
