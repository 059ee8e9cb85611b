//! Who stands at the door, before anybody knows his name: where he comes from, and whether too many come from there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, HeaderName};

use super::rates::{Credential, Rates};
use crate::auth::{AuthError, Shown};

/// The sender of a request; stands in the extensions of every request. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Visitor {
    address: IpAddr,
    retry_in: Option<Duration>,
    rates: Arc<Rates>,
}

impl Visitor {
    pub(super) fn new(address: IpAddr, retry_in: Option<Duration>, rates: Arc<Rates>) -> Self {
        Self { address, retry_in, rates }
    }

    /// Where he comes from: behind a trusted proxy, whom it speaks for.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// When to come back, for somebody without a valid proof: too many connects come from his network. Whoever proves
    /// who he is, is served (hazard R20).
    #[must_use]
    pub fn retry_in(&self) -> Option<Duration> {
        self.retry_in
    }

    /// What a request shows as its proof, to be told apart from others; none where it shows nothing.
    #[must_use]
    pub fn credential(&self, shown: &Shown<'_>) -> Option<Credential> {
        let header = |name: HeaderName| shown.headers.get(name).map_or(&b""[..], |value| value.as_bytes());
        let (subprotocol, query) = (shown.subprotocol.unwrap_or_default(), shown.query.unwrap_or_default());
        let parts = [header(AUTHORIZATION), subprotocol.as_bytes(), query.as_bytes(), header(COOKIE)];
        parts.iter().any(|part| !part.is_empty()).then(|| self.rates.credential(parts))
    }

    /// The same for a token that came in `hello`.
    #[must_use]
    pub fn token(&self, token: &str) -> Credential {
        self.rates.credential([b"", token.as_bytes(), b"", b""])
    }

    /// How long this credential is not looked at: it failed from this network too often.
    #[must_use]
    pub fn held_off(&self, credential: Option<Credential>) -> Option<Duration> {
        self.rates.held_off(self.address, credential?)
    }

    /// The credential was looked at and let nobody in. Where it may still prove something, it has not failed.
    pub fn failed(&self, credential: Option<Credential>, error: &AuthError) {
        if let Some(credential) = credential.filter(|_| error.is_final()) {
            self.rates.failed(self.address, credential);
        }
    }
}
