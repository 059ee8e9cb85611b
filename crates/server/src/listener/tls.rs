//! The certificate in force, and the next one.
//!
//! ```text
//!  every 2 s, and when told to: files --those in force--> nothing
//!                                 |--make a TLS---------> in force for whoever comes next
//!                                 '--make none----------> said once; what was in force stays; the next look tries again
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
    /// What the last look came to: the files that are in force, or why they make no TLS. Such a reason may pass although
    /// the files stay as they are: the time of a certificate comes.
    last: Mutex<Result<TlsFiles, TlsFault>>,
}

/// What a look at the files came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// They are in force already.
    Same,
    /// The new ones are in force for whoever connects from now on.
    New,
    /// They make no TLS now: what was in force stays.
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
        Ok(Arc::new(Self { tls, in_force, last: Mutex::new(Ok(files)) }))
    }

    /// For the next handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Looks at the files now, and takes them up if they are new and make a TLS. Blocks while it reads them; logs every
    /// change once, and a fault again only when it is another one.
    pub fn reload(&self) -> Reloaded {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.tls.read();
        if last.is_ok() && *last == files {
            return Reloaded::Same;
        }
        match files.and_then(|files| Ok((self.tls.build(&files)?, files))) {
            Ok((config, files)) => {
                *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = config;
                *last = Ok(files);
                tracing::info!(tls = ?self.tls, "a new certificate is in force");
                Reloaded::New
            }
            Err(fault) => {
                let outcome = Err(fault.clone());
                if *last != outcome {
                    tracing::error!(%fault, "the new certificate is not used, the old one stays in force");
                    *last = outcome;
                }
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

#[cfg(test)]
mod tests;
