//! JSON Web Tokens (RFC 7519), signed with HS256 and a shared secret.
//!
//! The algorithm comes from the configuration, never from the token; `sub`, `exp`, `iss` and `aud` must be there
//! (RFC 8725, best current practices).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use lychgate_core::{Proof, UserId};
use serde::{Deserialize, Serialize};

use super::{AuthError, Authenticator, Identity};
use crate::config;

/// The longest token that is looked at (hazard R31). Request headers are bounded near this size anyway.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The longest name of a plan that is looked at.
const MAX_PLAN_BYTES: usize = 64;

/// The one algorithm that is accepted.
const ALGORITHM: Algorithm = Algorithm::HS256;

/// Accepts tokens of the configured secret, issuer and audience.
pub struct JwtAuthenticator {
    key: DecodingKey,
    validation: Validation,
}

impl fmt::Debug for JwtAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthenticator").finish_non_exhaustive()
    }
}

/// Installs the cryptography of tokens for this process. Call it first thing; calling it again does nothing.
///
/// Without it the first token would panic as soon as any dependency switches a second provider on.
pub fn install_provider() {
    // An error says that one is installed already, which is all that we want.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<serde_json::Value>,
    exp: Option<serde_json::Value>,
    plan: Option<serde_json::Value>,
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

impl JwtAuthenticator {
    /// Takes secret, issuer, audience and leeway from the configuration.
    #[must_use]
    pub fn new(config: &config::Jwt) -> Self {
        let mut validation = Validation::new(ALGORITHM);
        validation.leeway = config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "sub", "aud", "iss"]);
        validation.set_audience(&[&config.audience]);
        validation.set_issuer(&[&config.issuer]);
        Self { key: DecodingKey::from_secret(&config.secret), validation }
    }
}

impl Authenticator for JwtAuthenticator {
    fn verify(&self, token: &str) -> Result<Identity, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::TooLong(token.len()));
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| because(token, error.into_kind()))?;
        if decoded.header.crit.is_some() {
            return Err(AuthError::UnknownExtension);
        }
        let Some(serde_json::Value::String(sub)) = decoded.claims.sub else {
            return Err(AuthError::MissingClaim("sub".to_owned()));
        };
        Ok(Identity {
            user: UserId::parse(&sub).map_err(AuthError::BadSubject)?,
            expires: decoded.claims.exp.as_ref().and_then(seconds),
            plan: decoded.claims.plan.and_then(plan_name),
            agents: None,
            groups: Arc::default(),
            proof: Proof::default(),
        })
    }
}

/// A claim of another type, or too long to be a name of ours, names no plan: it is no reason to keep anybody out.
fn plan_name(claim: serde_json::Value) -> Option<Box<str>> {
    match claim {
        serde_json::Value::String(name) if name.len() <= MAX_PLAN_BYTES => Some(name.into_boxed_str()),
        serde_json::Value::String(_)
        | serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => None,
    }
}

/// `exp` may have a fraction (RFC 7519, section 2: NumericDate); it was checked to be a number that is not negative.
fn seconds(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().map(|seconds| seconds as u64))
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
