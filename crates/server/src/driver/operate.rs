//! What operators, and whoever revokes, ask of the gates; and what a node does that stops.

use std::collections::HashSet;
use std::time::Duration;

use lychgate_core::{
    ConnectionId, Event, EvictReason, Eviction, Input, Plans, Proof, ReclaimLevel, SessionKey, Usage, UserBrief,
    UserId, UserReport,
};

use super::drain::say_to;
use super::{Driver, Shard, lock};
use crate::wire::{self, Notice, millis};

/// Users that are looked at under one lock.
const USERS_PER_LOOK: usize = 64;

/// Where a walk through all users goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Which shard.
    pub shard: usize,
    /// Which place in it.
    pub slot: usize,
}

impl Driver {
    /// What is known of a user on this node, if only that a limit was lent to him; none where nothing is.
    #[must_use]
    pub fn report(&self, user: &UserId) -> Option<UserReport> {
        self.shard(user).gate.report(user)
    }

    /// What so many sessions are against the user's limit: for whoever knows better than this node how many he holds on others.
    #[must_use]
    pub fn usage_of(&self, user: &UserId, used: usize) -> Usage {
        self.shard(user).gate.limits(user).usage(used)
    }

    /// What is known of the next users from a place on, at most `count` of them, and where to go on; none at the end. One
    /// shard is locked at a time and for a few users only (hazard R13); whoever is here all the time is met exactly once.
    #[must_use]
    pub fn reports(&self, from: Place, count: usize) -> (Vec<UserReport>, Option<Place>) {
        let mut found = Vec::new();
        let mut at = from;
        while let Some(shard) = self.shards.get(at.shard) {
            if found.len() >= count {
                return (found, Some(at));
            }
            let (reports, next) = lock(shard).gate.reports(at.slot, USERS_PER_LOOK.min(count - found.len()));
            found.extend(reports);
            at = match next {
                Some(slot) => Place { slot, ..at },
                None => Place { shard: at.shard + 1, slot: 0 },
            };
        }
        (found, None)
    }

    /// A line about each of the users at the next places of one shard whom `wanted` says yes to, at most `count` places and
    /// [`USERS_PER_LOOK`], and where to go on; none at the end. Looks under one lock, at nobody twice, and copies nobody else:
    /// whoever walks through all users calls this again and again (hazard R13).
    pub fn briefs(
        &self,
        from: Place,
        count: usize,
        wanted: impl FnMut(&UserId, Usage) -> bool,
    ) -> (Vec<UserBrief>, Option<Place>) {
        let Some(shard) = self.shards.get(from.shard) else { return (Vec::new(), None) };
        let (briefs, next) = lock(shard).gate.briefs(from.slot, count.min(USERS_PER_LOOK), wanted);
        let next = match next {
            Some(slot) => Place { slot, ..from },
            None => Place { shard: from.shard + 1, slot: 0 },
        };
        (briefs, (next.shard < self.shards.len()).then_some(next))
    }

    /// Ends a session: `closed` on every connection that shows it. False where there was none.
    pub fn end(&self, key: &SessionKey, reason: EvictReason) -> bool {
        let mut was_there = false;
        self.with_shard(key.user(), |shard| {
            was_there = shard.gate.session_keys(key.user()).contains(key);
            Some(Input::End { key: key.clone(), reason })
        });
        was_there
    }

    /// Has a user's sessions reclaimed as far as `level` goes, and answers what went at once. At
    /// [`ReclaimLevel::Aggressive`] everybody is asked first, and whoever does not answer goes when the probe's time is
    /// over, which [`Driver::explain`] then tells.
    pub fn reclaim(&self, user: &UserId, level: ReclaimLevel) -> Vec<(SessionKey, Eviction)> {
        let events = self.with_shard(user, |_| Some(Input::Reclaim { user: user.clone(), level }));
        let evicted = |event| {
            let Event::SessionEvicted { key, eviction, .. } = event else { return None };
            Some((key, eviction))
        };
        events.into_iter().filter_map(evicted).collect()
    }

    /// Lends a user another limit on sessions for a while, or takes it back (none). Answers the limit in force now, which
    /// is another one where the lent one would contradict the user's other limits.
    pub fn lend_limit(&self, user: &UserId, sessions: Option<usize>, lasting: Duration) -> usize {
        self.input(user, Input::Lend { user: user.clone(), sessions, lasting });
        self.usage(user).limit
    }

