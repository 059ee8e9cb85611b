//! Log lines: where they go, and one line for every event of the gate.
//!
//! Levels say who is concerned: `trace` per message, `debug` per decision, `info` per change that a user feels, `warn`
//! wakes somebody, `error` is a broken promise. Tokens never appear, message text never above `debug`.

use std::sync::OnceLock;

use lychgate_core::{AdmissionPath, Event, Evidence, Pressure, Refusal, SessionKey};
use tracing::{debug, error, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};

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

/// Sends everything that `tracing` is told from now on to standard error, as `[log]` says. Once per process.
///
/// # Errors
/// [`LogError`].
pub fn install(config: &Log) -> Result<(), LogError> {
    let (subscriber, relevel) = releveled(config, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)?;
    RELEVEL.set(relevel).map_err(|_| LogError::Twice)
}

/// Has what [`install`] installed follow another filter. Without it nothing happens.
///
/// # Errors
/// [`LogError::Filter`].
pub fn set_level(level: &str) -> Result<(), LogError> {
    let filter = EnvFilter::builder().parse(level)?;
    RELEVEL.get().into_iter().for_each(|relevel| relevel(filter.clone()));
    Ok(())
}

/// Puts another filter before the subscriber of this process; there is one of it, as there is one of the subscriber.
type Relevel = Box<dyn Fn(EnvFilter) + Send + Sync>;

static RELEVEL: OnceLock<Relevel> = OnceLock::new();

/// The same to a writer of the caller's choice; the caller installs it.
///
/// # Errors
/// [`LogError::Filter`].
pub fn subscriber<W>(config: &Log, writer: W) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    Ok(releveled(config, writer)?.0)
}

type Subscriber = Box<dyn tracing::Subscriber + Send + Sync>;

fn releveled<W>(config: &Log, writer: W) -> Result<(Subscriber, Relevel), LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(&config.level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // The subscriber lives as long as the process, so that its handle always finds it.
    Ok(match config.format {
        LogFormat::Text => {
            let builder = builder.with_ansi(false).with_filter_reloading();
            let handle = builder.reload_handle();
            (Box::new(builder.finish()), Box::new(move |filter| drop(handle.reload(filter))))
        }
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            (Box::new(builder.finish()), Box::new(move |filter| drop(handle.reload(filter))))
        }
    })
}

/// Writes the line of an event. Every line about a session has `user`, `thread` and `isolation_key`, all made from the
/// one [`SessionKey`] that the gate, the journal and the agent use too (M2, M26).
pub fn event(event: &Event) {
    match event {
        Event::SessionCreated { key, connection, path, waited, .. } => created(key, connection, *path, *waited),
        Event::SessionAttached { key, connection, path, .. } => debug!(
            user = %key.user(), thread = %key.thread(), isolation_key = %key, %connection,
            path = path.as_str(), "a connection was attached to a session that was there"
        ),
        Event::SessionLingers { key } => debug!(
            user = %key.user(), thread = %key.thread(), isolation_key = %key,
            "a session lost its last connection and stays warm"
        ),
        Event::SessionReleased { key, reason } => info!(
            user = %key.user(), thread = %key.thread(), isolation_key = %key,
            reason = reason.as_str(), "a session ended"
        ),
        Event::SessionEvicted { key, reason, eviction } => info!(
            user = %key.user(), thread = %key.thread(), isolation_key = %key, level = eviction.level.as_str(),
            reason = reason.as_str(), evidence = %Proof(&eviction.evidence), "a session was reclaimed"
        ),
        Event::WouldEvict { key, eviction } => info!(
            user = %key.user(), thread = %key.thread(), isolation_key = %key, level = eviction.level.as_str(),
            evidence = %Proof(&eviction.evidence), "shadow: this session would have been reclaimed"
        ),
        Event::WouldWait { key } => info!(
            user = %key.user(), thread = %key.thread(), isolation_key = %key,
            "shadow: every session is protected, and this open would have had to wait"
        ),
        Event::Queued { key, position } => info!(
            user = %key.user(), thread = %key.thread(), isolation_key = %key, position,
            "every session is protected and the reserve is taken: an open waits in the queue"
        ),
        Event::Waiting { key, connection } => info!(
            user = %key.user(), thread = %key.thread(), isolation_key = %key, %connection,
            "an open waits while the user's connections are probed"
        ),
        Event::Connected { .. }
        | Event::Disconnected { .. }
        | Event::Zombie { .. }
        | Event::Pressure { .. }
        | Event::Refused { .. }
        | Event::Breaker { .. }
        | Event::Repaired { .. }
        | Event::Reclaimed { .. }
        | Event::ProbeFailed { .. }
        | Event::VerdictDisproved { .. }
        | Event::CloseUnconfirmed { .. } => connection_event(event),
    }
}

