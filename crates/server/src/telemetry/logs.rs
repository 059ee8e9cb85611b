//! Log lines: where they go, and one line for every step in the life of a session, a connection or a run.
//!
//! ```text
//! tracing -> filter ([log] level) -> storm (many of one kind) -> text | json | gcp -> writer (own thread) -> stderr
//! ```
//!
//! Levels say who is concerned: `trace` per message, `debug` per decision, `info` per change that a user feels, `warn`
//! wakes somebody, `error` is a broken promise. Tokens never appear, message text never above `debug`.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{Log, LogFormat};

mod json;
mod lifecycle;
mod runs;
mod steps;
mod storm;
mod text;
mod writer;

pub use lifecycle::event;
pub use runs::{RunStep, run};
pub use steps::{STEPS, Step, markdown};

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `log.level` is no filter; the configuration checks it, so this is our own mistake.
    #[error("log.level is no filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Something in this process logs already.
    #[error("logging was started twice in one process")]
    Twice,
}

/// Sends everything that `tracing` is told from now on to standard error, as `[log]` says, and panics too. Once per
/// process. Nobody who logs waits for standard error; dropping what this returns waits for it, a second at most.
///
/// # Errors
/// [`LogError`].
pub fn install(config: &Log) -> Result<Started, LogError> {
    let (writer, losses, guard) = writer::of(std::io::stderr());
    let Parts { subscriber, relevel, storm } = parts(config, writer)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)?;
    INSTALLED.set(Installed { relevel, storm, losses, told: AtomicU64::new(0) }).map_err(|_| LogError::Twice)?;
    // The standard hook writes to standard error itself, and would wait for whoever reads there.
    std::panic::set_hook(Box::new(panicked));
    Ok(Started { _guard: guard })
}

/// Logging, until it is dropped: then what is left is told and written.
#[derive(Debug)]
pub struct Started {
    _guard: WorkerGuard,
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(installed) = INSTALLED.get() {
            installed.storm.tell_all();
            installed.tell_losses();
        }
    }
}

/// Has what [`install`] installed follow another filter. Without it nothing happens.
///
/// # Errors
/// [`LogError::Filter`].
pub fn set_level(level: &str) -> Result<(), LogError> {
    let filter = EnvFilter::builder().parse(level)?;
    INSTALLED.get().into_iter().for_each(|installed| (installed.relevel)(filter.clone()));
    Ok(())
}

/// Tells how many lines were left out or lost, once their second is over; to be called a few times in a second. Does not
/// block.
pub fn tell_dropped() {
    if let Some(installed) = INSTALLED.get() {
        installed.storm.tell();
        installed.tell_losses();
    }
}

/// Lines that nobody reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Left out of storms.
    pub left_out: u64,
    /// Lost because standard error took none, or not fast enough.
    pub lost: u64,
}

/// Lines that were not written since the start.
#[must_use]
pub fn dropped() -> Dropped {
    let counts =
        |installed: &Installed| Dropped { left_out: installed.storm.left_out(), lost: installed.losses.count() };
    INSTALLED.get().map(counts).unwrap_or_default()
}

/// Puts another filter before the subscriber of this process.
type Relevel = Box<dyn Fn(EnvFilter) + Send + Sync>;

type Subscriber = Box<dyn tracing::Subscriber + Send + Sync>;

/// What there is once in a process, as there is one subscriber.
struct Installed {
    relevel: Relevel,
    storm: Arc<storm::Storm>,
    losses: writer::Losses,
    /// Losses that are in the log.
    told: AtomicU64,
}

impl Installed {
    fn tell_losses(&self) {
        let lost = self.losses.count();
        let more = lost.saturating_sub(self.told.swap(lost, Ordering::Relaxed));
        if more > 0 {
            tracing::warn!(
                event = "log.lost",
                lines = more,
                "log lines were lost: standard error took them too slowly"
            );
        }
    }
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();

/// The same to a writer of the caller's choice; the caller installs it.
///
/// # Errors
/// [`LogError::Filter`].
pub fn subscriber<W>(config: &Log, writer: W) -> Result<Subscriber, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    Ok(parts(config, writer)?.subscriber)
}

struct Parts {
    subscriber: Subscriber,
    relevel: Relevel,
    storm: Arc<storm::Storm>,
}

fn parts<W>(config: &Log, writer: W) -> Result<Parts, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::<_, Registry>::new(EnvFilter::builder().parse(&config.level)?);
    let storm = storm::Storm::new(config.storm);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    let lines = match config.format {
        LogFormat::Text => lines.fmt_fields(text::Text).boxed(),
        LogFormat::Json => lines.event_format(json::Json::Plain).boxed(),
        LogFormat::Gcp => lines.event_format(json::Json::gcp(config.gcp_project.as_deref())).boxed(),
    };
    let subscriber = Registry::default().with(filter).with(storm::Gate(Arc::clone(&storm))).with(lines);
    // The subscriber lives as long as the process, so that its handle always finds it.
    let relevel = Box::new(move |filter| drop(handle.reload(filter)));
    Ok(Parts { subscriber: Box::new(subscriber), relevel, storm })
}

/// A panic as a line of the log, with a backtrace where `RUST_BACKTRACE` asks for one.
fn panicked(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("(no text)");
    let location = panic.location().map(tracing::field::display);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(backtrace));
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("(no name)");
    tracing::error!(event = "gateway.panicked", thread, location, backtrace, "panicked at: {message}");
}

#[cfg(test)]
mod tests;
