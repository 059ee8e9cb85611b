//! Whose tokens are accepted: each is verified by the issuer that it names, and by no other.
//!
//! ```text
//! token --iss, not yet believed--> Trusted --one key, its algorithms--> signature, exp, nbf, iss, aud --> claims
//!             '- of nobody here: refused
//! ```
//!
//! Which algorithm is used comes from the configuration and from the key, never from the token (RFC 8725, section 3.1).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use super::claims::{ProofIds, Reading};
use super::jwks::{Jwks, Pending};
use super::jwt::{self, Head};
use super::{AuthError, Identity};
use crate::config::{self, KeySource};

/// Everybody whose tokens are accepted.
#[derive(Debug, Default)]
pub struct Issuers {
    all: Vec<Arc<Trusted>>,
}

/// One of them.
struct Trusted {
    config: config::Issuer,
    keys: Keys,
}

enum Keys {
    /// From the configuration.
    Fixed(Box<Checker>),
    /// Published by the issuer.
    Published(Jwks),
}

/// One key, with all that a token that it signed must say.
pub(super) struct Checker {
    pub(super) key: DecodingKey,
    pub(super) rules: Validation,
}

/// Why a token proves nothing, or nothing yet.
#[derive(Debug)]
pub(super) enum Unproven {
    /// It never will.
    Refused(AuthError),
    /// Its issuer has to be asked first.
    Pending(Pending),
}

impl From<AuthError> for Unproven {
    fn from(error: AuthError) -> Self {
        Self::Refused(error)
    }
}

impl From<Unproven> for AuthError {
    fn from(unproven: Unproven) -> Self {
        match unproven {
            Unproven::Refused(error) => error,
            Unproven::Pending(pending) => Self::KeysPending { retry_in: pending.retry_in },
        }
    }
}

impl fmt::Debug for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.config, f)
    }
}

impl Issuers {
    /// Those of the configuration. One that stood in `before` just so keeps the keys that it fetched.
    ///
    /// # Panics
    /// Outside of a tokio runtime, if one of them publishes its keys: they are fetched in the background.
    #[must_use]
    pub fn new(configured: &[config::Issuer], before: &Self) -> Self {
        let trusted = |config: &config::Issuer| {
            let known = before.all.iter().find(|known| known.config == *config);
            known.map_or_else(|| Arc::new(Trusted::new(config)), Arc::clone)
        };
        Self { all: configured.iter().map(trusted).collect() }
    }

    /// Checks a token. Does not block: where its issuer has to be asked first, it is, and the answer is `Pending`.
    pub(super) fn verify(&self, token: &str, ids: &ProofIds) -> Result<Identity, Unproven> {
        let head = Head::read(token)?;
        let trusted = self.all.iter().find(|trusted| trusted.config.issuer == head.issuer);
        let Some(Trusted { config, keys }) = trusted.map(|trusted| &**trusted) else {
            return Err(AuthError::WrongIssuer.into());
        };
        let claims = match keys {
            Keys::Fixed(checker) => checker.check(token)?,
            Keys::Published(jwks) => jwks.check(token, &head)?,
        };
        let now = crate::wire::unix_ms() / 1000;
        let reading = Reading {
            issuer: &config.issuer,
            prefix: &config.user_prefix,
            names: &config.claims,
            leeway: config.leeway,
            ids,
            now,
        };
        Ok(reading.identity(&claims)?)
    }

    /// By how much a clock of theirs may differ from ours, at most.
    pub(super) fn leeway(&self) -> Duration {
        self.all.iter().map(|trusted| trusted.config.leeway).max().unwrap_or_default()
    }

    /// Their `iss`.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|trusted| trusted.config.issuer.as_str())
    }
}

impl Trusted {
    fn new(config: &config::Issuer) -> Self {
        let fixed = |key: DecodingKey| Keys::Fixed(Box::new(Checker { key, rules: rules(config, &config.algorithms) }));
        let keys = match &config.keys {
            KeySource::Secret(secret) => fixed(DecodingKey::from_secret(secret)),
            KeySource::Public(public) => fixed(public.key.clone()),
            KeySource::Jwks(address) => Keys::Published(Jwks::start(config.clone(), address.clone())),
        };
        Self { config: config.clone(), keys }
    }
}

impl Checker {
    /// The claims of a token that this key signed, and that is meant for us, now.
    pub(super) fn check(&self, token: &str) -> Result<Map<String, Value>, AuthError> {
        jwt::decode(token, &self.key, &self.rules)
    }

    /// Whether a token may say that it is signed so.
    pub(super) fn allows(&self, algorithm: Algorithm) -> bool {
        self.rules.algorithms.contains(&algorithm)
    }
}

/// What every token of an issuer must say, for a key with these algorithms.
pub(super) fn rules(config: &config::Issuer, algorithms: &[Algorithm]) -> Validation {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.algorithms = algorithms.to_vec();
    rules.leeway = config.leeway.as_secs();
    rules.validate_nbf = true;
    rules.set_required_spec_claims(&["exp", "aud", "iss"]);
    rules.set_audience(&config.audiences);
    rules.set_issuer(&[&config.issuer]);
    rules
}
