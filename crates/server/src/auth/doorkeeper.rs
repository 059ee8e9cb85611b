//! Who is let in, and by what: the order in which a request's proofs count.
//!
//! ```text
//!  Authorization header > subprotocol > ticket > login cookie (Origin must match) > hello.token
//!        '------- token -------'          |            |                               |
//!                  v                      v            v                               v
//!            Authenticator             tickets       logins                      Authenticator
//!                  '--------------- none of it revoked ---------------------------------'
//! ```

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;

use super::{AuthError, Authenticator, Identity, OriginError, bearer, check_origin};

/// What an HTTP request shows of whoever sent it.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// All its headers.
    pub headers: &'a HeaderMap,
    /// The query of its address.
    pub query: Option<&'a str>,
    /// The token that came as a subprotocol of a WebSocket.
    pub subprotocol: Option<&'a str>,
}

/// Knows everything that lets somebody in.
pub struct Doorkeeper {
    tokens: Arc<dyn Authenticator>,
    origins: Arc<[String]>,
}

impl fmt::Debug for Doorkeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorkeeper").field("origins", &self.origins).finish_non_exhaustive()
    }
}

impl Doorkeeper {
    /// Takes tokens that `tokens` proves, and requests of browsers from `origins` (empty: any).
    #[must_use]
    pub fn new(tokens: Arc<dyn Authenticator>, origins: &[String]) -> Arc<Self> {
        Arc::new(Self { tokens, origins: origins.into() })
    }

    /// Whom a request proves to come from: the first proof counts, in the order of protocol.md, rule 1. None where it
    /// shows nothing, so that a `hello` may still bring a token.
    ///
    /// # Errors
    /// What it shows proves nothing.
    pub async fn identify(&self, shown: Shown<'_>) -> Result<Option<Identity>, AuthError> {
        bearer(shown.headers).or(shown.subprotocol).map(|token| self.verify(token)).transpose()
    }

    /// Checks a token, wherever it stood.
    ///
    /// # Errors
    /// It proves nothing.
    pub fn verify(&self, token: &str) -> Result<Identity, AuthError> {
        self.tokens.verify(token)
    }

    /// Whether a page may connect or call from a browser.
    ///
    /// # Errors
    /// It is not on the list.
    pub fn check_origin(&self, origin: Option<&str>) -> Result<(), OriginError> {
        check_origin(&self.origins, origin)
    }
}
