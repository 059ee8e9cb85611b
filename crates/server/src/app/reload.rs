//! SIGHUP: the configuration is read again, what changed is told, and what can be put in force at once is.
//!
//! ```text
//!  SIGHUP -> read, check -> wrong: told with file, line and remedy; everything stays as it is
//!                        -> right: each change is a line; limits, plans, doors and log level hold at once,
//!                                  the rest is named as waiting for a restart
//! ```

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::notify;
use crate::config::{Config, ConfigError, Loaded};
use crate::error::Error;
use crate::telemetry::logs;

/// Reads the configuration again, from where it came from.
pub type Source = Box<dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync>;

/// The configuration in force, for whoever looks.
pub(super) struct Standing {
    /// Held for an exchange alone: whoever stops the node, or asks for its configuration, must not wait for a file.
    current: RwLock<(Arc<Loaded>, Arc<Config>)>,
}

impl Standing {
    /// `config` is what `loaded` comes to.
    pub(super) fn new(loaded: Arc<Loaded>, config: Config) -> Arc<Self> {
        prepare(&loaded);
        Arc::new(Self { current: RwLock::new((loaded, Arc::new(config))) })
    }

    /// With the place of every key. Does not block.
    pub(super) fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Checked. Does not block.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    fn replace(&self, loaded: Loaded, config: Config) {
        prepare(&loaded);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(loaded), Arc::new(config));
    }
}

/// Here and not where operators ask for them: their listener has one thread, on which nobody else is answered meanwhile.
fn prepare(loaded: &Loaded) {
    let _ = loaded.settings();
}

/// What is in force, and where a newer configuration comes from.
pub(super) struct InForce {
    source: Source,
    /// Held while files are read, which may take for ever.
    reading: Mutex<()>,
    standing: Arc<Standing>,
    apply: Box<dyn Fn(&Config) + Send + Sync>,
}

/// Why nothing of a newer configuration holds.
enum Refused {
    /// It is none.
    Wrong(ConfigError),
    /// It is right, but what holds at once does not go together with what is in force until a restart.
    NeedsRestart(ConfigError),
}

impl InForce {
    /// `apply` puts in force what can be at once, all of it each time.
    pub(super) fn new(
        standing: Arc<Standing>,
        source: Source,
        apply: impl Fn(&Config) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { source, reading: Mutex::new(()), standing, apply: Box::new(apply) })
    }

    /// Reads and compares; blocks on the files.
    fn reload(&self) {
        let _turn = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match self.next(&self.standing.loaded()) {
            Ok((newer, config)) => {
                (self.apply)(&config);
                self.standing.replace(newer, config);
                tracing::info!("configuration read again, secrets and keys included");
            }
            Err(Refused::Wrong(error)) => {
                tracing::error!(%error, "the new configuration is wrong; the old one stays in force");
            }
            Err(Refused::NeedsRestart(error)) => tracing::error!(
                %error,
                "the new configuration is right, but what changed needs a restart to hold; the old one stays in force"
            ),
        }
    }

    fn next(&self, old: &Loaded) -> Result<(Loaded, Config), Refused> {
        let said = (self.source)().map_err(Refused::Wrong)?;
        // As a whole, so that a mistake in what waits for a restart is told now and not at that restart.
        said.check_again().map_err(Refused::Wrong)?;
        for change in old.changes(&said) {
            match change.is_at_once() {
                true => tracing::info!(%change, "configuration changed"),
                false => tracing::warn!(%change, "this change of the configuration needs a restart"),
            }
        }
        let newer = old.reloaded(&said).map_err(Refused::NeedsRestart)?;
        let config = newer.check_again().map_err(Refused::NeedsRestart)?;
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
