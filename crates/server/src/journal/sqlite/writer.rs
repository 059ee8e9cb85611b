//! The one thread that writes: many appends, one transaction.
//!
//! ```text
//! append --weight--> queue --all that waits--> writer: BEGIN, rows, COMMIT --batch--> acks: follower, then appender
//!        (waits for room)                         '--what failed: nothing of the batch is there, all are told
//! ```
//!
//! While one batch reaches the disk the next one gathers, and while the follower is told of one the next is written.
//! Nothing here grows: the queue is bounded in requests and in bytes, and whoever wants to append waits for room.

use std::slice::from_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::acks::Lanes;
use super::change::Change;
use super::condition::Condition;
use super::epoch;
use super::files::Directory;
use super::ledger::Ledger;
use super::rows::Failure;
use super::wanted::{Room, Wanted};
use crate::journal::{Entry, JournalError};

/// Requests that wait for the writer, at most.
pub(super) const QUEUE: usize = 1_024;
/// Bytes of events from the queue to the acknowledgement, at most.
pub(super) const QUEUE_BYTES: u32 = 32 * 1_024 * 1_024;
/// Events and bytes of one transaction, at most: its commit is what everybody in it waits for.
const BATCH_EVENTS: usize = 2_048;
const BATCH_BYTES: usize = 2 * 1_024 * 1_024;
/// Pages of the write-ahead log that upkeep has not written back when it is asked to: 16 MiB.
pub(super) const CHECKPOINT_PAGES: u64 = 4_096;
/// Pages at which the writer stops hoping for upkeep and writes back itself: 256 MiB.
const MAX_PAGES: u64 = 65_536;
/// How often it does, and says so: somebody else keeps the log from starting over.
const FORCED_EVERY: Duration = Duration::from_secs(5);
/// How long a commit may wait for whoever reads then.
const FORCED_WAIT: Duration = Duration::from_millis(50);
/// How long one attempt waits for another program that writes, such as `lychgate threads delete`.
pub(super) const BUSY: Duration = Duration::from_secs(1);
/// How long a batch is attempted again while another program has the file. Nobody's run is ended by a passing neighbour;
/// beyond this it is none.
const BUSY_FOR: Duration = Duration::from_secs(60);
/// What a trial must find room for.
const TRIAL_BYTES: usize = 64 * 1_024;

/// What an append comes to.
pub(super) type Outcome = Result<Option<Vec<Entry>>, JournalError>;

/// An append on its way.
pub(super) struct Append {
    pub(super) wanted: Wanted,
    pub(super) reply: oneshot::Sender<Outcome>,
    /// Given back when the follower has been told.
    pub(super) weight: OwnedSemaphorePermit,
}

/// A change on its way, and where upkeep waits for the answer.
type Asked = (Change, SyncSender<Answer>);

/// What a change comes to.
pub(super) type Answer = Result<(), JournalError>;

/// What became of appends and changes, in their order.
type Written = (Vec<Outcome>, Vec<Answer>);

/// What the writer is asked for.
pub(super) enum Job {
    /// By a run.
    Append(Append),
    /// By upkeep, which waits for the answer.
    Change(Change, SyncSender<Answer>),
    /// Finish what upkeep has written back, so that the write-ahead log starts over. Upkeep waits: as long as it reads,
    /// the log cannot.
    Checkpoint(SyncSender<()>),
    /// See whether there is room again.
    Trial,
    /// Write what is there, then end.
    Close,
}

pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) ledger: Ledger,
    pub(super) queue: mpsc::Receiver<Job>,
    pub(super) acks: Lanes,
    pub(super) nudge: SyncSender<()>,
    pub(super) directory: Arc<Directory>,
    pub(super) condition: Arc<Condition>,
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) forced: Option<Instant>,
}

/// Jobs of one round.
#[derive(Default)]
struct Round {
    appends: Vec<Append>,
    changes: Vec<Asked>,
    checkpoint: Option<SyncSender<()>>,
    is_trial: bool,
    is_last: bool,
    events: usize,
    bytes: usize,
}

