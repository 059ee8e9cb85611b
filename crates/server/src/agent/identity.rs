//! Tells a backend for whom it works: in headers that it may trust as far as it trusts its network, and in a token that it
//! can verify.
//!
//! A user's id is opaque text (R28), and a header carries visible ASCII. Everything else, and `%` itself, is therefore
//! percent-encoded byte by byte (RFC 3986, section 2.1): no two ids look alike, every percent-decoder gives the id back,
//! and a line break cannot end the header.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use super::failure::Failure;
use super::{AgentError, RunRequest};
use crate::config::agents as config;

/// `iss` of every token.
const ISSUER: &str = "lychgate";
/// How long a token is good: a backend checks it when the run begins.
const LIFETIME: Duration = Duration::from_secs(300);

/// How one backend is told.
pub(super) struct Identity {
    user_header: Option<HeaderName>,
    plan_header: Option<HeaderName>,
    jwt: Option<Jwt>,
}

struct Jwt {
    header: HeaderName,
    key: EncodingKey,
    audience: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a str>,
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    thread: &'a str,
    run: &'a str,
}

impl Identity {
    pub(super) fn new(config: &config::Identity) -> Self {
        let jwt = config.jwt.as_ref().map(|jwt| Jwt {
            header: jwt.header.clone(),
            key: EncodingKey::from_secret(&jwt.secret),
            audience: jwt.audience.clone(),
        });
        Self { user_header: config.user_header.clone(), plan_header: config.plan_header.clone(), jwt }
    }

    /// Adds what this run's backend is told. A user without a plan has no header for it.
    ///
    /// # Errors
    /// `agent_unavailable` where no token can be signed: a backend that asks for one must not be asked without.
    pub(super) fn sign(&self, run: &RunRequest, headers: &mut HeaderMap) -> Result<(), AgentError> {
        if let Some(name) = &self.user_header {
            headers.insert(name.clone(), percent_encoded(run.key.user().as_str()));
        }
        if let (Some(name), Some(plan)) = (&self.plan_header, &run.plan) {
            headers.insert(name.clone(), percent_encoded(plan));
        }
        if let Some(jwt) = &self.jwt {
            let token = jwt.token(run, SystemTime::now()).map_err(|error| {
                tracing::error!(%error, "no token for an agent can be signed");
                Failure::Unreachable
            })?;
            let mut value = percent_encoded(&token);
            value.set_sensitive(true);
            headers.insert(jwt.header.clone(), value);
        }
        Ok(())
    }
}

impl Jwt {
    fn token(&self, run: &RunRequest, now: SystemTime) -> jsonwebtoken::errors::Result<String> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = Claims {
            sub: run.key.user().as_str(),
            plan: run.plan.as_deref(),
            iss: ISSUER,
            aud: &self.audience,
            iat: now.as_secs(),
            exp: (now + LIFETIME).as_secs(),
            thread: run.key.thread().as_str(),
            run: run.run.as_str(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key)
    }
}

/// Visible ASCII other than `%` as it is, every other byte as `%XX`.
fn percent_encoded(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => encoded.push_str("%25"),
            b'!'..=b'~' => encoded.push(char::from(byte)),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    HeaderValue::try_from(encoded).expect("visible ASCII can stand in a header")
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use lychgate_core::{SessionKey, ThreadId, UserId};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::agent::tests::request;

    const SECRET: &[u8] = b"a secret of 32 bytes for a token";

    fn told(user: &str, plan: Option<&str>, identity: &config::Identity) -> HeaderMap {
        let mut run = request("hello");
        run.key = SessionKey::new(UserId::parse(user).unwrap(), ThreadId::parse("t 1").unwrap());
        run.plan = plan.map(Into::into);
        let mut headers = HeaderMap::new();
        Identity::new(identity).sign(&run, &mut headers).unwrap();
        headers
    }

    fn in_headers() -> config::Identity {
        config::Identity {
            user_header: Some(HeaderName::from_static("x-user")),
            plan_header: Some(HeaderName::from_static("x-plan")),
            jwt: None,
        }
    }

    #[test]
    fn a_user_and_a_plan_stand_in_their_headers() {
        for (user, expected) in [
            ("105945141827451681156", "105945141827451681156"),
            ("auth0:tenant:ann", "auth0:tenant:ann"),
            ("ann@example.org", "ann@example.org"),
            ("Ann Müller", "Ann%20M%C3%BCller"),
            ("100%", "100%25"),
            ("100%25", "100%2525"),
            ("安", "%E5%AE%89"),
        ] {
            let headers = told(user, Some("größte"), &in_headers());
            assert_eq!(headers["x-user"], expected);
            assert_eq!(headers["x-plan"], "gr%C3%B6%C3%9Fte");
        }
    }

    #[test]
    fn nothing_is_told_that_is_not_there_or_was_switched_off() {
        assert!(!told("ann", None, &in_headers()).contains_key("x-plan"));
        assert!(told("ann", Some("pro"), &config::Identity::default()).is_empty());
    }

    #[test]
    fn a_token_says_for_whom_and_for_which_run_and_expires_in_five_minutes() {
        let jwt = config::IdentityJwt {
            header: HeaderName::from_static("x-identity"),
            secret: SECRET.to_vec(),
            audience: "helper".to_owned(),
        };
        let headers = told("ann:müller", Some("pro"), &config::Identity { jwt: Some(jwt), ..Default::default() });
        assert!(headers["x-identity"].is_sensitive());
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&["helper"]);
        validation.set_issuer(&["lychgate"]);
        let token = headers["x-identity"].to_str().unwrap();
        let claims =
            jsonwebtoken::decode::<Value>(token, &DecodingKey::from_secret(SECRET), &validation).unwrap().claims;
        for (claim, expected) in [("sub", "ann:müller"), ("plan", "pro"), ("thread", "t 1"), ("run", "r1")] {
            assert_eq!(claims[claim], expected);
        }
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 300);
    }

    fn percent_decoded(text: &str) -> Vec<u8> {
        let mut bytes = text.bytes();
        let mut decoded = Vec::new();
        while let Some(byte) = bytes.next() {
            let mut digit = || char::from(bytes.next().unwrap()).to_digit(16).unwrap() as u8;
            decoded.push(if byte == b'%' { digit() * 16 + digit() } else { byte });
        }
        decoded
    }

    proptest! {
        #[test]
        fn any_text_comes_back_out_of_its_header_and_cannot_end_it(text in ".{0,64}|[\\PC\r\n%]{0,64}") {
            let value = percent_encoded(&text);
            let value = value.to_str().unwrap();
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(percent_decoded(value), text.into_bytes());
        }
    }
}
