//! Tokens for simulated users, signed with the secret that the gateway checks them with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;

/// Longer than any plan.
const LIVES_FOR: Duration = Duration::from_secs(6 * 3_600);

/// Signs HS256 tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    secret: String,
    issuer: String,
    audience: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iss: &'a str,
    aud: &'a str,
    exp: u64,
}

impl Tokens {
    /// With the gateway's default issuer and audience.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self { secret: secret.to_owned(), issuer: "lychgate".to_owned(), audience: "lychgate".to_owned() }
    }

    /// A token of 6 hours for `user`.
    ///
    /// # Errors
    /// When the signature fails.
    pub fn mint(&self, user: &str) -> anyhow::Result<String> {
        let expires = SystemTime::now().duration_since(UNIX_EPOCH)? + LIVES_FOR;
        let claims = Claims { sub: user, iss: &self.issuer, aud: &self.audience, exp: expires.as_secs() };
        Ok(encode(&Header::default(), &claims, &EncodingKey::from_secret(self.secret.as_bytes()))?)
    }
}
