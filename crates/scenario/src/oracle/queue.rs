//! The rules of the queue: in order, bounded, told, and nobody taken over too early.

use std::time::Duration;

use lychgate_core::{ConnectionId, SessionKey, ThreadId};

use super::{LATE, Oracle, Reach, Rule, knowledge_ends};
use crate::model::{Moment, Place};

impl Oracle {
    /// Somebody is told his position, and how long he waits at most.
    pub(super) fn queued(
        &mut self,
        now: Moment,
        key: &SessionKey,
        connection: ConnectionId,
        reference: &str,
        (position, deadline): (usize, Duration),
    ) {
        let Some((user, number)) = self.same_user(now, key.user(), connection) else {
            return;
        };
        self.turn.touch(user);
        let limits = self.model.limits(user);
        let (queue_deadline, budget) = (limits.queue_deadline, limits.admission_budget);
        let places = &mut self.model.users[user].places;
        let asks = |it: &&mut crate::model::Ask| it.connection == number && *it.reference == *reference;
        let found = places.iter_mut().enumerate().find_map(|(index, place)| {
            let (is_new, since) = (!place.told, place.since);
            let ask = place.asks.iter_mut().find(asks)?;
            ask.told = Some(position);
            place.told = true;
            Some((index + 1, is_new, since, place.thread.clone()))
        });
        let Some((place, is_new, since, thread)) = found else {
            let thread = key.thread();
            return self.fail(Rule::Queue, now, || format!("{connection} is told that it waits for {thread}"));
        };
        if place != position {
            self.fail(Rule::Queue, now, || format!("{connection} is told position {position}, and stands at {place}"));
        }
        let end = now.at + deadline;
        if end < since.at + queue_deadline || end > since.at + budget {
            let waited = now.at.since(since.at);
            self.fail(Rule::Queue, now, || {
                format!("{connection} is told to wait {deadline:?} at most, after {waited:?}")
            });
        }
        self.tally.reach(if is_new { Reach::Queued } else { Reach::MovedUp });
        if is_new && place == 1 {
            self.queued_for_cause(now, user, &thread);
        }
    }

    /// Whoever stands first in the queue stands there because nothing else was left. Where somebody else was admitted in
    /// the same turn another session may have lost its pin: it is asked for next.
    fn queued_for_cause(&mut self, now: Moment, user: usize, thread: &ThreadId) {
        if self.turn.created.contains(&user) {
            return;
        }
        if let Some(choice) = self.choice_left(now, user, thread).cloned() {
            self.fail(Rule::Queue, now, || {
                format!("user {user} has to wait for {thread}, though session {choice} is not protected")
            });
        }
        if self.is_reserve_free(now, user) {
            self.fail(Rule::Queue, now, || {
                format!("user {user} has to wait for {thread}, though the reserve has room")
            });
        }
    }

    /// Whoever gets a slot is the first of those who wait.
    pub(super) fn served_in_order(&mut self, now: Moment, user: usize, thread: &ThreadId) {
        let first = self.model.users[user].places.first().map(|place| &place.thread);
        if first != Some(thread) {
            let first = first.cloned();
            self.fail(Rule::Queue, now, || {
                format!("user {user} got a slot for {thread}, but the first who waits is {first:?}")
            });
        }
    }

    /// A protected session was taken over: only at the end of the first one's time, or because too many wait.
    pub(super) fn taken_over(&mut self, now: Moment, user: usize) {
        self.tally.reach(Reach::TakeOver);
        let places = &self.model.users[user].places;
        let most = self.model.limits(user).max_waiting_opens_per_user;
        let too_early = places.first().is_some_and(|first| !self.is_due(now, user, first)) && places.len() <= most;
        if too_early {
            self.fail(Rule::Queue, now, || format!("user {user} lost a protected session before the queue's deadline"));
        }
        if self.is_reserve_free(now, user) {
            self.fail(Rule::Reserve, now, || {
                format!("user {user} lost a protected session, though the reserve has room")
            });
        }
    }

    /// Whether a place has waited for as long as it has to.
    pub(super) fn is_due(&self, now: Moment, user: usize, place: &Place) -> bool {
        now.at.since(place.since.at) >= self.model.limits(user).queue_deadline
    }

    /// Once somebody was told a position everybody who asks for the same thread knows his, and it is the right one.
    pub(super) fn settle_places(&mut self, now: Moment, user: usize) {
        let places = &self.model.users[user].places;
        let most = self.model.limits(user).max_waiting_opens_per_user;
        if places.len() > most {
            let waiting = places.len();
            self.fail(Rule::Queue, now, || format!("{waiting} threads of user {user} wait, of at most {most}"));
            return;
        }
        let unaware = places.iter().enumerate().filter(|(_, place)| place.told).find_map(|(index, place)| {
            let ask = place.asks.iter().find(|ask| ask.told != Some(index + 1))?;
            Some((ask.id, index + 1, ask.told))
        });
        if let Some((id, stands, told)) = unaware {
            self.fail(Rule::Queue, now, || format!("{id} stands at position {stands}, and was told {told:?} last"));
        }
    }

    /// Time has passed: everybody has his answer, and who waits longer than a ladder takes knows his position.
    pub(super) fn overdue_places(&mut self, now: Moment) {
        for user in 0..self.model.users.len() {
            let Some(place) = self.model.users[user].places.first() else { continue };
            let limits = self.model.limits(user);
            let waited = now.at.since(place.since.at);
            let ends = knowledge_ends(limits);
            let ladder_ran = now.ran.since(place.since.ran) > limits.ladder_deadline + LATE;
            let thread = place.thread.clone();
            if waited > limits.admission_budget {
                self.fail(Rule::Answer, now, || format!("open {thread} of user {user} has no answer after {waited:?}"));
            } else if !place.told && (ladder_ran || waited > ends + LATE) {
                self.fail(Rule::Queue, now, || {
                    format!("open {thread} of user {user} waits for {waited:?} and was told nothing")
                });
            }
        }
    }
}
