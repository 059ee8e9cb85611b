//! Counts, recounted from the records when somebody asks: nothing increments or decrements them (cause C9).

use std::time::Duration;

use crate::limits::{Limits, Pressure};
use crate::timer::Time;

/// How far ahead [`Census::by_forecast`] looks, and the word of each in metrics.
pub const WITHIN: [(Duration, &str); 3] =
    [(Duration::from_secs(60), "1m"), (Duration::from_secs(300), "5m"), (Duration::from_secs(900), "15m")];

/// The shares of a limit that [`Census::by_use`] tells apart, beside more than all of it.
pub const TENTHS: usize = 10;

/// What a gate holds at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Users with any record.
    pub users: usize,
    /// Sessions, lingering ones included.
    pub sessions: usize,
    /// Sessions without a connection.
    pub lingering: usize,
    /// Connections.
    pub connections: usize,
    /// Runs in flight.
    pub runs: usize,
    /// Opens that wait.
    pub waiting: usize,
    /// Users in each band, from [`Pressure::Ok`] to [`Pressure::Full`], by what they hold now.
    pub by_pressure: [usize; 5],
    /// Breakers of users that have a step of reclaim skipped. Those of the node are counted by
    /// [`crate::NodeBreakers::open`].
    pub open_breakers: usize,
    /// Users who hold a session, by the share of their limit that they hold now: up to a tenth of it, up to two tenths, ..., all
    /// of it, and more than that.
    pub by_use: [usize; TENTHS + 1],
    /// Users below their limit who reach it within each of [`WITHIN`] at the present trend; nobody where nothing is forecast.
    /// Whoever is counted within a short time is counted within a longer one.
    pub by_forecast: [usize; WITHIN.len()],
}

impl Census {
    /// Counts a user. His band is not the one that he was last told: a limit that was lent may have ended since.
    pub(crate) fn count(&mut self, user: &crate::user::User, limits: &Limits, now: Time, full_in: Option<Duration>) {
        let band = limits.pressure(user.sessions.len());
        self.users += 1;
        self.sessions += user.sessions.len();
        self.lingering += user.sessions.iter().filter(|session| session.lingers_until.is_some()).count();
        self.connections += user.connections.len();
        self.runs += user.runs.len();
        self.waiting += user.waiting.len();
        self.open_breakers += user.breakers.open(now);
        let band = match band {
            Pressure::Ok => 0,
            Pressure::Watch => 1,
            Pressure::Warn => 2,
            Pressure::High => 3,
            Pressure::Full => 4,
        };
        self.by_pressure[band] += 1;
        if let Some(share) = share_in_use(user.sessions.len(), limits.max_sessions_per_user) {
            self.by_use[share] += 1;
        }
        if let Some(full_in) = full_in.filter(|after| !after.is_zero()) {
            let sums = self.by_forecast.iter_mut().zip(WITHIN);
            sums.filter(|(_, (within, _))| full_in <= *within).for_each(|(sum, _)| *sum += 1);
        }
    }

    /// Adds another gate's census: gates are sharded by user.
    pub fn add(&mut self, other: &Self) {
        let Self {
            users,
            sessions,
            lingering,
            connections,
            runs,
            waiting,
            by_pressure,
            open_breakers,
            by_use,
            by_forecast,
        } = other;
        self.users += users;
        self.sessions += sessions;
        self.lingering += lingering;
        self.connections += connections;
        self.runs += runs;
        self.waiting += waiting;
        self.open_breakers += open_breakers;
        self.by_pressure.iter_mut().zip(by_pressure).for_each(|(mine, theirs)| *mine += theirs);
        self.by_use.iter_mut().zip(by_use).for_each(|(mine, theirs)| *mine += theirs);
        self.by_forecast.iter_mut().zip(by_forecast).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// Which of [`Census::by_use`]; none for whoever holds nothing.
fn share_in_use(used: usize, limit: usize) -> Option<usize> {
    match used {
        0 => None,
        used if used > limit => Some(TENTHS),
        used => Some((used * TENTHS).div_ceil(limit) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::share_in_use;

    #[test]
    fn a_user_is_counted_by_the_tenth_of_his_limit_that_he_has_begun() {
        assert_eq!(share_in_use(0, 20), None);
        for (used, share) in [(1, 0), (2, 0), (3, 1), (10, 4), (11, 5), (18, 8), (19, 9), (20, 9), (21, 10), (25, 10)] {
            assert_eq!(share_in_use(used, 20), Some(share), "{used} of 20");
        }
        assert_eq!(share_in_use(1, 1), Some(9));
        assert_eq!(share_in_use(1, 0), Some(10));
    }
}
