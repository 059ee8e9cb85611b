//! What may be asked of whom: who reaches Redis without delay, and since when.

use std::collections::BTreeSet;
use std::time::Duration;

use lychgate_core::{SessionKey, Time, UserId};

use super::{Mark, Oracle, Rule};

/// Whoever reaches Redis for so long without delay, and none was lost or put back meanwhile, counts with the others: a node
/// lease, the whole wait of a newcomer who came just before that was over, and a beat.
const COUNTS_AFTER: Duration = Duration::from_millis(10_000 + 12_500 + 1_000);

/// A node lease, by the fastest clock.
const DEAD_AFTER: Duration = Duration::from_secs(9);

/// After so long without trouble every node has seen every other one in the table.
const MEETS_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub(super) struct Calm {
    /// Whether all nodes have met since something was last done to one, or to the network.
    have_met: bool,
    /// When the last data set was lost.
    lost_at: Time,
    /// Since when Redis itself answers without delay.
    redis_since: Option<Time>,
    /// Since when everybody who runs reaches it, and nothing was done to anybody.
    quiet_since: Option<Time>,
    /// When something was done to a node, the network or Redis.
    trouble_at: Time,
    /// When Redis' clock was set: what it lets run out nobody waits for.
    clock_set: Option<Time>,
    /// By how much Redis' clock was put back: what runs out there lasts so much longer.
    put_back: Duration,
    /// Processes that stand still.
    still: BTreeSet<usize>,
    /// Since when each node and Redis reach each other without delay.
    seats: Vec<Option<Time>>,
}

impl Calm {
    pub(super) fn lost(&mut self, now: Time) {
        self.lost_at = now;
    }

    pub(super) fn stood_still(&mut self, seat: usize) {
        self.still.remove(&seat);
    }

    pub(super) fn is_still(&self, seat: usize) -> bool {
        self.still.contains(&seat)
    }

    pub(super) fn since(&self, seat: usize) -> Option<Time> {
        self.seats.get(seat).copied().flatten()
    }

    /// Whether nothing was done to anybody for so long.
    pub(super) fn is_quiet_for(&self, now: Time, span: Duration) -> bool {
        self.quiet_since.is_some_and(|since| now.since(since.max(self.trouble_at)) >= span)
    }
}

impl Oracle {
    /// How Redis is, and since when each node that runs reaches it without delay.
    pub(in super::super) fn disturbed(&mut self, now: Time, is_disturbed: bool, seats: Vec<Option<Time>>) {
        let is_quiet = !is_disturbed && seats.iter().all(Option::is_some);
        let since = |is_calm: bool, since: Option<Time>| is_calm.then(|| since.unwrap_or(now));
        self.calm.redis_since = since(!is_disturbed, self.calm.redis_since);
        self.calm.quiet_since = since(is_quiet, self.calm.quiet_since);
        self.calm.seats = seats;
    }

    pub(in super::super) fn clock_set(&mut self, now: Time, back: Duration) {
        self.calm.clock_set = Some(now);
        self.calm.put_back += back;
    }

    /// Something is done to a node, the network or Redis.
    pub(in super::super) fn trouble(&mut self, now: Time, is_of_redis: bool) {
        self.calm.trouble_at = now;
        self.calm.have_met &= is_of_redis;
    }

    pub(super) fn watch_meeting(&mut self, now: Time) {
        self.calm.have_met |= self.calm.is_quiet_for(now, MEETS_AFTER);
    }

    pub(in super::super) fn stands_still(&mut self, seat: usize) {
        self.calm.still.insert(seat);
    }

    /// A grant: whoever reached Redis all the time since the loss has told what he holds.
    pub(super) fn judge_told(&mut self, now: Time, user: &UserId) {
        let Some(redis) = self.calm.redis_since else { return };
        // Nobody waits for whom he has not seen. A clock that jumps ahead makes every node lease run out, and the data set old.
        if !self.calm.have_met || self.calm.clock_set > Some(self.calm.lost_at) {
            return;
        }
        // Who could not say what he holds for as long as a lease lasts is taken for dead.
        if redis > self.calm.lost_at && now.since(self.calm.lost_at) >= DEAD_AFTER {
            return;
        }
        let since = self.calm.lost_at.max(redis);
        let mut lost = self.places.iter().filter(|(_, place)| place.mark == Mark::Lost && place.user == *user);
        let untold = lost.find(|(_, place)| self.calm.since(place.seat).is_some_and(|calm| calm <= since));
        if let Some((lease, seat)) = untold.map(|(lease, place)| (*lease, place.seat)) {
            self.fail(Rule::Told, now, || {
                format!("{user} was granted a place before n{seat} had told that it holds {lease}")
            });
        }
    }

    /// An admission by a node's own count.
    pub(super) fn judge_alone(&mut self, now: Time, seat: usize, key: &SessionKey) {
        let since = self.calm.since(seat).map(|since| since.max(self.calm.lost_at).max(self.calm.trouble_at));
        if since.is_some_and(|since| now.since(since) > COUNTS_AFTER + self.calm.put_back) {
            self.fail(Rule::Alone, now, || format!("n{seat} admitted {key} by its own count, though Redis answers"));
        }
    }
}
