//! How a node empties itself: everybody is told to move, one after the other, and who stays is closed a little later; runs
//! have until the end.
//!
//! ```text
//!  0 ........................ 4/5 of the window ..... window ............. drain_timeout
//!  | newcomers: 4001           |                       |                     |
//!  | notice reconnect, evenly ->                       |                     | runs that are left are ended,
//!  |       | close 4001, each 1/5 of the window later ->                     | and whoever showed one is closed
//!              (not while it shows a run in flight: that one is closed when its run has ended)
//! ```
//!
//! A restart must not be a storm (hazard R21): whoever is told at the same moment still comes back at different ones.

use std::collections::VecDeque;
use std::time::Duration;

use lychgate_core::{ConnectionId, UserId};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::driver::Driver;

/// How often the next ones are told.
const STEP: Duration = Duration::from_millis(20);

/// How often it is asked who still shows a run: everybody who does costs a look into his shard.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A crowd of n needs n times this, at most: nobody waits out a whole drain for three browsers.
const PER_CONNECTION: Duration = Duration::from_millis(20);

/// What share of the window lies between a connection's notice and its close.
const SHARE_TO_MOVE: u32 = 5;

/// The share of the time to move in which a client is asked to come back, at random: so that it has time to do it.
const SHARE_TO_COME_BACK: u32 = 2;

/// Who is here, in the order in which they go.
pub(super) struct Exodus<'a> {
    driver: &'a Driver,
    begin: Instant,
    drain_timeout: Duration,
    /// Between the first notice and the last close of those who show no run.
    window: Duration,
    /// When each is told, counted from the beginning.
    untold: VecDeque<(Duration, (UserId, ConnectionId))>,
    /// When each is closed.
    told: VecDeque<(Duration, (UserId, ConnectionId))>,
    /// Those whose time had come while they showed a run.
    readers: Vec<(UserId, ConnectionId)>,
}

impl<'a> Exodus<'a> {
    /// Nobody new is admitted from now on.
    pub(super) fn begin(driver: &'a Driver, drain_timeout: Duration) -> Self {
        driver.drain(drain_timeout);
        let mut crowd = driver.connections();
        // Ids are random, so this is no order at all: no user, shard or network goes as a whole.
        crowd.sort_unstable_by_key(|(_, connection)| *connection);
        let count = u32::try_from(crowd.len()).unwrap_or(u32::MAX);
        let window = drain_timeout.min(PER_CONNECTION.saturating_mul(count));
        let telling = window - window / SHARE_TO_MOVE;
        let untold = crowd.into_iter().enumerate();
        let untold = untold.map(|(n, who)| (telling.mul_f64(n as f64 / f64::from(count.max(1))), who)).collect();
        Self {
            driver,
            begin: Instant::now(),
            drain_timeout,
            window,
            untold,
            told: VecDeque::new(),
            readers: Vec::new(),
        }
    }

    /// Runs until everybody has gone and no run is in flight, or the time is over. What is left then is for the caller.
    pub(super) async fn pass(&mut self) {
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut next_look, mut was_empty) = (LOOK_EVERY, false);
        loop {
            steps.tick().await;
            let elapsed = self.begin.elapsed();
            self.tell(elapsed);
            self.close(elapsed);
            let nobody_waits = self.untold.is_empty() && self.told.is_empty();
            let is_empty = nobody_waits && self.readers.is_empty();
            if elapsed >= next_look || (is_empty && !was_empty) {
                next_look = elapsed + LOOK_EVERY;
                let Self { driver, readers, .. } = self;
                readers.retain(|(user, connection)| !driver.send_away(user, *connection));
                if nobody_waits && self.readers.is_empty() && self.driver.census().runs == 0 {
                    return;
                }
            }
            was_empty = is_empty;
            if elapsed >= self.drain_timeout {
                return;
            }
        }
    }

    /// Connections that show a run still, or were not reached.
    pub(super) fn left(&self) -> usize {
        self.untold.len() + self.told.len() + self.readers.len()
    }

    fn tell(&mut self, elapsed: Duration) {
        let to_move = self.window / SHARE_TO_MOVE;
        while self.untold.front().is_some_and(|(at, _)| *at <= elapsed) {
            let Some((at, (user, connection))) = self.untold.pop_front() else { return };
            let retry_in = to_move * connection.share_of(1_000) / (1_000 * SHARE_TO_COME_BACK);
            // Whoever shows a run may stay until its end, so it is told the later time.
            let deadline = match self.driver.shows_a_run(&user, connection) {
                true => self.drain_timeout.saturating_sub(elapsed),
                false => to_move,
            };
            self.driver.invite_to_move(&user, connection, retry_in, deadline);
            self.told.push_back((at + to_move, (user, connection)));
        }
    }

    fn close(&mut self, elapsed: Duration) {
        while self.told.front().is_some_and(|(at, _)| *at <= elapsed) {
            let Some((_, (user, connection))) = self.told.pop_front() else { return };
            if !self.driver.send_away(&user, connection) {
                self.readers.push((user, connection));
            }
        }
    }
}

#[cfg(test)]
mod tests;
