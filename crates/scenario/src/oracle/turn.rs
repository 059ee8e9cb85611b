//! What has to fit together within one call of the gate.

use lychgate_core::{ConnectionId, EvictReason, ThreadId, UserId};

use super::{Oracle, Reach, Rule};
use crate::model::{Model, Moment, Session};

/// What happened since the gate was called.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Users whose sessions may have changed.
    pub(super) touched: Vec<usize>,
    /// Sessions that lost their last connection by its own word.
    pub(super) must_end: Vec<(usize, ThreadId)>,
    /// Connections that were announced as gone on their own.
    pub(super) left: Vec<usize>,
    /// Who was expelled, and why.
    pub(super) expelled: Option<(usize, EvictReason)>,
    /// Connections whose close was given up.
    pub(super) unconfirmed: Vec<usize>,
    /// Sessions that Force took, by user.
    pub(super) forced: Vec<usize>,
    /// Sessions that were reclaimed and have not paid for a newcomer yet, by user.
    pub(super) evictions: Vec<usize>,
    /// What shadow mode would have done was told, by user.
    pub(super) would: Vec<usize>,
    /// Sessions that were created, by user.
    pub(super) created: Vec<usize>,
    /// Connections that were closed as superseded.
    pub(super) superseded: Vec<usize>,
    takeover: Option<Takeover>,
}

/// A connect with a `prev` that this user holds, or one that he does not.
#[derive(Debug)]
struct Takeover {
    user: usize,
    new: usize,
    /// The connection that has to be replaced; none where `prev` gives no right.
    rightful: Option<usize>,
    /// Sessions of the user before.
    held: usize,
    announced: bool,
}

impl Turn {
    pub(super) fn touch(&mut self, user: usize) {
        if !self.touched.contains(&user) {
            self.touched.push(user);
        }
    }

    /// A connection arrives and names the one that it replaces; returns that one if the name gives a right.
    pub(super) fn connect(&mut self, model: &Model, user: usize, new: usize, prev: Option<usize>) -> Option<usize> {
        let is_rightful = |prev: &usize| {
            let old = &model.connections[*prev];
            old.user == user && old.is_registered()
        };
        let rightful = prev.filter(is_rightful);
        let held = model.users[user].held();
        self.takeover = Some(Takeover { user, new, rightful, held, announced: false });
        rightful
    }

    /// Nothing happened that has to fit together: somebody was heard, or was asked.
    pub(super) fn is_quiet(&self) -> bool {
        self.touched.is_empty()
            && self.left.is_empty()
            && self.expelled.is_none()
            && self.unconfirmed.is_empty()
            && self.takeover.is_none()
    }

    /// Clears everything, keeping the memory.
    pub(super) fn recycle(&mut self, mut touched: Vec<usize>) {
        touched.clear();
        self.touched = touched;
        self.must_end.clear();
        self.left.clear();
        self.expelled = None;
        self.unconfirmed.clear();
        self.forced.clear();
        self.evictions.clear();
        self.would.clear();
        self.created.clear();
        self.superseded.clear();
        self.takeover = None;
    }
}

impl Oracle {
    /// The gate registered a connection, and says which one it replaced.
    pub(super) fn connected(
        &mut self,
        now: Moment,
        user: &UserId,
        connection: ConnectionId,
        superseded: Option<ConnectionId>,
    ) {
        let Some((user, new)) = self.same_user(now, user, connection) else {
            return;
        };
        self.turn.touch(user);
        let Some(takeover) = self.turn.takeover.as_mut().filter(|it| it.new == new) else {
            self.fail(Rule::Close, now, || format!("{connection} was registered, but did not connect"));
            return;
        };
        takeover.announced = true;
        let rightful = takeover.rightful;
        let old = superseded.map(|id| (id, self.model.connection_number(id)));
        match (old, rightful) {
            (None, None) => {}
            (Some((_, Some(old))), Some(rightful)) if old == rightful => self.model.take_over(old, new, now),
            (old, _) => {
                let rightful = rightful.map(|number| self.model.connections[number].id);
                let old = old.map(|(id, _)| id);
                self.fail(Rule::Takeover, now, || format!("{connection} replaced {old:?}, its right was {rightful:?}"));
            }
        }
    }

    /// The last checks of a call.
    pub(super) fn finish_turn(&mut self, now: Moment) {
        // What was reclaimed and paid for nobody was reclaimed in the background.
        self.turn.evictions.iter().for_each(|_| self.tally.reach(Reach::Background));
        self.finish_takeover(now);
        self.finish_force(now);
        for (user, thread) in std::mem::take(&mut self.turn.must_end) {
            // An open that waited for the same thread may have made it anew.
            let is_old = |session: &Session| session.held && session.born != self.model.turn;
            if self.model.users[user].session(&thread).is_some_and(is_old) {
                self.fail(Rule::Pairing, now, || {
                    format!("the last connection let session {thread} of user {user} go, and it is still held")
                });
            }
        }
        if let Some((number, reason)) = self.turn.expelled
            && self.model.connections[number].is_registered()
        {
            let id = self.model.connections[number].id;
            self.fail(Rule::Close, now, || format!("{id} was expelled ({reason:?}) and is still counted"));
        }
    }

    fn finish_takeover(&mut self, now: Moment) {
        let Some(takeover) = self.turn.takeover.take().filter(|it| it.announced) else {
            return;
        };
        let held = self.model.users[takeover.user].held();
        let admitted = self.turn.created.iter().filter(|it| **it == takeover.user).count();
        if held > takeover.held + admitted {
            let before = takeover.held;
            self.fail(Rule::Takeover, now, || format!("a connect raised the count from {before} to {held}"));
        }
        if let Some(old) = takeover.rightful
            && !self.turn.superseded.contains(&old)
        {
            let id = self.model.connections[old].id;
            self.fail(Rule::Takeover, now, || format!("{id} lost a takeover and was not closed as superseded"));
        }
        let user = takeover.user;
        let counted = |it: &&usize| self.model.connections[**it].is_registered();
        let connections = self.model.users[user].connections.iter().filter(counted).count();
        let most = self.model.limits(user).max_connections_per_user;
        if connections > most {
            self.fail(Rule::Bounds, now, || format!("user {user} has {connections} connections, of at most {most}"));
        }
    }

    /// Force makes room for somebody, and for nobody else (M8, M11).
    fn finish_force(&mut self, now: Moment) {
        let (forced, created) = (&self.turn.forced, &self.turn.created);
        let count = |all: &[usize], user: usize| all.iter().filter(|it| **it == user).count();
        let greedy = forced.iter().copied().find(|user| count(forced, *user) > count(created, *user));
        if let Some(user) = greedy {
            let held = self.model.users[user].held();
            self.fail(Rule::LiveBeforeDead, now, || {
                format!("force took a session of user {user} that no admission needed: {held} are left")
            });
        }
    }
}
