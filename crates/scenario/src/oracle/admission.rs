//! The rules about beginnings: by which path a session may come into being, what its user is told of his limit, and who
//! may be refused.

use lychgate_core::{AdmissionPath, ConnectionId, Force, Mode, Refusal, ThreadId, Usage, UserId};

use super::{Oracle, Reach, Rule};
use crate::model::{Moment, Standing};

impl Oracle {
    pub(super) fn created(&mut self, now: Moment, user: usize, thread: &ThreadId, path: AdmissionPath) {
        self.tally.created += 1;
        self.turn.touch(user);
        self.turn.created.push(user);
        self.served_in_order(now, user, thread);
        if path == AdmissionPath::Reserve {
            self.entered_reserve(now, user, thread);
        }
        let above_before = self.model.users[user].held();
        if !self.model.create(user, thread, now) {
            self.fail(Rule::Pairing, now, || format!("session {thread} of user {user} was created twice"));
        }
        let limits = self.model.limits(user);
        let (limit, reserve, mode, ceiling) =
            (limits.max_sessions_per_user, limits.reserve_sessions, limits.mode, limits.ceiling());
        let held = self.model.users[user].held();
        // One newcomer costs one session where there is no room.
        let paid = match path {
            AdmissionPath::Reclaimed(_) | AdmissionPath::Queue => {
                self.turn.evictions.iter().rposition(|payer| *payer == user)
            }
            AdmissionPath::Attach
            | AdmissionPath::Takeover
            | AdmissionPath::Free
            | AdmissionPath::Reserve
            | AdmissionPath::Shadow => None,
        };
        let has_room = match path {
            AdmissionPath::Attach | AdmissionPath::Takeover => false,
            AdmissionPath::Free => held <= limit,
            AdmissionPath::Reclaimed(_) | AdmissionPath::Queue => held <= limit || paid.is_some(),
            AdmissionPath::Reserve => held <= limit + reserve,
            AdmissionPath::Shadow => mode == Mode::Shadow && held <= ceiling,
        };
        if let Some(paid) = paid {
            self.turn.evictions.swap_remove(paid);
        }
        if !has_room {
            self.fail(Rule::Limit, now, || {
                format!("user {user} holds {held} sessions by {path:?}, of at most {limit}, before it {above_before}")
            });
        }
        self.reached_path(path);
        match path {
            AdmissionPath::Shadow if !self.turn.would.contains(&user) => {
                self.fail(Rule::Policy, now, || {
                    format!("user {user} is above his limit in shadow mode, and nobody was told what it would cost")
                });
            }
            AdmissionPath::Attach
            | AdmissionPath::Takeover
            | AdmissionPath::Free
            | AdmissionPath::Reclaimed(_)
            | AdmissionPath::Reserve
            | AdmissionPath::Queue
            | AdmissionPath::Shadow => {}
        }
    }

    /// An admission says whether its user was full when it was asked for.
    pub(super) fn prevents_a_lockout(&mut self, now: Moment, user: usize, thread: &ThreadId, was_full: bool) {
        let place = self.model.users[user].places.iter().find(|place| place.thread == *thread);
        let truly = place.and_then(|place| place.asks.first()).map(|ask| ask.was_full);
        if truly.is_some_and(|truly| truly != was_full) {
            self.fail(Rule::Lockout, now, || {
                format!("user {user} got a slot for {thread}, said to have been full {was_full}, and it was otherwise")
            });
        }
    }

    fn reached_path(&mut self, path: AdmissionPath) {
        self.tally.reach(match path {
            AdmissionPath::Attach => Reach::Attach,
            AdmissionPath::Takeover => Reach::Takeover,
            AdmissionPath::Free => Reach::Free,
            AdmissionPath::Reclaimed(_) => Reach::Reclaimed,
            AdmissionPath::Reserve => Reach::Reserve,
            AdmissionPath::Queue => Reach::Queue,
            AdmissionPath::Shadow => Reach::Shadow,
        });
    }

    /// The reserve is for those whose sessions are all protected, in its window.
    fn entered_reserve(&mut self, now: Moment, user: usize, newcomer: &ThreadId) {
        if !self.model.reserve_admits(user, now) {
            self.fail(Rule::Reserve, now, || {
                format!("user {user} was admitted into the reserve, which is closed: its window is over")
            });
        }
        if let Some(choice) = self.choice_left(now, user, newcomer).cloned() {
            self.fail(Rule::Reserve, now, || {
                format!("user {user} was admitted into the reserve, though session {choice} is not protected")
            });
        }
        self.model.enter_reserve(user, now);
    }

