//! `[auth]` and `[auth.jwt]`: who may come in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::secret::Outside;
use super::value::{Secret, Span};

/// The shortest secret that HS256 is safe with (RFC 7518, section 3.2: at least as long as the hash).
pub const MIN_SECRET_BYTES: usize = 32;

const MAX_LEEWAY: Duration = Duration::from_secs(300);
const HOW_TO_MAKE_A_SECRET: &str = "Make one with `openssl rand -base64 48 > jwt.secret` and set auth.jwt.secret_file = \"jwt.secret\" \
     (or LYCHGATE__AUTH__JWT__SECRET_FILE). To try the gateway without any file, run `lychgate demo`.";

/// `[auth]`
#[derive(Clone, Debug)]
pub struct Auth {
    /// Origins that may connect from a browser; empty: any (a token is needed all the same).
    pub origins: Vec<String>,
    /// Tokens that we accept.
    pub jwt: Jwt,
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

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAuth {
    origins: Vec<String>,
    jwt: RawJwt,
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

    pub(super) fn check(&self, outside: &Outside<'_>) -> Result<Auth, Fault> {
        for origin in &self.origins {
            check_origin(origin)?;
        }
        Ok(Auth { origins: self.origins.clone(), jwt: self.jwt.check(outside)? })
    }
}

impl RawJwt {
    fn check(&self, outside: &Outside<'_>) -> Result<Jwt, Fault> {
        for (key, value) in [("auth.jwt.issuer", &self.issuer), ("auth.jwt.audience", &self.audience)] {
            if value.is_empty() {
                return Err(Fault::value(
                    key,
                    "is empty",
                    "Leave it out for the default, or name what your tokens carry.",
                ));
            }
        }
        if self.leeway.0 > MAX_LEEWAY {
            return Err(Fault::value(
                "auth.jwt.leeway",
                "is longer than 5 minutes",
                "Set the clocks right rather than accept expired tokens for so long.",
            ));
        }
        Ok(Jwt {
            secret: self.secret(outside)?,
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            leeway: self.leeway.0,
        })
    }

    fn secret(&self, outside: &Outside<'_>) -> Result<Vec<u8>, Fault> {
        const EXCLUDES: &str = "must not be set together with";
        let (key, text) = match (&self.secret, &self.secret_env, &self.secret_file) {
            (None, None, None) => {
                let what = "is not set: without a secret nobody could prove who he is";
                return Err(Fault::value("auth.jwt.secret", what, HOW_TO_MAKE_A_SECRET));
            }
            (Some(_), Some(_), _) => return Err(Fault::against("auth.jwt.secret", EXCLUDES, "auth.jwt.secret_env")),
            (Some(_), _, Some(_)) => return Err(Fault::against("auth.jwt.secret", EXCLUDES, "auth.jwt.secret_file")),
            (None, Some(_), Some(_)) => {
                return Err(Fault::against("auth.jwt.secret_env", EXCLUDES, "auth.jwt.secret_file"));
            }
            (Some(secret), None, None) => ("auth.jwt.secret", secret.0.clone()),
            (None, Some(name), None) => {
                let key = "auth.jwt.secret_env";
                (key, outside.variable(key, name)?)
            }
            (None, None, Some(path)) => {
                let key = "auth.jwt.secret_file";
                (key, outside.file(key, path)?)
            }
        };
        match text.len() {
            len if len < MIN_SECRET_BYTES => Err(Fault::value(
                key,
                format!("gives a secret of {len} bytes; HS256 needs at least {MIN_SECRET_BYTES}"),
                HOW_TO_MAKE_A_SECRET,
            )),
            _ => Ok(text.into_bytes()),
        }
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
