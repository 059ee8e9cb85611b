//! SIGHUP: the configuration is read again, what changed is told, and what can be put in force at once is.
//!
//! ```text
//!  SIGHUP -> read, check -> wrong: told with file, line and remedy; everything stays as it is
//!                        -> right: each change is a line; limits, plans, doors and log level hold at once,
//!                                  the rest is named as waiting for a restart
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::notify;
use crate::config::{Config, ConfigError, Loaded};
use crate::error::Error;
use crate::telemetry::logs;

/// Reads the configuration again, from where it came from.
pub type Source = Box<dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync>;

/// What is in force, and where a newer configuration comes from.
pub(super) struct InForce {
    source: Source,
    loaded: Mutex<Arc<Loaded>>,
    apply: Box<dyn Fn(&Config) + Send + Sync>,
}

impl InForce {
    /// `apply` puts in force what can be at once, all of it each time.
    pub(super) fn new(
        loaded: Arc<Loaded>,
        source: Source,
        apply: impl Fn(&Config) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { source, loaded: Mutex::new(loaded), apply: Box::new(apply) })
    }

    /// The configuration in force, checked.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).check()
    }

    /// Reads and compares; blocks on the files.
    fn reload(&self) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match self.next(&loaded) {
            Ok((newer, config)) => {
                (self.apply)(&config);
                *loaded = Arc::new(newer);
                tracing::info!("configuration read again, secrets and keys included");
            }
            Err(error) => tracing::error!(%error, "the new configuration is wrong; the old one stays in force"),
        }
    }

    fn next(&self, old: &Loaded) -> Result<(Loaded, Config), ConfigError> {
        let said = (self.source)()?;
        // As a whole, so that a mistake in what waits for a restart is told now and not at that restart.
        said.check()?;
        let changes = old.changes(&said);
        let newer = old.reloaded(&said)?;
        let config = newer.check()?;
        for change in &changes {
            match change.is_at_once() {
                true => tracing::info!(%change, "configuration changed"),
                false => tracing::warn!(%change, "this change of the configuration needs a restart"),
            }
        }
        Ok((newer, config))
    }

    /// Reloads at every SIGHUP, until it is aborted.
    ///
    /// # Errors
    /// The system denies to listen for the signal.
    pub(super) fn listen(self: &Arc<Self>) -> Result<JoinHandle<()>, Error> {
        let mut hangup =
            signal(SignalKind::hangup()).map_err(|source| Error::System { what: "listen for signals", source })?;
        let this = Arc::clone(self);
        Ok(tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                notify::reloading();
                let this = Arc::clone(&this);
                if tokio::task::spawn_blocking(move || this.reload()).await.is_err() {
                    tracing::error!("reading the configuration ended by a panic; the old one stays in force");
                }
                notify::ready();
            }
        }))
    }
}

/// Has the log follow a new level.
pub(super) fn relevel(config: &Config) {
    if let Err(error) = logs::set_level(&config.log.level) {
        tracing::error!(%error, "the level of the log stays as it was");
    }
}
