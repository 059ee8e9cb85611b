//! Those who wait for a slot, in the order in which they came.
//!
//! ```text
//!  open --> climbing (ladder_deadline) --> queued, told its position --> one more probe --> (queue_deadline) takeover
//!              '-- a slot, or the reserve        '-- a slot                                              or refusal
//! ```

use smallvec::SmallVec;

use crate::context::SessionContext;
use crate::gate::io::Resume;
use crate::id::{ConnectionId, ThreadId};
use crate::lease::{Claim, Lease};
use crate::limits::Limits;
use crate::timer::{Awake, Clock, Time};

/// A connection that asked for the thread that a waiter waits for.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) context: SessionContext,
    pub(crate) reference: Option<Box<str>>,
    pub(crate) resume: Option<Resume>,
    /// When it asked.
    pub(crate) since: Time,
    /// The position that it was told.
    pub(crate) told: Option<usize>,
    /// See [`crate::gate::io::Event::SessionCreated`].
    pub(crate) was_full: bool,
}

/// A thread that found no slot yet, and everybody who asked for it; never nobody.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) askers: SmallVec<[Asker; 1]>,
    /// When the first one asked, as people count it.
    pub(crate) since: Time,
    /// When the first one asked, on the clock of silence: a stall of ours takes no time from the ladder, or we would
    /// take a live session before the dead had their chance to be found (I4).
    pub(crate) since_awake: Awake,
    /// Its ladder found nobody; it stands in the queue.
    pub(crate) queued: bool,
    /// When the last round before the end of its time in the queue began: what was known when it was queued is old by
    /// then, and a session that died since must go before one that lives (I4).
    pub(crate) asked_last: Option<Awake>,
    /// How far it is with its lease.
    pub(crate) claim: Claim,
    /// The lease of its unanswered question, under which it is admitted all the same.
    pub(crate) lease: Option<Lease>,
    /// When other nodes were asked last.
    pub(crate) asked: Time,
    /// How often they denied it a place.
    pub(crate) denials: u8,
}

impl Waiter {
    pub(crate) fn new(first: Asker, claim: Claim, clock: &Clock) -> Self {
        let askers = SmallVec::from_buf([first]);
        let (since, since_awake) = (clock.now, clock.awake());
        Self {
            askers,
            since,
            since_awake,
            queued: false,
            asked_last: None,
            claim,
            lease: None,
            asked: since,
            denials: 0,
        }
    }

    /// Whether other nodes were asked and have not answered, or are asked again in a moment.
    pub(crate) fn is_asking(&self) -> bool {
        matches!(self.claim, Claim::Asked(_) | Claim::Hearing | Claim::TooLate)
    }

    /// When other nodes are asked once more; none while they were not, or did not deny it.
    pub(crate) fn asks_again(&self, limits: &Limits) -> Option<Time> {
        match self.claim {
            Claim::TooLate => Some(self.asked + limits.probe_gap),
            Claim::Denied if self.queued => Some(self.asked + limits.probe_deadline),
            Claim::Denied | Claim::Alone | Claim::Unasked | Claim::Asked(_) | Claim::Hearing => None,
        }
    }

    /// Whether somebody has to make room for it, as far as is known.
    pub(crate) fn climbs(&self) -> bool {
        !self.queued && matches!(self.claim, Claim::Alone | Claim::Denied)
    }

    pub(crate) fn thread(&self) -> &ThreadId {
        self.askers[0].context.thread()
    }

    pub(crate) fn is_asked_by(&self, connection: ConnectionId) -> bool {
        self.askers.iter().any(|asker| asker.context.connection() == connection)
    }

    /// One more open of the thread. One that repeats another, or finds `most` of them, takes the place of the last one of
    /// its connection.
    pub(crate) fn join(&mut self, mut asker: Asker, most: usize) {
        let connection = asker.context.connection();
        let is_full = self.askers.len() >= most;
        let replaced =
            self.askers.iter_mut().rev().find(|known| {
                known.context.connection() == connection && (is_full || known.reference == asker.reference)
            });
        match replaced {
            Some(known) => {
                asker.since = known.since;
                asker.was_full = known.was_full;
                *known = asker;
            }
            None => self.askers.push(asker),
        }
    }

    /// When its questions end, those of its ladder or the last ones: after the deadline in time that we ran. Our own stalls
    /// stretch that, but no further than half-way between the end of the queue and the budget of the whole admission.
    fn asks_until(&self, clock: &Clock, limits: &Limits) -> Time {
        let latest = (limits.queue_deadline + limits.admission_budget) / 2;
        let answered = match self.asked_last {
            None => self.since_awake + limits.ladder_deadline,
            Some(asked) => asked + limits.probe_deadline,
        };
        clock.wall(answered).min(self.since + latest)
    }