    /// Lends a user a higher limit, and answers as [`Driver::lend_limit`] does; none, and nothing is changed, where the limit in
    /// force is as high already. One lock is held meanwhile: what an operator lent a moment ago is never lowered.
    pub fn raise_limit(&self, user: &UserId, sessions: usize, lasting: Duration) -> Option<usize> {
        let mut is_higher = false;
        self.with_shard(user, |shard| {
            is_higher = sessions > shard.gate.usage(user).limit;
            is_higher.then(|| Input::Lend { user: user.clone(), sessions: Some(sessions), lasting })
        });
        is_higher.then(|| self.usage(user).limit)
    }

    /// Puts other limits in force, for everybody and by plan; evicts nobody by itself.
    pub fn replace_plans(&self, plans: &Plans) {
        for shard in &self.shards {
            self.act(shard, |shard, now| shard.gate.replace_plans(now, plans.clone()));
        }
    }

    /// Closes the connections that something revoked let in, and answers how many. `is_hit` is asked under a shard's lock,
    /// and must not call back.
    pub fn expel(&self, reason: EvictReason, is_hit: impl Fn(&UserId, Proof) -> bool) -> usize {
        let mut closed = 0;
        for shard in &self.shards {
            let hit = {
                let shard = lock(shard);
                let mut hit = shard.gate.connections();
                hit.retain(|(user, connection)| {
                    let link = shard.links.get(connection);
                    link.is_some_and(|link| link.proofs(reason).any(|proof| is_hit(user, proof)))
                });
                hit
            };
            closed += hit.len();
            for (user, connection) in hit {
                self.input(&user.clone(), Input::Expel { user, connection, reason });
            }
        }
        closed
    }

    /// The same for the connections of one user: nobody else is looked at (hazard R13).
    pub fn expel_user(&self, user: &UserId, reason: EvictReason, is_hit: impl Fn(Proof) -> bool) -> usize {
        let hit: Vec<ConnectionId> = {
            let shard = self.shard(user);
            let mut his = shard.gate.connections_of(user);
            his.retain(|connection| shard.links.get(connection).is_some_and(|link| link.proofs(reason).any(&is_hit)));
            his
        };
        for connection in &hit {
            self.input(user, Input::Expel { user: user.clone(), connection: *connection, reason });
        }
        hit.len()
    }

    /// The ids of all proofs that hold a connection open. One shard is locked at a time.
    #[must_use]
    pub fn proofs(&self) -> HashSet<u64> {
        let mut proofs = HashSet::new();
        for shard in &self.shards {
            proofs.extend(
                lock(shard).links.values().flat_map(|link| link.proofs(EvictReason::LoggedOut)).map(|proof| proof.id),
            );
        }
        proofs
    }

    /// Admits nobody new any more; whoever asks is told to come back, elsewhere, after about `retry_in`.
    pub fn drain(&self, retry_in: Duration) {
        for shard in &self.shards {
            self.change(shard, |_| Some(Input::Drain { retry_in }));
        }
    }

    /// Every connection with its user.
    #[must_use]
    pub fn connections(&self) -> Vec<(UserId, ConnectionId)> {
        self.shards.iter().flat_map(|shard| lock(shard).gate.connections()).collect()
    }

    /// Tells a connection to move to another node after `retry_in`, before it is closed after `deadline`.
    pub fn invite_to_move(&self, user: &UserId, connection: ConnectionId, retry_in: Duration, deadline: Duration) {
        let (retry_in, deadline) = (millis(retry_in), millis(deadline));
        let notice = Notice::Reconnect { why: "draining", retry_in, deadline };
        say_to(&self.shard(user), connection, &wire::Server::Notice(notice));
    }

    /// Whether a connection shows a run in flight.
    #[must_use]
    pub fn shows_a_run(&self, user: &UserId, connection: ConnectionId) -> bool {
        self.shard(user).gate.shows_a_run(user, connection)
    }

    /// Closes a connection of a node that drains, unless it shows a run in flight, which may still end. True when it is
    /// closed, or was already.
    pub fn send_away(&self, user: &UserId, connection: ConnectionId) -> bool {
        let mut goes = false;
        self.with_shard(user, |shard: &mut Shard| {
            goes = !shard.gate.shows_a_run(user, connection);
            let reason = EvictReason::Draining;
            goes.then(|| Input::Expel { user: user.clone(), connection, reason })
        });
        goes
    }

    /// Closes every connection, each with its close handshake.
    pub fn close_all(&self, reason: EvictReason) {
        self.expel(reason, |_, _| true);
    }
}
