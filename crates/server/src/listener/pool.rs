//! Who sits on the listener's sockets: every connection is counted, and strangers have a small pool of their own.
//!
//! The count is the number of seats, never a counter (mission C9). A seat is a guard: it is given back when the last
//! task of its connection lets go of it, or at once when the connection is turned out (hazards R3 and R4).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// How long tasks that were aborted may take to notice. They never block, so this only bounds a defect.
const ABORT_GRACE: Duration = Duration::from_secs(1);

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
    /// Those of them that have not said who they are.
    pub strangers: usize,
}

#[derive(Debug, Default)]
struct Seats {
    /// Numbers grow, so the lowest is the oldest.
    next: u64,
    taken: HashMap<u64, Taken>,
    strangers: BTreeSet<u64>,
}

/// A seat in use.
#[derive(Debug, Default)]
struct Taken {
    /// How many tasks the connection has had.
    tasks: u32,
    /// The latest of them, once it is known.
    latest: Option<AbortHandle>,
}

impl Seats {
    /// The seat is free from now on; the task behind it learns of it later.
    fn turn_out(&mut self, number: u64) {
        self.strangers.remove(&number);
        if let Some(task) = self.taken.remove(&number).and_then(|taken| taken.latest) {
            task.abort();
        }
    }

    fn turn_out_oldest_stranger(&mut self) -> bool {
        match self.strangers.first().copied() {
            Some(oldest) => {
                self.turn_out(oldest);
                true
            }
            None => false,
        }
    }
}

impl Pool {
    pub(crate) fn new(max_strangers: usize, max_connections: usize) -> Arc<Self> {
        Arc::new(Self { max_strangers, max_connections, tasks: TaskTracker::new(), seats: Mutex::default() })
    }

    /// Takes a seat for a new connection; none when everybody here has said who he is and the node is full.
    ///
    /// A newcomer turns out the oldest stranger, rather than the other way round: an honest client says who it is
    /// within a round trip, so whoever has been silent longest is the worst. Were the newcomer refused, a few silent
    /// sockets would lock everybody out.
    pub(crate) fn take_seat(self: &Arc<Self>) -> Option<Seat> {
        let mut seats = self.lock();
        if seats.strangers.len() >= self.max_strangers && seats.turn_out_oldest_stranger() {
            tracing::debug!(max_unidentified = self.max_strangers, "the oldest stranger was turned out");
        }
        if seats.taken.len() >= self.max_connections && !seats.turn_out_oldest_stranger() {
            return None;
        }
        let number = seats.next;
        seats.next += 1;
        seats.taken.insert(number, Taken::default());
        seats.strangers.insert(number);
        drop(seats);
        Some(Seat(Arc::new(Guard { pool: Arc::clone(self), number })))
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
    /// The connection has said who it is: it is no stranger any more.
    pub fn identify(&self) {
        self.0.pool.lock().strangers.remove(&self.0.number);
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

impl Drop for Guard {
    fn drop(&mut self) {
        let mut seats = self.pool.lock();
        seats.strangers.remove(&self.number);
        seats.taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newcomer_turns_out_the_oldest_stranger() {
        let pool = Pool::new(2, 100);
        let first = pool.take_seat().unwrap();
        let second = pool.take_seat().unwrap();
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        first.spawn(async move {
            std::future::pending::<()>().await;
            drop(ended);
        });
        let _third = pool.take_seat().unwrap();
        assert!(end.await.is_err(), "the first stranger's task is aborted");
        assert_eq!(pool.occupancy(), Occupancy { connections: 2, strangers: 2 });
        drop((first, second));
        assert_eq!(pool.occupancy().connections, 1);
    }

    #[tokio::test]
    async fn whoever_said_who_he_is_is_never_turned_out_by_the_pool_of_strangers() {
        let pool = Pool::new(1, 2);
        let known = pool.take_seat().unwrap();
        known.identify();
        let _stranger = pool.take_seat().unwrap();
        let newcomer = pool.take_seat().expect("the stranger's seat is free for a newcomer");
        newcomer.identify();
        assert_eq!(pool.occupancy(), Occupancy { connections: 2, strangers: 0 });
        assert!(pool.take_seat().is_none(), "the node is full of known people");
    }

    #[tokio::test]
    async fn a_task_that_starts_after_its_seat_was_lost_is_aborted() {
        let pool = Pool::new(1, 10);
        let first = pool.take_seat().unwrap();
        let _second = pool.take_seat().unwrap();
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        first.spawn(async move {
            std::future::pending::<()>().await;
            drop(ended);
        });
        assert!(end.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_for_its_grace_and_then_ends_what_is_left() {
        let pool = Pool::new(10, 10);
        let seat = pool.take_seat().unwrap();
        let inside = seat.clone();
        seat.spawn(async move {
            let _inside = inside;
            std::future::pending::<()>().await;
        });
        drop(seat);
        assert_eq!(pool.close(Duration::from_secs(5)).await, 1);
        assert_eq!(pool.occupancy().connections, 0);
    }
}