impl Round {
    fn take(&mut self, job: Job) {
        match job {
            Job::Append(append) => {
                self.events += append.wanted.events.len();
                self.bytes += append.wanted.bytes();
                self.appends.push(append);
            }
            Job::Change(change, reply) => self.changes.push((change, reply)),
            Job::Checkpoint(reply) => self.checkpoint = Some(reply),
            Job::Trial => self.is_trial = true,
            Job::Close => self.is_last = true,
        }
    }

    fn is_full(&self) -> bool {
        self.events >= BATCH_EVENTS || self.bytes >= BATCH_BYTES || self.is_last
    }
}

impl Writer {
    /// Works until it is told to close, or everybody who could ask for something has gone.
    pub(super) fn run(mut self) {
        while let Some(job) = self.queue.blocking_recv() {
            let mut round = Round::default();
            round.take(job);
            while !round.is_full() {
                let Ok(job) = self.queue.try_recv() else { break };
                round.take(job);
            }
            if round.is_last {
                // What is in the queue already is written; nothing new gets in.
                self.queue.close();
            }
            self.work(round);
        }
        self.close();
    }

    fn work(&mut self, round: Round) {
        let Round { appends, changes, checkpoint, is_trial, .. } = round;
        if !appends.is_empty() || !changes.is_empty() {
            let (outcomes, answers) = self.write(&appends, &changes);
            self.acks.send(appends.into_iter().zip(outcomes));
            for ((_, reply), answer) in changes.into_iter().zip(answers) {
                // Upkeep may have stopped waiting.
                let _ = reply.send(answer);
            }
            self.watch_size();
        }
        if let Some(reply) = checkpoint {
            self.checkpoint();
            let _ = reply.send(());
        }
        if is_trial {
            self.try_again();
        }
    }

    /// All in one transaction. What fails as a whole is attempted one by one, so that a page that is broken under one
    /// thread is nobody else's trouble.
    fn write(&mut self, appends: &[Append], changes: &[Asked]) -> Written {
        let failure = match self.attempt_patiently(appends, changes) {
            Ok(written) => return written,
            Err(failure) => failure,
        };
        self.condition.on_failure(&failure);
        let is_shared = appends.len() + changes.len() > 1;
        if is_shared && !failure.is_full() && !failure.is_busy() {
            let outcomes = appends.iter().flat_map(|append| self.write(from_ref(append), &[]).0).collect();
            let answers = changes.iter().flat_map(|change| self.write(&[], from_ref(change)).1).collect();
            return (outcomes, answers);
        }
        let error = JournalError::from(failure);
        (vec![Err(error.clone()); appends.len()], vec![Err(error); changes.len()])
    }