    /// A session that Force, or Moderate where `force` is `never`, must take before the reserve, the queue and a
    /// takeover. Sessions that were born in this turn are no choice: nobody could have known them.
    pub(super) fn choice_left(&self, now: Moment, user: usize, except: &ThreadId) -> Option<&ThreadId> {
        let limits = self.model.limits(user);
        let owner = &self.model.users[user];
        let is_choice = |session: &&crate::model::Session| match limits.force {
            Force::Evict => !owner.is_protected(session, limits.pinned_sessions, now),
            Force::Never => session.connections(now).next().is_none(),
        };
        let others = owner.sessions.iter().filter(|it| it.held && it.thread != *except && it.born != self.model.turn);
        others.filter(is_choice).map(|session| &session.thread).next()
    }

    /// A connection is told of its user's limit.
    pub(super) fn told_usage(&mut self, now: Moment, user: &UserId, connection: ConnectionId, usage: &Usage) {
        let Some((user, number)) = self.same_user(now, user, connection) else {
            return;
        };
        let (truth, is_open) = self.model.usage(user, now);
        self.model.connections[number].told = Some((usage.level, usage.reserve_left.is_some()));
        let is_true = (usage.used, usage.limit, usage.level) == (truth.used, truth.limit, truth.level)
            && usage.reserve_left.is_some() == is_open;
        if !is_true {
            self.fail(Rule::Told, now, || {
                format!("{connection} is told {usage:?}, but it is {truth:?}, the reserve open: {is_open}")
            });
        }
    }

    pub(super) fn told_limit(&mut self, now: Moment, connection: ConnectionId, usage: &Usage) {
        if let Some(number) = self.model.connection_number(connection) {
            let user = crate::model::user_id(self.model.connections[number].user);
            self.told_usage(now, &user, connection, usage);
        }
    }

    /// Everybody who is connected knows his user's band, and whether the reserve takes newcomers.
    pub(super) fn settle_told(&mut self, now: Moment, user: usize) {
        let (truth, is_open) = self.model.usage(user, now);
        let connections = self.model.users[user].connections.iter().map(|it| &self.model.connections[*it]);
        let mut unaware = connections.filter(|it| it.told != Some((truth.level, is_open)));
        if let Some((id, told)) = unaware.next().map(|it| (it.id, it.told)) {
            self.fail(Rule::Told, now, || {
                format!("{id} was told {told:?}, but it is {:?}, the reserve open: {is_open}", truth.level)
            });
        }
    }

    pub(super) fn refused(
        &mut self,
        now: Moment,
        user: &UserId,
        (connection, thread, reference): (ConnectionId, Option<&ThreadId>, &str),
        refusal: &Refusal,
    ) {
        let Some((user, number)) = self.same_user(now, user, connection) else {
            return;
        };
        self.tally.refused += 1;
        self.turn.touch(user);
        let is_fair = match refusal {
            Refusal::Draining { .. } => self.draining,
            Refusal::NotConnected => !self.model.connections[number].is_registered(),
            Refusal::Overload { .. } | Refusal::Shed { .. } => false,
            Refusal::NoSlot { .. } => {
                self.tally.reach(Reach::NoSlot);
                self.may_end_in_a_refusal(now, user, number, reference)
            }
        };
        if !is_fair {
            self.fail(Rule::Refusal, now, || format!("{connection} was refused: {refusal:?}"));
        }
        if thread.is_none() {
            self.model.connections[number].standing = Standing::Ended;
            self.turn.left.push(number);
        }
        self.model.users[user].withdraw(|_, ask| ask.connection == number && *ask.reference == *reference);
    }

    /// Where the operator chose `never`: at the end of the queue, when nothing that does not live holds a slot.
    fn may_end_in_a_refusal(&self, now: Moment, user: usize, connection: usize, reference: &str) -> bool {
        let limits = self.model.limits(user);
        let places = &self.model.users[user].places;
        let asks = |it: &crate::model::Ask| it.connection == connection && *it.reference == *reference;
        let Some(place) = places.iter().find(|place| place.asks.iter().any(asks)) else {
            return false;
        };
        limits.force == Force::Never
            && (self.is_due(now, user, place) || places.len() > limits.max_waiting_opens_per_user)
            && self.choice_left(now, user, &place.thread).is_none()
            && !self.is_reserve_free(now, user)
    }

    /// Whether the reserve has had room for a newcomer, for a while that a late timer cannot explain.
    pub(super) fn is_reserve_free(&self, now: Moment, user: usize) -> bool {
        let limits = self.model.limits(user);
        let earlier = Moment { at: now.at - super::LATE, ran: now.ran };
        self.model.users[user].held() < limits.max_sessions_per_user + limits.reserve_sessions
            && self.model.reserve_admits(user, now)
            && self.model.reserve_admits(user, earlier)
    }
}