fn created(
    key: &SessionKey,
    connection: &lychgate_core::ConnectionId,
    path: AdmissionPath,
    waited: std::time::Duration,
) {
    let waited_ms = waited.as_millis() as u64;
    match path {
        AdmissionPath::Attach
        | AdmissionPath::Takeover
        | AdmissionPath::Free
        | AdmissionPath::Reserve
        | AdmissionPath::Queue
        | AdmissionPath::Shadow => info!(
            user = %key.user(), thread = %key.thread(), isolation_key = %key, %connection,
            path = path.as_str(), waited_ms, "a session was opened"
        ),
        AdmissionPath::Reclaimed(level) => info!(
            user = %key.user(), thread = %key.thread(), isolation_key = %key, %connection,
            path = "reclaimed", level = level.as_str(), waited_ms,
            "a session was opened in a slot that was reclaimed for it: a lockout was prevented"
        ),
    }
}

/// The events that concern a user or one of his connections, and no session.
fn connection_event(event: &Event) {
    match event {
        Event::Connected { user, connection, superseded: None } => {
            info!(%user, %connection, "a connection was registered")
        }
        Event::Connected { user, connection, superseded: Some(old) } => {
            info!(%user, %connection, superseded = %old, "a connection replaced an older one of the same tab")
        }
        Event::Disconnected { user, connection, reason } => {
            let reason = reason.map_or("ended_by_itself", |reason| reason.as_str());
            info!(%user, %connection, reason, "a connection left");
        }
        Event::Zombie { user, connection, kind, evidence } => info!(
            %user, %connection, kind = kind.as_str(), evidence = %Proof(evidence), "a connection is dead"
        ),
        Event::Pressure { user, usage } => match usage.level {
            Pressure::Ok => debug!(
                %user, pressure = usage.level.as_str(), used = usage.used, limit = usage.limit,
                "the user is below every watermark again"
            ),
            Pressure::Watch | Pressure::Warn | Pressure::High | Pressure::Full => info!(
                %user, pressure = usage.level.as_str(), used = usage.used, limit = usage.limit,
                "the user moved into another band of his limit"
            ),
        },
        Event::Refused { user, connection, thread, refusal, .. } => {
            refused(user, connection, thread.as_ref(), *refusal);
        }
        Event::CloseUnconfirmed { user, connection, .. } => info!(
            %user, %connection, "a close was not confirmed in time; the socket is torn down"
        ),
        Event::Reclaimed { user, level, freed } => {
            debug!(%user, level = level.as_str(), freed, "reclaim went to work");
        }
        Event::ProbeFailed { user, connection } => {
            debug!(%user, %connection, "a question of a probe could not be written");
        }
        Event::VerdictDisproved { user, connection, kind } => warn!(
            %user, %connection, kind = kind.as_str(), "a connection was called dead, and had shown that it is not"
        ),
        Event::Breaker { user, step, state } => {
            let user = user.as_ref().map_or("(node)", |user| user.as_str());
            warn!(user, step = step.as_str(), state = state.as_str(), "a breaker round a step of reclaim moved");
        }
        Event::Repaired { user, broken } => {
            error!(%user, broken, "an invariant of the gate did not hold, and was repaired: this is a defect");
        }
        Event::SessionCreated { .. }
        | Event::SessionAttached { .. }
        | Event::SessionLingers { .. }
        | Event::SessionReleased { .. }
        | Event::SessionEvicted { .. }
        | Event::WouldEvict { .. }
        | Event::WouldWait { .. }
        | Event::Queued { .. }
        | Event::Waiting { .. } => {}
    }
}

/// A full node wakes somebody: it is the one way in which a user who did nothing wrong is sent away.
fn refused(
    user: &lychgate_core::UserId,
    connection: &lychgate_core::ConnectionId,
    thread: Option<&lychgate_core::ThreadId>,
    refusal: Refusal,
) {
    let thread = thread.map(tracing::field::display);
    match refusal {
        Refusal::Overload { retry_in } => warn!(
            %user, thread, %connection, reason = "overload", retry_in_ms = retry_in.as_millis() as u64,
            "a user was refused because the node or his address is full"
        ),
        Refusal::Draining { retry_in } => info!(
            %user, thread, %connection, reason = "draining", retry_in_ms = retry_in.as_millis() as u64,
            "a user was sent to another node"
        ),
        Refusal::NoSlot { retry_in } => warn!(
            %user, thread, %connection, reason = "no_slot", retry_in_ms = retry_in.as_millis() as u64,
            "a user was refused because every session of his lives and limits.force is \"never\""
        ),
        Refusal::NotConnected => debug!(
            %user, thread, %connection, reason = "not_connected", "an open came from a connection that had gone"
        ),
    }
}

/// Evidence on one line.
struct Proof<'a>(&'a Evidence);

impl std::fmt::Display for Proof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "missed_pings={} missed_probes={} silent_ms={}",
            self.0.missed_pings,
            self.0.missed_probes,
            self.0.silent_for.as_millis()
        )?;
        let times = [
            ("unanswered_ms", self.0.unanswered_for),
            ("blocked_ms", self.0.blocked_for),
            ("unacked_ms", self.0.backlog.unacked_for),
        ];
        for (name, time) in times {
            if let Some(time) = time {
                write!(f, " {name}={}", time.as_millis())?;
            }
        }
        match self.0.backlog.queued_bytes {
            0 => Ok(()),
            bytes => write!(f, " queued_bytes={bytes}"),
        }
    }
}

#[cfg(test)]
mod tests;