    /// Again while another program has the file, for a while; where there is no room, the ends of runs alone.
    fn attempt_patiently(&mut self, appends: &[Append], changes: &[Asked]) -> Result<Written, Failure> {
        let began = Instant::now();
        loop {
            let room = if self.condition.is_full() { Room::ForEnds } else { Room::Enough };
            match self.attempt(appends, changes, room) {
                Err(failure) if failure.is_full() && room == Room::Enough => self.run_full(&failure),
                Err(failure) if failure.is_busy() && !self.is_stopping() && began.elapsed() < BUSY_FOR => {
                    self.condition.on_failure(&failure);
                }
                written => return written,
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn attempt(&mut self, appends: &[Append], changes: &[Asked], room: Room) -> Result<Written, Failure> {
        let Self { db, ledger, condition, .. } = self;
        let written = transaction(db, ledger, |db, ledger| {
            let outcomes: Result<_, Failure> =
                appends.iter().map(|append| own(ledger.append(db, &append.wanted, room))).collect();
            let change = |(change, _): &(Change, _)| match room {
                Room::Enough => own(change.apply(db, ledger)),
                Room::ForEnds => Ok(Err(JournalError::Unavailable("the disk is full".to_owned()))),
            };
            Ok((outcomes?, changes.iter().map(change).collect::<Result<_, Failure>>()?))
        });
        written.inspect(|_| condition.on_commit())
    }

    /// Makes room for the ends of runs: the ballast, and the write-ahead log from its beginning.
    fn run_full(&mut self, failure: &Failure) {
        self.condition.on_failure(failure);
        self.directory.give_ballast_up();
        self.checkpoint();
    }

    /// There may be room again: upkeep has taken the ballast back.
    fn try_again(&mut self) {
        let tried = self
            .db
            .execute("INSERT OR REPLACE INTO meta VALUES ('trial', zeroblob(?))", [TRIAL_BYTES])
            .and_then(|_| self.db.execute("DELETE FROM meta WHERE key = 'trial'", []));
        match tried {
            Ok(_) => self.condition.on_room(),
            Err(error) => {
                let failure = Failure::from(error);
                if failure.is_full() {
                    self.directory.give_ballast_up();
                }
                self.condition.on_failure(&failure);
            }
        }
    }

    /// Asks upkeep to look at what has become history, and to keep the write-ahead log short.
    fn watch_size(&mut self) {
        let (length, written_back) = pages(&self.db).unwrap_or_default();
        if length.saturating_sub(written_back) >= CHECKPOINT_PAGES || self.ledger.take_due() {
            // It is awake already when there is no room.
            let _ = self.nudge.try_send(());
        }
        let is_time = self.forced.is_none_or(|last| last.elapsed() >= FORCED_EVERY);
        if length >= MAX_PAGES && is_time {
            self.forced = Some(Instant::now());
            tracing::warn!(
                pages = length,
                "the journal's write-ahead log cannot start over: does somebody hold the database open for reading?"
            );
            self.start_over();
        }
    }

    /// Waits, a little, for whoever reads.
    fn start_over(&mut self) {
        let over = self
            .db
            .busy_timeout(FORCED_WAIT)
            .and_then(|()| self.db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())))
            .and(self.db.busy_timeout(BUSY));
        if let Err(error) = over {
            self.condition.on_failure(&error.into());
        }
    }

    fn checkpoint(&mut self) {
        match checkpoint(&self.db) {
            Ok(()) => {}
            Err(error) if self.condition.is_full() => tracing::debug!(%error, "nothing could be written back"),
            Err(error) => self.condition.on_failure(&error.into()),
        }
    }

    fn close(mut self) {
        let Self { db, ledger, directory, .. } = &mut self;
        let closed = db
            .pragma_update(None, "synchronous", "FULL")
            .map_err(Failure::from)
            .and_then(|()| transaction(db, ledger, |db, _| Ok(epoch::close(db)?)))
            .and_then(|mark| {
                if let Err(error) = directory.leave_mark(&mark) {
                    tracing::warn!(%error, "the journal cannot be marked; the next start takes it for a copy");
                }
                let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
                Ok(db.query_row(truncate, [], |_| Ok(()))?)
            });
        match closed {
            Ok(()) => self.condition.on_end("the journal is closed"),
            Err(failure) => {
                tracing::warn!(why = failure.text(), "the journal could not be closed in order");
                self.condition.on_end("the journal is closed");
            }
        }
    }
}

/// What concerns one request is its own answer; everything else ends the transaction.
fn own<T>(result: Result<T, Failure>) -> Result<Result<T, JournalError>, Failure> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(failure @ (Failure::Refused(_) | Failure::Damaged(_))) => Ok(Err(failure.into())),
        Err(failure @ Failure::Sql(_)) => Err(failure),
    }
}

fn transaction<T>(
    db: &Connection,
    ledger: &mut Ledger,
    work: impl FnOnce(&Connection, &mut Ledger) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let all = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    let done = || {
        ledger.begin(&all)?;
        let done = work(&all, ledger)?;
        ledger.end(&all)?;
        all.commit()?;
        Ok(done)
    };
    let done = done();
    done.inspect_err(|_| ledger.forget())
}

/// Writes back what no reader needs from the write-ahead log, without waiting for anybody.
pub(super) fn checkpoint(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))
}

/// Pages that are to be written back.
pub(super) fn left(db: &Connection) -> rusqlite::Result<u64> {
    pages(db).map(|(length, written_back)| length.saturating_sub(written_back))
}

/// Pages in the write-ahead log, and how many of them have been written back.
fn pages(db: &Connection) -> rusqlite::Result<(u64, u64)> {
    let mut look = db.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
    look.query_row([], |row| {
        let number = |at| row.get::<_, i64>(at).map(|pages| u64::try_from(pages).unwrap_or(0));
        Ok((number(1)?, number(2)?))
    })
}
