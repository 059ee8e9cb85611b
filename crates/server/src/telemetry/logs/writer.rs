//! Standard error, written to by a thread of its own: whoever logs never waits for whoever reads (hazard: a pipe that
//! nobody empties would stop the gateway, its heartbeats and its reaper).
//!
//! ```text
//! line -> queue (bounded) --thread--> standard error
//!             '- full -> lost, counted, told when there is room again
//! ```

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that wait, at most: of some hundred bytes each, so that they are a megabyte or two.
const QUEUED_LINES: usize = 4_096;

/// Lines that were lost on their way.
#[derive(Clone)]
pub(super) struct Losses {
    /// The queue was full.
    full: ErrorCounter,
    /// They could not be written: whoever reads is gone.
    unwritten: Arc<AtomicU64>,
}

impl Losses {
    pub(super) fn count(&self) -> u64 {
        self.full.dropped_lines() as u64 + self.unwritten.load(Ordering::Relaxed)
    }
}

/// Where lines go to, what becomes of them, and what waits (a second at most) for those on their way when it is dropped.
pub(super) fn of(end: impl Write + Send + 'static) -> (NonBlocking, Losses, WorkerGuard) {
    let unwritten = Arc::<AtomicU64>::default();
    let end = Counted { end, unwritten: Arc::clone(&unwritten) };
    let builder = NonBlockingBuilder::default().buffered_lines_limit(QUEUED_LINES).lossy(true).thread_name("log");
    let (writer, guard) = builder.finish(end);
    let losses = Losses { full: writer.error_counter(), unwritten };
    (writer, losses, guard)
}

/// Counts what cannot be written.
struct Counted<W> {
    end: W,
    unwritten: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.end.write(bytes)
    }

    /// One line.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.end.write_all(bytes).inspect_err(|_| {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.end.flush()
    }
}
