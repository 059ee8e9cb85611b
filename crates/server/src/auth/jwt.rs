//! JSON Web Tokens (RFC 7519): what one says of itself, what it claims once its signature holds, and tokens of our own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use lychgate_core::UserId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::AuthError;
use crate::config;

/// The longest token that is looked at (hazard R31). Request headers are bounded near this size anyway.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What `lychgate token` signs with.
const ALGORITHM: Algorithm = Algorithm::HS256;

/// Installs the cryptography of tokens for this process. Call it first thing; calling it again does nothing.
///
/// Without it the first token would panic as soon as any dependency switches a second provider on.
pub fn install_provider() {
    // An error says that one is installed already, which is all that we want.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// What a token says of itself before anything of it is believed: enough to find who can say whether it is true.
#[derive(Debug)]
pub(super) struct Head {
    /// Its `iss`.
    pub(super) issuer: String,
    /// Its `kid`.
    pub(super) key: Option<String>,
    /// Its `alg`: it never decides what a key is used for.
    pub(super) algorithm: Algorithm,
}

impl Head {
    /// Reads it, and nothing that is longer than a token of ours.
    pub(super) fn read(token: &str) -> Result<Self, AuthError> {
        #[derive(Deserialize)]
        struct Issued {
            iss: Option<Value>,
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::TooLong(token.len()));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| because(token, error.into_kind()))?;
        let payload = token.split('.').nth(1).unwrap_or_default();
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| AuthError::Malformed("not base64url".to_owned()))?;
        let issued: Issued = serde_json::from_slice(&payload)
            .map_err(|error| AuthError::Malformed(format!("JSON, {:?}", error.classify())))?;
        match issued.iss {
            Some(Value::String(issuer)) => Ok(Self { issuer, key: header.kid, algorithm: header.alg }),
            Some(_) | None => Err(AuthError::MissingClaim("iss".to_owned())),
        }
    }
}

/// The claims of a token whose signature and times hold, and which says what `rules` ask for.
pub(super) fn decode(token: &str, key: &DecodingKey, rules: &Validation) -> Result<Map<String, Value>, AuthError> {
    let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, key, rules)
        .map_err(|error| because(token, error.into_kind()))?;
    match decoded.header.crit {
        Some(_) => Err(AuthError::UnknownExtension),
        None => Ok(decoded.claims),
    }
}

#[derive(Serialize)]
struct Minted<'a> {
    sub: &'a str,
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a str>,
}

/// Makes a token for `user`, valid from now on for `lifetime`: for trying things out and for tests. In production the
/// tokens come from whoever logs users in.
///
/// # Errors
/// The text says what the cryptography did not like; with a secret from the configuration that does not happen.
pub fn mint(config: &config::Jwt, user: &UserId, lifetime: Duration) -> Result<String, String> {
    mint_on_plan(config, user, None, lifetime)
}

/// The same, with the claim `plan`.
///
/// # Errors
/// As [`mint`].
pub fn mint_on_plan(
    config: &config::Jwt,
    user: &UserId,
    plan: Option<&str>,
    lifetime: Duration,
) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let claims = Minted {
        sub: user.as_str(),
        iss: &config.issuer,
        aud: &config.audience,
        iat: now,
        exp: now.saturating_add(lifetime.as_secs()),
        plan,
    };
    jsonwebtoken::encode(&Header::new(ALGORITHM), &claims, &EncodingKey::from_secret(&config.secret))
        .map_err(|error| error.to_string())
}

/// Turns the library's open list of errors into our closed one.
fn because(token: &str, kind: ErrorKind) -> AuthError {
    match kind {
        ErrorKind::InvalidSignature => AuthError::BadSignature,
        ErrorKind::ExpiredSignature => AuthError::Expired,
        ErrorKind::ImmatureSignature => AuthError::NotYetValid,
        ErrorKind::InvalidAudience => AuthError::WrongAudience,
        ErrorKind::InvalidIssuer => AuthError::WrongIssuer,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            AuthError::WrongAlgorithm
        }
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => AuthError::MissingClaim(claim),
        // The library knows no `none`: such a header does not parse at all.
        _ if is_unsigned(token) => AuthError::Unsigned,
        // The library's list is open, so this is the one place with a wildcard. Its texts quote no token.
        other => AuthError::Malformed(match other {
            ErrorKind::Json(error) => format!("JSON, {:?}", error.classify()),
            ErrorKind::Base64(_) => "not base64url".to_owned(),
            other => format!("{other:?}"),
        }),
    }
}

/// Whether the header of the token says `alg: none`, in whatever case. For the log alone: nothing is accepted by it.
fn is_unsigned(token: &str) -> bool {
    #[derive(Deserialize)]
    struct Head {
        alg: String,
    }
    let header = token.split('.').next().unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    serde_json::from_slice::<Head>(&bytes).is_ok_and(|head| head.alg.eq_ignore_ascii_case("none"))
}

#[cfg(test)]
mod tests;
