//! The certificate in force, and the next one.
//!
//! ```text
//!  every 2 s, and when told to: files --same as last seen--> nothing
//!                                 |--make a TLS------------> in force for whoever comes next
//!                                 '--broken----------------> said once; what was in force stays
//! ```
//!
//! Connections that are open go on: a certificate matters in a handshake alone.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

use crate::config::{Tls, TlsFault, TlsFiles};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a listener shows to its clients.
pub struct Certificates {
    tls: Tls,
    in_force: RwLock<Arc<ServerConfig>>,
    /// What the files held when they were last looked at, good or not.
    seen: Mutex<Result<TlsFiles, TlsFault>>,
}

/// What a look at the files came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// They are as they were at the last look.
    Same,
    /// The new ones are in force for whoever connects from now on.
    New,
    /// They changed, and make no TLS: what was in force stays.
    Kept(TlsFault),
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads them for the first time.
    ///
    /// # Errors
    /// They make no TLS.
    pub(super) fn new(tls: Tls) -> Result<Arc<Self>, TlsFault> {
        let files = tls.read()?;
        let in_force = RwLock::new(tls.build(&files)?);
        Ok(Arc::new(Self { tls, in_force, seen: Mutex::new(Ok(files)) }))
    }

    /// For the next handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Looks at the files now, and takes them up if they changed and make a TLS. Blocks while it reads them; logs every
    /// change once.
    pub fn reload(&self) -> Reloaded {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.tls.read();
        if *seen == files {
            return Reloaded::Same;
        }
        seen.clone_from(&files);
        match files.and_then(|files| self.tls.build(&files)) {
            Ok(config) => {
                *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = config;
                tracing::info!(tls = ?self.tls, "a new certificate is in force");
                Reloaded::New
            }
            Err(fault) => {
                tracing::error!(%fault, "the new certificate is not used, the old one stays in force");
                Reloaded::Kept(fault)
            }
        }
    }

    /// Looks at the files for ever.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let certificates = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || certificates.reload()).await.is_err() {
                tracing::error!("the certificate could not be looked at, which ended by a panic");
            }
        }
    }
}
