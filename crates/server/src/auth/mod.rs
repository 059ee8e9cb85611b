//! Who is it: authenticators behind one trait, and the check of a browser's origin.
//!
//! ```text
//! ws, api --> Doorkeeper --token--> Issuers, by `iss` --> Identity { user, expires, .. }
//!                 |                    |             '--> AuthError: a sentence for the client, a detail for the log
//!                 |                    '- a secret, a public key, or keys that the issuer publishes (jwks)
//!                 '- not revoked
//! ```

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap};
use lychgate_core::{IdError, Proof, Until, UserId};

use crate::close::{Close, Closing, ErrorCode};

mod claims;
mod cookie;
mod doorkeeper;
mod entrance;
mod issuers;
mod jwks;
pub mod jwt;
mod login;
mod opaque;
mod origin;
mod revocations;
mod ticket;

pub use cookie::{Access, clear_cookie, is_own_page, read_cookie, set_cookie};
pub use doorkeeper::{Doorkeeper, Shown};
pub use entrance::Entrance;
pub use issuers::Issuers;
#[cfg(fuzzing)]
pub use jwks::key_set;
pub use login::{
    Begun, Callback, DEMO, Ended, Listed, LoginError, Logins, PENDING_LIFETIME, Providers, Realm, Vouched,
};
pub use opaque::Opaque;
pub use origin::{OriginError, check_origin};
pub use revocations::{Recorded, Revocation, Revocations, RevokeError, Revoked};
pub use ticket::{TICKET_LIFETIME, Tickets};

/// Who a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The verified subject.
    pub user: UserId,
    /// When the token stops to be valid, in seconds since 1970; after a grace the socket is closed with 4004 then. None:
    /// never.
    pub expires: Option<u64>,
    /// The plan that the token names, which selects limits; text of at most 64 bytes.
    pub plan: Option<Box<str>>,
    /// The agents that he may ask, by name; none: every one.
    pub agents: Option<Arc<[Box<str>]>>,
    /// The groups that whoever vouches for him puts him into; operators are known by one.
    pub groups: Arc<[Box<str>]>,
    /// What is looked for when a token or a login is revoked.
    pub proof: Proof,
}

impl Identity {
    /// Until the token expires: past for one that expired within the tolerated clock difference, none for one that never
    /// does.
    #[must_use]
    pub fn expires_in(&self) -> Option<Until> {
        let now = crate::wire::unix_ms();
        self.expires.map(|at| at.saturating_mul(1000)).map(|at| match at.checked_sub(now) {
            Some(left) => Until::Ahead(Duration::from_millis(left)),
            None => Until::Past(Duration::from_millis(now - at)),
        })
    }
}

/// The token of `Authorization: Bearer <token>` (RFC 6750, section 2.1); none where the header is missing or of another
/// scheme.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Why a token proves nothing. `Display` is the detail for the log; [`AuthError::sentence`] is what the client hears.
/// Neither holds any part of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It is not a JWT.
    #[error("the token is not a JWT: {0}")]
    Malformed(String),
    /// It is longer than any token of ours; carries its length in bytes.
    #[error("the token has {0} bytes; at most {max} are read", max = jwt::MAX_TOKEN_BYTES)]
    TooLong(usize),
    /// It says `alg: none`.
    #[error("the token is unsigned (alg: none)")]
    Unsigned,
    /// It is signed with an algorithm that the configuration does not name.
    #[error("the token is signed with another algorithm than the configured one")]
    WrongAlgorithm,
    /// It was signed with another key, or changed afterwards.
    #[error("the signature of the token does not match the key of its issuer")]
    BadSignature,
    /// It names a key that its issuer does not publish; the issuer was asked after the name was first heard.
    #[error("the token is signed with a key that its issuer does not publish (kid)")]
    UnknownKey,
    /// It names a key that is not known, and the issuer cannot be asked now. Nobody's fault who shows it: he is to come back.
    #[error("the token is signed with a key that is not known yet (kid); its issuer is asked in {} ms", retry_in.as_millis())]
    KeysPending {
        /// When to come back.
        retry_in: Duration,
    },
    /// It was good, and is not any more.
    #[error("the token was revoked")]
    Revoked,
    /// It may be from before a revocation, or just after it by a clock that is slow: the next one will tell.
    #[error("the token was revoked a moment ago, or issued in that moment; the next one is looked at again in {} ms", retry_in.as_millis())]
    JustRevoked {
        /// When the next one is late enough.
        retry_in: Duration,
    },
    /// A token stands in the query of an address, where logs and histories keep it.
    #[error("a token stands in the query of the address")]
    InQuery,
    /// Its header demands an extension that we do not know (RFC 7515, section 4.1.11).
    #[error("the header of the token marks an extension as critical that is not known here")]
    UnknownExtension,
    /// Its time is over.
    #[error("the token has expired (exp)")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet (nbf)")]
    NotYetValid,
    /// It is meant for somebody else.
    #[error("the token is for another audience (aud)")]
    WrongAudience,
    /// Somebody else made it.
    #[error("the token is of another issuer (iss)")]
    WrongIssuer,
    /// A claim that must be there is missing, or has another type than it must have.
    #[error("the token has no usable claim {0:?}")]
    MissingClaim(String),
    /// Its subject is no user id.
    #[error("the user that the token names {0}")]
    BadSubject(IdError),
    /// It is a ticket that is unknown, was used, or is too old.
    #[error("the ticket is unknown, was used, or is older than 30 s")]
    BadTicket,
    /// It is a login's cookie, and the request comes from a page that may not use it.
    #[error("the login's cookie came without an Origin that may use it")]
    ForeignPage,
    /// It is a login that was ended meanwhile.
    #[error("the login was ended")]
    LoggedOut,
}

