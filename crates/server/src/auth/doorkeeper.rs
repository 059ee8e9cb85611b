//! Who is let in, and by what: the order in which a request's proofs count.
//!
//! ```text
//!  Authorization header > subprotocol > ticket > login cookie (Origin must match) > hello.token
//!        '------- token -------'          |            |                               |
//!                  v                      v            v                               v
//!               Issuers                tickets       logins                         Issuers
//!                  '--------------- none of it revoked ---------------------------------'
//! ```

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderMap;
use lychgate_core::{Proof, UserId};
use tokio::time::{Instant, timeout_at};

use super::issuers::Unproven;
use super::revocations::{Recorded, Revocation, Revocations, RevokeError, Verdict};
use super::{Access, AuthError, Entrance, Identity, Issuers, OriginError, Tickets, bearer, check_origin};
use crate::config;
use crate::store::{Store, StoreError};

/// How long a request waits for keys that are being fetched.
const PATIENCE: Duration = Duration::from_secs(3);

/// Names under which people put tokens into addresses.
const TOKEN_NAMES: [&str; 6] = ["token", "access_token", "jwt", "id_token", "bearer", "authorization"];

/// What an HTTP request shows of whoever sent it.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// What it is for, which decides what a cookie needs besides.
    pub access: Access,
    /// All its headers.
    pub headers: &'a HeaderMap,
    /// The query of its address.
    pub query: Option<&'a str>,
    /// The token that came as a subprotocol of a WebSocket.
    pub subprotocol: Option<&'a str>,
}

impl fmt::Debug for Shown<'_> {
    /// Nothing of it: all of it may hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

/// Knows everything that lets somebody in.
pub struct Doorkeeper {
    rules: RwLock<Arc<Rules>>,
    revocations: Arc<Revocations>,
    tickets: Tickets,
    entrance: Option<Entrance>,
}

/// What the configuration says, as one value that is exchanged whole.
struct Rules {
    config: config::Auth,
    issuers: Issuers,
}

impl fmt::Debug for Doorkeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorkeeper").field("config", &self.rules().config).finish_non_exhaustive()
    }
}

impl Doorkeeper {
    /// Lets in whom the configuration names and who is logged in, less what is revoked in the store. Waits for the disk,
    /// once.
    ///
    /// # Errors
    /// The store cannot be read.
    ///
    /// # Panics
    /// Outside of a tokio runtime, where an issuer publishes its keys.
    pub fn new(config: &config::Auth, store: Arc<Store>, entrance: Option<Entrance>) -> Result<Arc<Self>, StoreError> {
        let revocations = Arc::new(Revocations::restore(store)?);
        let none = Rules { config: config.clone(), issuers: Issuers::default() };
        let doorkeeper =
            Self { rules: RwLock::new(Arc::new(none)), revocations, tickets: Tickets::default(), entrance };
        doorkeeper.reload(config);
        Ok(Arc::new(doorkeeper))
    }

    /// From now on this configuration counts. Issuers that stand in it as before keep the keys that were fetched. Whoever
    /// is in stays in.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn reload(&self, config: &config::Auth) {
        let issuers = Issuers::new(&config.all_issuers(), &self.rules().issuers);
        self.revocations.know(issuers.names().map(str::to_owned).collect(), issuers.leeway());
        let rules = Arc::new(Rules { config: config.clone(), issuers });
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whom a request proves to come from: the first proof counts, in the order of protocol.md, rule 1. None where it
    /// shows nothing, so that a `hello` may still bring a token. Waits for keys that are being fetched, 3 s at most.
    ///
    /// # Errors
    /// What it shows proves nothing, or nothing yet ([`AuthError::KeysPending`]); or there is a token in its address,
    /// whatever else it shows.
    pub async fn identify(&self, shown: Shown<'_>) -> Result<Option<Identity>, AuthError> {
        if shown.query.is_some_and(holds_a_token) {
            return Err(AuthError::InQuery);
        }
        if let Some(token) = bearer(shown.headers).or(shown.subprotocol) {
            return self.verify_patiently(token).await.map(Some);
        }
        let recheck = |identity: Identity| self.recheck(&identity.user, identity.proof).map(|()| identity);
        match (ticket(shown), &self.entrance) {
            (Some(ticket), _) => recheck(self.tickets.redeem(ticket)?).map(Some),
            (None, Some(entrance)) => match entrance.identify(shown, &self.rules().config.origins)?.map(recheck) {
                // A browser sends the cookie of a login that was taken back along, too: the page may have a token, which
                // comes in `hello` (hazard R20).
                Some(Err(_)) if shown.access == Access::Socket => Ok(None),
                identity => identity.transpose(),
            },
            (None, None) => Ok(None),
        }
    }

