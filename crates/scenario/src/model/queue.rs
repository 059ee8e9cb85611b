//! The opens that wait: one place for each thread, in the order in which the threads were first asked for.

use lychgate_core::{ConnectionId, ThreadId};

use super::{Moment, User};

/// A connection that waits for the answer to an open.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Which connection.
    pub connection: usize,
    /// Its id, for reports.
    pub id: ConnectionId,
    /// The client's name for the open.
    pub reference: Box<str>,
    /// When it asked.
    pub since: Moment,
    /// Its user's limit was in force and reached when it asked, and the session was not there.
    pub was_full: bool,
    /// The place that it was told last.
    pub told: Option<usize>,
}

/// A thread that is waited for; never by nobody.
#[derive(Clone, Debug)]
pub struct Place {
    /// Which thread.
    pub thread: ThreadId,
    /// When it was first asked for.
    pub since: Moment,
    /// Who asks for it.
    pub asks: Vec<Ask>,
    /// Somebody was told a position: from now on everybody has to know his.
    pub told: bool,
}

impl User {
    /// An open is asked for. The same one again on the same connection is the same open.
    pub fn ask(&mut self, ask: Ask, thread: &ThreadId) {
        let is_same = |it: &Ask| it.connection == ask.connection && it.reference == ask.reference;
        if self.places.iter().flat_map(|place| &place.asks).any(is_same) {
            return;
        }
        match self.places.iter_mut().find(|place| place.thread == *thread) {
            Some(place) => place.asks.push(ask),
            None => self.places.push(Place { thread: thread.clone(), since: ask.since, asks: vec![ask], told: false }),
        }
    }

    /// Takes out the asks that were answered or are asked no more.
    pub fn withdraw(&mut self, is_gone: impl Fn(&ThreadId, &Ask) -> bool) {
        for Place { thread, asks, .. } in &mut self.places {
            asks.retain(|ask| !is_gone(thread, ask));
        }
        self.places.retain(|place| !place.asks.is_empty());
    }

    /// What waited on one connection waits on another from now on, which does not know its position yet.
    pub fn pass_on(&mut self, old: usize, new: usize, id: ConnectionId) {
        for ask in self.places.iter_mut().flat_map(|place| &mut place.asks).filter(|ask| ask.connection == old) {
            ask.connection = new;
            ask.id = id;
            ask.told = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use lychgate_core::Time;

    use super::*;

    fn ask(connection: usize, reference: &str) -> Ask {
        let since = Moment { at: Time::ZERO, ran: Time::ZERO };
        let id = ConnectionId::from_random(connection as u128);
        Ask { connection, id, reference: reference.into(), since, was_full: false, told: None }
    }

    fn thread(name: &str) -> ThreadId {
        ThreadId::parse(name).unwrap()
    }

    #[test]
    fn a_thread_has_one_place_and_keeps_it_until_the_last_one_who_asks_is_gone() {
        let mut user = User::default();
        user.ask(ask(1, "a"), &thread("a"));
        user.ask(ask(2, "b"), &thread("b"));
        user.ask(ask(3, "a"), &thread("a"));
        user.ask(ask(1, "a"), &thread("other"));
        user.withdraw(|_, ask| ask.connection == 1);
        let places: Vec<_> = user.places.iter().map(|place| (place.thread.as_str(), place.asks.len())).collect();
        assert_eq!(places, [("a", 1), ("b", 1)]);
    }
}
