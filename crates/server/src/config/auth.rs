//! `[auth]`, `[auth.jwt]` and `[auth.issuers.NAME]`: who may come in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Fault, not_zero};
use super::secret::Outside;
use super::value::{Secret, Span};

mod issuer;
mod keys;
mod users;

use issuer::RawIssuer;
pub use issuer::{ClaimNames, Issuer};
pub use keys::{Algorithm, KeySource, PublicKey};
use keys::{How, SecretSource};
pub(super) use users::{are_told_apart, check_prefix};

/// The shortest secret that HS256 is safe with (RFC 7518, section 3.2: at least as long as the hash).
pub const MIN_SECRET_BYTES: usize = 32;

const MAX_LEEWAY: Duration = Duration::from_secs(300);
const MAX_GRACE: Duration = Duration::from_secs(300);
const HOW_TO_MAKE_A_SECRET: &str = "Make one with `openssl rand -base64 48 > jwt.secret` and set auth.jwt.secret_file = \"jwt.secret\" \
     (or LYCHGATE__AUTH__JWT__SECRET_FILE). To try the gateway without any file, run `lychgate demo`.";

/// `[auth]`
#[derive(Clone, Debug)]
pub struct Auth {
    /// Origins that may connect from a browser; empty: any (a token is needed all the same).
    pub origins: Vec<String>,
    /// How long a revocation counts that does not say until when. Default 720 h.
    pub keep_revocations: Duration,
    /// Whether the same id is the same person, whichever source says it. Default false: no two sources may then say the
    /// same id.
    pub shared_users: bool,
    /// Tokens of our own secret; none where it has no secret and somebody else issues tokens.
    pub jwt: Option<Jwt>,
    /// Everybody else whose tokens are accepted, in the order of their names; no two have one `iss`, nor that of `jwt`.
    pub issuers: Vec<Issuer>,
}

/// `[auth.jwt]`
#[derive(Clone)]
pub struct Jwt {
    /// HS256 secret, at least 32 bytes.
    pub secret: Vec<u8>,
    /// Required `iss`. Default `lychgate`.
    pub issuer: String,
    /// Required `aud`. Default `lychgate`.
    pub audience: String,
    /// Tolerated clock difference. Default 30 s, at most 5 min.
    pub leeway: Duration,
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("issuer", &self.issuer).field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl Jwt {
    /// The same as one of `[auth.issuers]`: HS256, claims by their usual names.
    #[must_use]
    pub fn as_issuer(&self) -> Issuer {
        Issuer {
            name: "jwt".to_owned(),
            issuer: self.issuer.clone(),
            audiences: vec![self.audience.clone()],
            algorithms: vec![Algorithm::HS256],
            keys: KeySource::Secret(self.secret.as_slice().into()),
            leeway: self.leeway,
            user_prefix: String::new(),
            claims: ClaimNames::default(),
        }
    }
}

impl Auth {
    /// Everybody whose tokens are accepted.
    #[must_use]
    pub fn all_issuers(&self) -> Vec<Issuer> {
        self.jwt.iter().map(Jwt::as_issuer).chain(self.issuers.iter().cloned()).collect()
    }