    /// Whether what was proven a moment ago still holds. Whoever admits somebody asks after he is in the driver's count:
    /// then he is either found when his login is ended or his token revoked, or hears of it here.
    ///
    /// # Errors
    /// [`AuthError::Revoked`], [`AuthError::JustRevoked`], [`AuthError::LoggedOut`]
    pub fn recheck(&self, user: &UserId, proof: Proof) -> Result<(), AuthError> {
        let has_ended = |entrance: &Entrance| entrance.logins.has_ended(proof);
        match self.entrance.as_ref().is_some_and(has_ended) {
            true => Err(AuthError::LoggedOut),
            false => self.check_revocations(user, proof),
        }
    }

    fn check_revocations(&self, user: &UserId, proof: Proof) -> Result<(), AuthError> {
        match self.revocations.verdict(user, proof) {
            Verdict::Good => Ok(()),
            Verdict::Revoked => Err(AuthError::Revoked),
            Verdict::Early { retry_in } => Err(AuthError::JustRevoked { retry_in }),
        }
    }

    /// What gives out tickets.
    #[must_use]
    pub fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// The way in for logins, where there is one.
    #[must_use]
    pub fn entrance(&self) -> Option<&Entrance> {
        self.entrance.as_ref()
    }

    /// Checks a token, wherever it stood, with the keys that are known.
    ///
    /// # Errors
    /// It proves nothing; or nothing yet, because its issuer has to be asked first ([`AuthError::KeysPending`]).
    pub fn verify(&self, token: &str) -> Result<Identity, AuthError> {
        Ok(self.prove(token)?)
    }

    async fn verify_patiently(&self, token: &str) -> Result<Identity, AuthError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.prove(token) {
                Ok(identity) => return Ok(identity),
                Err(Unproven::Refused(error)) => return Err(error),
                Err(Unproven::Pending(mut pending)) => {
                    let ended = match &mut pending.round {
                        Some(round) => timeout_at(deadline, round.changed()).await.is_ok_and(|changed| changed.is_ok()),
                        None => false,
                    };
                    if !ended {
                        return Err(Unproven::Pending(pending).into());
                    }
                }
            }
        }
    }

    fn prove(&self, token: &str) -> Result<Identity, Unproven> {
        let identity = self.rules().issuers.verify(token, &self.revocations.ids)?;
        self.check_revocations(&identity.user, identity.proof)?;
        Ok(identity)
    }

    /// Revokes tokens and logins: it is on the disk, and no door takes them any more, when this returns. What is open
    /// already stays so until the caller closes it, with `Driver::expel` and [`Self::is_revoked`].
    ///
    /// # Errors
    /// [`RevokeError`]; nothing is revoked then. Dropping the future leaves open whether it is.
    pub async fn revoke(&self, revocation: Revocation) -> Result<Recorded, RevokeError> {
        let (revocations, rules) = (Arc::clone(&self.revocations), self.rules());
        let written = tokio::task::spawn_blocking(move || revocations.add(&revocation, &rules.config)).await;
        written.unwrap_or(Err(RevokeError::Stopping))
    }

    /// Every revocation that still counts, with its times.
    #[must_use]
    pub fn revocations(&self) -> Vec<Revocation> {
        self.revocations.all()
    }

    /// Whether what let a user in does not count any more. Ask again once a connection is registered: a revocation that
    /// came between the check of its token and that moment has not found it.
    #[must_use]
    pub fn is_revoked(&self, user: &UserId, proof: Proof) -> bool {
        self.revocations.is_hit(user, proof)
    }

    /// Whether a page may connect or call from a browser.
    ///
    /// # Errors
    /// It is not on the list.
    pub fn check_origin(&self, origin: Option<&str>) -> Result<(), OriginError> {
        let is_own = |origin| self.entrance.as_ref().is_some_and(|entrance| entrance.is_own(origin));
        match origin {
            Some(origin) if is_own(origin) => Ok(()),
            Some(_) | None => check_origin(&self.rules().config.origins, origin),
        }
    }
}

/// The ticket in the query of an address. It opens and reads; whoever changes something has a header to put a token in.
fn ticket(shown: Shown<'_>) -> Option<&str> {
    match shown.access {
        Access::Socket | Access::Read => shown.query?.split('&').find_map(|pair| pair.strip_prefix("ticket=")),
        Access::Change => None,
    }
}

/// Addresses are kept by proxies, histories and logs; a token in one is to be taken as stolen (RFC 6750, section 5.3).
fn holds_a_token(query: &str) -> bool {
    let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    names.any(|name| TOKEN_NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)))
}