impl AuthError {
    /// What the client hears. It tells a person what to do and an attacker nothing: all that is wrong with a token itself,
    /// but expiry, sounds alike.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::Expired => Close::TokenExpired.closing().sentence,
            Self::BadTicket => "This ticket was used already, or is older than 30 s; a new one is fetched by itself.",
            Self::JustRevoked { .. } => "Your login was ended a moment ago; a new one is looked at again at once.",
            Self::ForeignPage => "This page may not use your login here; please use the service's own page.",
            Self::LoggedOut => Close::LoggedOut.closing().sentence,
            Self::BadSubject(_) => "Your user id cannot be used here; please tell the operator of this service.",
            Self::KeysPending { .. } => "Your login cannot be checked at the moment; it is tried again by itself.",
            Self::InQuery => {
                "A token must not stand in an address, where logs keep it: send it in hello.token, as subprotocol \
                 lychgate.bearer.<JWT>, or as Authorization header."
            }
            Self::Malformed(_)
            | Self::TooLong(_)
            | Self::Unsigned
            | Self::WrongAlgorithm
            | Self::BadSignature
            | Self::UnknownKey
            | Self::Revoked
            | Self::UnknownExtension
            | Self::NotYetValid
            | Self::WrongAudience
            | Self::WrongIssuer
            | Self::MissingClaim(_) => Close::Unauthorized.closing().sentence,
        }
    }

    /// How whoever showed it is sent away: for good, unless it is only that we could not know, or another token will do,
    /// which a program fetches by itself (hazard R11).
    #[must_use]
    pub fn closing(&self) -> Closing {
        let closing = match self {
            Self::KeysPending { retry_in } => Close::Retry.closing().after(*retry_in),
            Self::Expired | Self::BadTicket => Close::TokenExpired.closing(),
            Self::JustRevoked { retry_in } => Close::TokenExpired.closing().after(*retry_in),
            Self::LoggedOut => Close::LoggedOut.closing(),
            Self::Malformed(_)
            | Self::TooLong(_)
            | Self::Unsigned
            | Self::WrongAlgorithm
            | Self::BadSignature
            | Self::UnknownKey
            | Self::Revoked
            | Self::InQuery
            | Self::UnknownExtension
            | Self::NotYetValid
            | Self::WrongAudience
            | Self::WrongIssuer
            | Self::MissingClaim(_)
            | Self::ForeignPage
            | Self::BadSubject(_) => Close::Unauthorized.closing(),
        };
        Closing { sentence: self.sentence(), ..closing }
    }

    /// The word of the `error` frame.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self.is_unknowable() {
            true => ErrorCode::Internal,
            false => ErrorCode::Unauthorized,
        }
    }

    /// Whether nobody can say yet what it proves: the same one is to be shown again.
    #[must_use]
    pub fn is_unknowable(&self) -> bool {
        matches!(self, Self::KeysPending { .. })
    }

    /// Whether what was shown will prove nothing however often it is shown. Not where only we could not know yet, and not
    /// where the page or the address that it came with is at fault: nobody's login may be held off because another page
    /// sends his cookie along (hazard R20).
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::KeysPending { .. }
            | Self::JustRevoked { .. }
            | Self::UnknownKey
            | Self::NotYetValid
            | Self::InQuery
            | Self::ForeignPage => false,
            Self::Malformed(_)
            | Self::TooLong(_)
            | Self::Unsigned
            | Self::WrongAlgorithm
            | Self::BadSignature
            | Self::Revoked
            | Self::UnknownExtension
            | Self::Expired
            | Self::WrongAudience
            | Self::WrongIssuer
            | Self::MissingClaim(_)
            | Self::BadSubject(_)
            | Self::BadTicket
            | Self::LoggedOut => true,
        }
    }

    /// The word in logs and metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLong(_) => "too_long",
            Self::Unsigned => "unsigned",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::BadSignature => "bad_signature",
            Self::UnknownKey => "unknown_key",
            Self::KeysPending { .. } => "keys_pending",
            Self::Revoked => "revoked",
            Self::JustRevoked { .. } => "just_revoked",
            Self::InQuery => "token_in_query",
            Self::UnknownExtension => "unknown_extension",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongAudience => "wrong_audience",
            Self::WrongIssuer => "wrong_issuer",
            Self::MissingClaim(_) => "missing_claim",
            Self::BadSubject(_) => "bad_subject",
            Self::BadTicket => "bad_ticket",
            Self::ForeignPage => "foreign_page",
            Self::LoggedOut => "logged_out",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lychgate_core::UserId;

    use super::*;
    use crate::telemetry::metrics::AUTH_FAILURES;

    #[test]
    fn the_metrics_know_every_reason_and_no_other() {
        let retry_in = Duration::ZERO;
        let all = [
            AuthError::Malformed(String::new()),
            AuthError::TooLong(0),
            AuthError::Unsigned,
            AuthError::WrongAlgorithm,
            AuthError::BadSignature,
            AuthError::UnknownKey,
            AuthError::KeysPending { retry_in },
            AuthError::Revoked,
            AuthError::JustRevoked { retry_in },
            AuthError::InQuery,
            AuthError::UnknownExtension,
            AuthError::Expired,
            AuthError::NotYetValid,
            AuthError::WrongAudience,
            AuthError::WrongIssuer,
            AuthError::MissingClaim(String::new()),
            AuthError::BadSubject(UserId::parse("").unwrap_err()),
            AuthError::BadTicket,
            AuthError::ForeignPage,
            AuthError::LoggedOut,
        ];
        let words: BTreeSet<_> = all.iter().map(AuthError::as_str).collect();
        assert_eq!(words, AUTH_FAILURES.into_iter().collect());
    }
}