    /// Whether a token can prove who one is.
    fn takes_tokens(&self) -> bool {
        self.jwt.is_some() || !self.issuers.is_empty()
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAuth {
    origins: Vec<String>,
    expiry_grace: Span,
    keep_revocations: Span,
    shared_users: bool,
    jwt: RawJwt,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    issuers: BTreeMap<String, RawIssuer>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct RawJwt {
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_file: Option<PathBuf>,
    issuer: String,
    audience: String,
    leeway: Span,
}

impl RawAuth {
    /// Replaces whatever source of the secret was named.
    pub(super) fn set_secret(&mut self, secret: String) {
        self.jwt.secret = Some(Secret(secret));
        self.jwt.secret_env = None;
        self.jwt.secret_file = None;
    }

    /// How long a connection goes on after its token expired; the gate counts it.
    pub(super) fn grace(&self) -> Result<Duration, Fault> {
        match self.expiry_grace.0 {
            grace if grace <= MAX_GRACE => Ok(grace),
            _ => Err(Fault::value(
                "auth.expiry_grace",
                "is longer than 5 minutes",
                "Issue tokens that live longer rather than serve expired ones for so long.",
            )),
        }
    }

    /// `has_login` says that users can log in, so that tokens need not be taken at all.
    pub(super) fn check(&self, outside: &Outside<'_>, has_login: bool) -> Result<Auth, Fault> {
        for origin in &self.origins {
            check_origin(origin)?;
        }
        not_zero("auth.keep_revocations", self.keep_revocations.0)?;
        let jwt = self.jwt.check(outside)?;
        let issuers =
            self.issuers.iter().map(|(name, issuer)| issuer.check(name, outside)).collect::<Result<_, _>>()?;
        let auth = Auth {
            origins: self.origins.clone(),
            keep_revocations: self.keep_revocations.0,
            shared_users: self.shared_users,
            jwt,
            issuers,
        };
        tell_apart(&auth)?;
        match has_login || auth.takes_tokens() {
            true => Ok(auth),
            false => {
                let what = "is not set: without a secret nobody could prove who he is";
                Err(Fault::value("auth.jwt.secret", what, HOW_TO_MAKE_A_SECRET))
            }
        }
    }
}

/// A token finds its issuer by `iss` alone: two of one `iss` would take turns in refusing each other's tokens.
fn tell_apart(auth: &Auth) -> Result<(), Fault> {
    let own = auth.jwt.iter().map(|jwt| ("auth.jwt.issuer".to_owned(), jwt.issuer.as_str()));
    let others = auth.issuers.iter().map(|it| (format!("auth.issuers.{}.issuer", it.name), it.issuer.as_str()));
    let mut known: BTreeMap<&str, String> = BTreeMap::new();
    for (key, issuer) in own.chain(others) {
        if let Some(first) = known.insert(issuer, key.clone()) {
            return Err(Fault::against(key, "must not be the same as", first));
        }
    }
    Ok(())
}

impl RawJwt {
    fn check(&self, outside: &Outside<'_>) -> Result<Option<Jwt>, Fault> {
        for (key, value) in [("auth.jwt.issuer", &self.issuer), ("auth.jwt.audience", &self.audience)] {
            not_empty(key, value)?;
        }
        check_leeway("auth.jwt.leeway", self.leeway.0)?;
        let source = SecretSource {
            table: "auth.jwt",
            text: self.secret.as_ref(),
            variable: self.secret_env.as_deref(),
            file: self.secret_file.as_deref(),
        };
        let how = How { algorithm: Algorithm::HS256, remedy: HOW_TO_MAKE_A_SECRET };
        Ok(source.read(outside, &how)?.map(|secret| Jwt {
            secret,
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            leeway: self.leeway.0,
        }))
    }
}

fn not_empty(key: &str, value: &str) -> Result<(), Fault> {
    match value {
        "" => Err(Fault::value(key, "is empty", "Leave it out for the default, or name what your tokens carry.")),
        _ => Ok(()),
    }
}

fn check_leeway(key: &str, leeway: Duration) -> Result<(), Fault> {
    match leeway {
        leeway if leeway <= MAX_LEEWAY => Ok(()),
        _ => Err(Fault::value(
            key,
            "is longer than 5 minutes",
            "Set the clocks right rather than accept expired tokens for so long.",
        )),
    }
}

/// An origin is a scheme, a host and maybe a port (RFC 6454, section 6.2). One with a path or a slash at its end would
/// never equal what a browser sends, and lock every user of that page out.
fn check_origin(origin: &str) -> Result<(), Fault> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let is_plain = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']);
    match host {
        Some(host) if is_plain(host) && *origin == origin.to_ascii_lowercase() => Ok(()),
        Some(_) | None => Err(Fault::value(
            "auth.origins",
            format!("holds {origin:?}, which no browser sends as an origin"),
            "Write scheme, host and port in lower case and nothing after them, such as \"https://chat.example.org\".",
        )),
    }
}

#[cfg(test)]
mod tests;
