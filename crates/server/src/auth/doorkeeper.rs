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
use lychgate_core::Proof;

use super::{
    Access, AuthError, Authenticator, Identity, Logins, OriginError, Tickets, bearer, check_origin, is_own_page,
    read_cookie,
};

/// What an HTTP request shows of whoever sent it.
#[derive(Clone, Copy, Debug)]
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

/// The way in for logins with a browser.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// Who is logged in.
    pub logins: Arc<Logins>,
    /// The origins of our own pages; one, unless a listener has several names.
    pub own_origins: Vec<String>,
}

/// Knows everything that lets somebody in.
pub struct Doorkeeper {
    tokens: Arc<dyn Authenticator>,
    origins: Arc<[String]>,
    tickets: Tickets,
    entrance: Option<Entrance>,
}

impl fmt::Debug for Doorkeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorkeeper").field("origins", &self.origins).finish_non_exhaustive()
    }
}

impl Doorkeeper {
    /// Takes tokens that `tokens` proves, requests of browsers from `origins` (empty: any), and logins, where there is an
    /// entrance for them.
    #[must_use]
    pub fn new(tokens: Arc<dyn Authenticator>, origins: &[String], entrance: Option<Entrance>) -> Arc<Self> {
        Arc::new(Self { tokens, origins: origins.into(), tickets: Tickets::default(), entrance })
    }

    /// Whom a request proves to come from: the first proof counts, in the order of protocol.md, rule 1. None where it
    /// shows nothing, so that a `hello` may still bring a token.
    ///
    /// # Errors
    /// What it shows proves nothing.
    pub async fn identify(&self, shown: Shown<'_>) -> Result<Option<Identity>, AuthError> {
        if let Some(token) = bearer(shown.headers).or(shown.subprotocol) {
            return self.verify(token).map(Some);
        }
        let identity = match ticket(shown) {
            Some(ticket) => Some(self.tickets.redeem(ticket)?),
            None => self.by_cookie(shown)?,
        };
        identity.map(|identity| self.recheck(identity.proof).map(|()| identity)).transpose()
    }

    /// A cookie that means nothing any more shows nothing: the page may have a token, and must not be locked out by what
    /// its browser still remembers (hazard R20). So is one that another page may not use, where a token may follow.
    fn by_cookie(&self, shown: Shown<'_>) -> Result<Option<Identity>, AuthError> {
        let Some(entrance) = &self.entrance else { return Ok(None) };
        let token = read_cookie(shown.headers, entrance.logins.realm().cookie());
        let Some(identity) = token.and_then(|token| entrance.logins.identity(&token)) else { return Ok(None) };
        match (is_own_page(shown.headers, shown.access, &entrance.own_origins, &self.origins), shown.access) {
            (true, _) => Ok(Some(identity)),
            (false, Access::Socket) => Ok(None),
            (false, Access::Read | Access::Change) => Err(AuthError::ForeignPage),
        }
    }

    /// Whether what was proven a moment ago still holds. Whoever admits somebody asks after he is in the driver's count:
    /// then he is either found when his login is ended, or hears of it here.
    ///
    /// # Errors
    /// [`AuthError::LoggedOut`]
    pub fn recheck(&self, proof: Proof) -> Result<(), AuthError> {
        match &self.entrance {
            Some(entrance) if entrance.logins.has_ended(proof) => Err(AuthError::LoggedOut),
            Some(_) | None => Ok(()),
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
        let own = self.entrance.iter().flat_map(|entrance| &entrance.own_origins);
        match origin {
            Some(origin) if own.into_iter().any(|own| own.eq_ignore_ascii_case(origin)) => Ok(()),
            Some(_) | None => check_origin(&self.origins, origin),
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