    /// When it waits no longer, whatever that takes. Nobody is taken over before the dead had their chance to be found.
    pub(crate) fn gives_up(&self, clock: &Clock, limits: &Limits) -> Time {
        (self.since + limits.queue_deadline).max(self.asks_until(clock, limits))
    }

    /// When everybody is asked once more for its sake, so that the answers are in when it gives up; none while its
    /// ladder lasts, and once they were asked.
    pub(crate) fn asks_last(&self, limits: &Limits) -> Option<Time> {
        (self.queued && self.asked_last.is_none()).then(|| self.since + (limits.queue_deadline - limits.probe_deadline))
    }

    /// When it falls due: the end of its ladder, then the last questions, then the end of its time in the queue.
    pub(crate) fn deadline(&self, clock: &Clock, limits: &Limits) -> Time {
        match (self.queued, self.asks_last(limits)) {
            (false, _) => self.asks_until(clock, limits),
            (true, Some(asks)) => asks,
            (true, None) => self.gives_up(clock, limits),
        }
    }
}

/// A probe of every connection of a user: two pings, `probe_gap` apart, to be answered until `probe_deadline`. An
/// admission trusts only a round that began after it asked.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) started: Time,
    pub(crate) started_awake: Awake,
    pub(crate) second_asked: bool,
    /// An operator asked for it: at its end, whatever is found dead or suspect goes, whether anybody waits for a slot or not.
    pub(crate) reclaims: bool,
    pub(crate) asked: Vec<Asked>,
}

/// One connection in a round.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) connection: ConnectionId,
    /// When the kernel took its pings.
    pub(crate) written: SmallVec<[Awake; 2]>,
}

/// The time in which a user may hold more than his limit (M14).
///
/// ```text
///  first admission           window over: takes no more      back at the limit for as long as a window
///        | takes newcomers          |                                         |
///        o--------------------------o-----------------------------------------o  may open again
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reserve {
    opened: Time,
    /// Since when the user has been at or below his limit.
    back_since: Option<Time>,
}

impl Reserve {
    pub(crate) fn open(now: Time) -> Self {
        Self { opened: now, back_since: None }
    }

    /// For how long it takes newcomers still.
    pub(crate) fn left(&self, now: Time, limits: &Limits) -> Option<std::time::Duration> {
        let left = (self.opened + limits.reserve_window).since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Notes whether the user is above his limit.
    pub(crate) fn note(&mut self, is_above: bool, now: Time) {
        match is_above {
            true => self.back_since = None,
            false => _ = self.back_since.get_or_insert(now),
        }
    }

    /// Whether it may open again.
    pub(crate) fn is_over(&self, now: Time, limits: &Limits) -> bool {
        let is_back = |since| now.since(since) >= limits.reserve_window;
        self.left(now, limits).is_none() && self.back_since.is_some_and(is_back)
    }

    /// When it changes next by itself.
    pub(crate) fn deadline(&self, now: Time, limits: &Limits) -> Option<Time> {
        match self.left(now, limits) {
            Some(left) => Some(now + left),
            None => self.back_since.map(|since| since + limits.reserve_window),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_window_is_not_extended_by_those_who_come_into_it() {
        let limits = Limits::default();
        let mut reserve = Reserve::open(at(100));
        reserve.note(true, at(159));
        assert_eq!(reserve.left(at(159), &limits), Some(Duration::from_secs(1)));
        assert_eq!(reserve.left(at(160), &limits), None);
    }

    #[test]
    fn it_opens_again_a_window_after_the_user_came_back_to_his_limit_and_not_while_he_is_above() {
        let limits = Limits::default();
        let mut reserve = Reserve::open(at(0));
        reserve.note(true, at(0));
        assert!(!reserve.is_over(at(500), &limits), "above the limit: closed, however long");
        reserve.note(false, at(600));
        reserve.note(false, at(630));
        assert!(!reserve.is_over(at(659), &limits));
        assert!(reserve.is_over(at(660), &limits));
    }

    #[test]
    fn somebody_who_was_back_early_waits_for_the_end_of_the_window_at_least() {
        let limits = Limits::default();
        let mut reserve = Reserve::open(at(0));
        reserve.note(false, at(1));
        assert!(!reserve.is_over(at(60), &limits));
        assert!(reserve.is_over(at(61), &limits));
    }
}
