//! Who sits on the listener's sockets: every connection is counted, and strangers have a small pool of their own.
//!
//! ```text
//!  take_seat --> stranger --identify-------------> known for good: a WebSocket, which the driver counts
//!                 ^    '--ask, hold--> known while the guard lives: an HTTP request --.
//!                 '-------------------------------------------------------------------'
//! ```
//!
//! An HTTP connection outlives its requests. Were it known for good, nobody would count it once its request was answered,
//! and one user could sit on every seat there is.
//!
//! When the strangers' pool is full, the network with the most of them loses its oldest (`strangers`): ten thousand silent
//! sockets from fifty addresses push out each other, and nobody else.
//!
//! The count is the number of seats, never a counter (mission C9). A seat is a guard: it is given back when the last
//! task of its connection lets go of it, or at once when the connection is turned out (hazards R3 and R4).

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lychgate_core::UserId;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use self::strangers::Strangers;
use crate::driver::network;

mod strangers;

/// How long tasks that were aborted may take to notice. They never block, so this only bounds a defect.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// Requests of one user that are shielded at a time; a browser makes six. Further ones are served like any, but by a
/// connection that may be turned out.
const SHIELDED_PER_USER: usize = 8;

/// What share of all seats requests may shield together: they are not in the driver's count, so that without a bound
/// they could leave no seat for a newcomer.
const SHIELDED_SHARE: usize = 20;

/// All connections of a listener.
#[derive(Debug)]
pub struct Pool {
    max_strangers: usize,
    max_connections: usize,
    tasks: TaskTracker,
    seats: Mutex<Seats>,
}

/// How full the listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// Accepted connections, whatever they speak.
    pub connections: usize,
    /// Those of them that have not said who they are, or whose requests are all answered.
    pub strangers: usize,
}

#[derive(Debug, Default)]
struct Seats {
    /// Numbers grow, so the lowest is the oldest.
    next: u64,
    taken: HashMap<u64, Taken>,
    strangers: Strangers,
    /// Whose request is being answered on which seat, without a place in the driver's count.
    asking: BTreeSet<(UserId, u64)>,
}

/// A seat in use.
#[derive(Debug)]
struct Taken {
    /// Where its connection comes from.
    network: IpAddr,
    /// How many tasks the connection has had.
    tasks: u32,
    /// For how many reasons it is known; with none it is a stranger.
    known: u32,
    /// The latest of them, once it is known.
    latest: Option<AbortHandle>,
}

impl Seats {
    /// The seat is free from now on; the task behind it learns of it later.
    fn turn_out(&mut self, number: u64) {
        self.strangers.remove(number);
        if let Some(task) = self.taken.remove(&number).and_then(|taken| taken.latest) {
            task.abort();
        }
    }

    fn turn_out_a_stranger(&mut self) -> bool {
        match self.strangers.least_welcome() {
            Some(seat) => {
                self.turn_out(seat);
                true
            }
            None => false,
        }
    }

    /// The seat's silence counts from now on.
    fn add_stranger(&mut self, number: u64, most: usize) {
        let Some(network) = self.taken.get(&number).map(|taken| taken.network) else { return };
        let age = self.next;
        self.next += 1;
        self.strangers.insert(number, age, network);
        if self.strangers.len() > most && self.turn_out_a_stranger() {
            tracing::debug!(max_unidentified = most, "a stranger was turned out for a newer one");
        }
    }

    fn make_known(&mut self, number: u64) {
        self.strangers.remove(number);
        if let Some(taken) = self.taken.get_mut(&number) {
            taken.known += 1;
        }
    }

    /// One reason less to know it; true if it was the last.
    fn forget(&mut self, number: u64) -> bool {
        self.taken.get_mut(&number).is_some_and(|taken| {
            taken.known -= 1;
            taken.known == 0
        })
    }

    fn asked_by(&self, user: &UserId) -> usize {
        self.asking.range((user.clone(), 0)..=(user.clone(), u64::MAX)).count()
    }
}

impl Pool {
    pub(crate) fn new(max_strangers: usize, max_connections: usize) -> Arc<Self> {
        Arc::new(Self { max_strangers, max_connections, tasks: TaskTracker::new(), seats: Mutex::default() })
    }

