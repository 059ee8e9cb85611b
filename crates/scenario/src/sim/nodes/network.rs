//! Between nodes and Redis: messages take time, wait at a cable that is cut, are lost, come twice or late.

use std::time::Duration;

use lychgate::cluster::Trouble;

use super::node::Event;
use super::server::{Command, Mood, Order};
use super::world::{Flight, World};

/// What becomes of a message where some are lost.
enum Fate {
    Arrives,
    Lost,
    Twice,
    Late,
}

impl World {
    pub(super) fn send(&mut self, order: Order) {
        let seat = order.node;
        self.note(|| format!("n{seat} => {} {:?}", order.call, order.command));
        if self.seats[seat].is_cut {
            return self.seats[seat].held_up.push(Flight::ToRedis(order));
        }
        let way = self.way(seat);
        // One connection carries commands in order; what is late comes over an older one.
        let at = (self.now + way).max(self.seats[seat].last_arrival);
        let late = self.millis(100, 3_000);
        match self.fate() {
            Fate::Lost => return,
            Fate::Late => return self.later(late, Flight::ToRedis(order)),
            // A connection doubles nothing, and of a question that was denied the second copy would be granted to nobody.
            Fate::Twice if !matches!(order.command, Command::Acquire(..)) => {
                self.later(late, Flight::ToRedis(order.clone()));
            }
            Fate::Twice | Fate::Arrives => {}
        }
        self.seats[seat].last_arrival = at;
        self.at(at, Flight::ToRedis(order));
    }

    /// A command reached Redis.
    pub(super) fn on_arrived(&mut self, order: Order) {
        match self.server.mood {
            Mood::Hangs => self.server.waiting.push_back(order),
            Mood::Answers | Mood::Refuses | Mood::Gone => self.execute(order),
        }
    }

    pub(super) fn execute(&mut self, order: Order) {
        let done = self.server.execute(self.now, &order);
        self.note(|| format!("redis {} of n{}: {:?} {:?}", order.call, order.node, done.answer, done.changes));
        self.oracle.changed(self.now, &self.server.data, &done.changes);
        let event = Event::Answer(order.call, done.answer);
        self.answer(order.node, order.life, event);
        for (ear, message) in done.told {
            self.answer(ear.node, ear.life, Event::Heard(ear.number, message));
        }
    }

    /// Something comes back to a node.
    fn answer(&mut self, seat: usize, life: u64, event: Event) {
        let flight = Flight::ToNode { seat, life, event };
        if self.seats[seat].is_cut {
            return self.seats[seat].held_up.push(flight);
        }
        let (way, late) = (self.way(seat), self.millis(100, 3_000));
        match self.fate() {
            Fate::Lost => {}
            Fate::Late => self.later(late, flight),
            Fate::Twice => {
                self.later(late, flight.clone());
                self.later(way, flight);
            }
            Fate::Arrives => self.later(way, flight),
        }
    }

    /// What its cable held up arrives, or some of it does: connections broke meanwhile.
    pub(super) fn mend(&mut self, seat: usize) {
        self.seats[seat].is_cut = false;
        let held_up = std::mem::take(&mut self.seats[seat].held_up);
        let is_kept = !self.random.one_in(3);
        for flight in held_up.into_iter().filter(|_| is_kept) {
            let way = self.way(seat);
            self.later(way, flight);
        }
    }

    /// Everybody who waits for the server's process hears that it is gone.
    pub(super) fn reset_connections(&mut self) {
        for seat in 0..self.seats.len() {
            let Some(node) = &self.seats[seat].node else { continue };
            let calls: Vec<_> = node.calls.keys().copied().collect();
            for call in calls {
                let event = Event::Answer(call, Err(Trouble::Unreachable));
                self.answer(seat, self.seats[seat].life, event);
            }
        }
    }

    /// How long one way takes now.
    fn way(&mut self, seat: usize) -> Duration {
        let jitter = Duration::from_micros(u64::from(self.random.below(1_000)));
        self.seats[seat].latency + jitter + self.server.slow / 2
    }

    fn fate(&mut self) -> Fate {
        if self.lossy == 0 || !self.random.one_in(self.lossy) {
            return Fate::Arrives;
        }
        match self.random.below(3) {
            0 => Fate::Lost,
            1 => Fate::Twice,
            _ => Fate::Late,
        }
    }
}
