//! Counts, recounted from the records when somebody asks: nothing increments or decrements them (cause C9).

use std::time::Duration;

use crate::limits::Pressure;
use crate::timer::Time;

/// How far ahead [`Census::by_forecast`] looks, and the word of each in metrics.
pub const WITHIN: [(Duration, &str); 3] =
    [(Duration::from_secs(60), "1m"), (Duration::from_secs(300), "5m"), (Duration::from_secs(900), "15m")];

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
    /// Users below their limit who reach it within each of [`WITHIN`] at the present trend; nobody where nothing is forecast.
    /// Whoever is counted within a short time is counted within a longer one.
    pub by_forecast: [usize; WITHIN.len()],
}

impl Census {
    /// Counts a user. His band is not the one that he was last told: a limit that was lent may have ended since.
    pub(crate) fn count(&mut self, user: &crate::user::User, band: Pressure, now: Time, full_in: Option<Duration>) {
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
        if let Some(full_in) = full_in.filter(|after| !after.is_zero()) {
            let sums = self.by_forecast.iter_mut().zip(WITHIN);
            sums.filter(|(_, (within, _))| full_in <= *within).for_each(|(sum, _)| *sum += 1);
        }
    }

    /// Adds another gate's census: gates are sharded by user.
    pub fn add(&mut self, other: &Self) {
        let Self { users, sessions, lingering, connections, runs, waiting, by_pressure, open_breakers, by_forecast } =
            other;
        self.users += users;
        self.sessions += sessions;
        self.lingering += lingering;
        self.connections += connections;
        self.runs += runs;
        self.waiting += waiting;
        self.open_breakers += open_breakers;
        self.by_pressure.iter_mut().zip(by_pressure).for_each(|(mine, theirs)| *mine += theirs);
        self.by_forecast.iter_mut().zip(by_forecast).for_each(|(mine, theirs)| *mine += theirs);
    }
}