    /// Takes a seat for a new connection from this address; none when everybody here has said who he is and the node is
    /// full.
    ///
    /// A newcomer turns out a stranger, rather than the other way round: an honest client says who it is within a round
    /// trip, so whoever has been silent longest is the worst, and whoever comes in crowds is worse. Were the newcomer
    /// refused, a few silent sockets would lock everybody out.
    pub(crate) fn take_seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let mut seats = self.lock();
        if seats.taken.len() >= self.max_connections && !seats.turn_out_a_stranger() {
            return None;
        }
        let number = seats.next;
        seats.taken.insert(number, Taken { network: network(address), tasks: 0, known: 0, latest: None });
        seats.add_stranger(number, self.max_strangers);
        drop(seats);
        Some(Seat(Arc::new(Guard { pool: Arc::clone(self), number })))
    }

    /// Connections that it takes at a time, whatever they speak.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// How full the listener is now.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        let seats = self.lock();
        Occupancy { connections: seats.taken.len(), strangers: seats.strangers.len() }
    }

    /// Waits until every connection has ended, for `grace` at most; then ends those that are left. Answers how many
    /// had to be ended.
    pub(super) async fn close(&self, grace: Duration) -> usize {
        self.tasks.close();
        if timeout(grace, self.tasks.wait()).await.is_ok() {
            return 0;
        }
        let left: Vec<u64> = self.lock().taken.keys().copied().collect();
        for number in &left {
            self.lock().turn_out(*number);
        }
        if timeout(ABORT_GRACE, self.tasks.wait()).await.is_err() {
            tracing::error!(tasks = self.tasks.len(), "connection tasks did not end when they were aborted");
        }
        left.len()
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place on the listener; cloning shares it. It stands in the extensions of every request.
#[derive(Clone, Debug)]
pub struct Seat(Arc<Guard>);

#[derive(Debug)]
struct Guard {
    pool: Arc<Pool>,
    number: u64,
}

impl Seat {
    /// A proxy said for whom the connection is: from now on it counts among those of this address.
    pub(crate) fn comes_from(&self, address: IpAddr) {
        let network = network(address);
        let mut seats = self.0.pool.lock();
        if let Some(taken) = seats.taken.get_mut(&self.0.number)
            && taken.network != network
        {
            taken.network = network;
            seats.strangers.relocate(self.0.number, network);
        }
    }

    /// The connection has said who it is, and is a stranger no more as long as it lives. For connections that somebody
    /// else counts until they end.
    pub fn identify(&self) {
        self.0.pool.lock().make_known(self.0.number);
    }

    /// As [`Seat::identify`], while the guard lives. For a request that somebody else counts as long.
    pub(crate) fn hold(&self) -> Known {
        self.identify();
        Known { seat: self.clone(), asker: None }
    }

    /// A request has proved whose it is: the connection is a stranger no more while the guard lives. None where this
    /// user, or all together, have as many such requests as may be: the connection counts as a stranger that came just
    /// now, so that the request is served all the same unless a crowd comes meanwhile.
    pub(crate) fn ask(&self, user: &UserId) -> Option<Known> {
        let Guard { pool, number } = &*self.0;
        let mut seats = pool.lock();
        let most = (pool.max_connections / SHIELDED_SHARE).max(1);
        if seats.asking.len() < most && seats.asked_by(user) < SHIELDED_PER_USER {
            seats.asking.insert((user.clone(), *number));
            seats.make_known(*number);
            drop(seats);
            return Some(Known { seat: self.clone(), asker: Some(user.clone()) });
        }
        if seats.strangers.contains(*number) {
            seats.add_stranger(*number, pool.max_strangers);
        }
        None
    }

    /// Ends the connection now: the seat is free, and its task is aborted. Does not block.
    pub fn turn_out(&self) {
        self.0.pool.lock().turn_out(self.0.number);
    }

    /// Runs a task that serves the connection from now on: it is the one that is aborted when the connection is turned
    /// out.
    pub(crate) fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Guard { pool, number } = &*self.0;
        let nth = pool.lock().taken.get_mut(number).map(|taken| {
            taken.tasks += 1;
            taken.tasks
        });
        // Not under the lock: a runtime that shuts down drops the task here, and with it perhaps this very seat.
        let task = pool.tasks.spawn(task).abort_handle();
        match (pool.lock().taken.get_mut(number), nth) {
            (Some(taken), Some(nth)) if taken.tasks == nth => taken.latest = Some(task),
            // The task was quick and has handed the connection on already.
            (Some(_), Some(_)) => {}
            // The connection was turned out in the meantime.
            (None, _) | (_, None) => task.abort(),
        }
    }
}

/// While it lives its connection is no stranger; then it is one that came just now.
#[derive(Debug)]
pub(crate) struct Known {
    seat: Seat,
    asker: Option<UserId>,
}

impl Drop for Known {
    fn drop(&mut self) {
        let Guard { pool, number } = &*self.seat.0;
        let mut seats = pool.lock();
        if let Some(user) = self.asker.take() {
            seats.asking.remove(&(user, *number));
        }
        if seats.forget(*number) {
            seats.add_stranger(*number, pool.max_strangers);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut seats = self.pool.lock();
        seats.strangers.remove(self.number);
        seats.taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
