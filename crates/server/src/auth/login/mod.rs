//! Logins with a browser: a provider vouches for somebody, and a cookie stands for that from then on.
//!
//! ```text
//!  GET /v1/login/NAME ──► Providers::depart ──302──► provider: who is it? ──302──► callback ──► Providers::come_back
//!                              │ state, nonce, PKCE           (code, state)                          │ claims
//!                              v                                                                     v
//!                           Pending (10 min, one browser, one use)                     Logins::begin ──► cookie
//!
//!  every request after that: cookie ──► Logins::identity ──► Identity
//! ```

use std::time::Duration;

use lychgate_core::IdError;

mod claims;
#[cfg(feature = "oidc")]
mod http;
mod logins;
mod pending;
#[cfg(feature = "oidc")]
mod provider;
#[cfg(not(feature = "oidc"))]
#[path = "no_provider.rs"]
mod provider;
mod providers;
mod rows;

pub use logins::{Begun, DEMO, Ended, Logins, Vouched};
pub use pending::PENDING_LIFETIME;
pub use providers::{Callback, Listed, Providers};

/// Whose logins they are. Neither counts for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// Those who chat.
    Users,
    /// Those who operate the gateway.
    Operators,
}

impl Realm {
    /// The word in the store and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "user",
            Self::Operators => "operator",
        }
    }

    /// The name of the cookie that holds a login. With `__Host-` a browser takes it from this origin alone.
    #[must_use]
    pub fn cookie(self) -> &'static str {
        match self {
            Self::Users => "__Host-lychgate",
            Self::Operators => "__Host-lychgate-operator",
        }
    }

    /// The name of the cookie that ties a login that is under way to its browser.
    #[must_use]
    pub fn departure_cookie(self) -> &'static str {
        match self {
            Self::Users => "__Host-lychgate-departure",
            Self::Operators => "__Host-lychgate-operator-departure",
        }
    }
}

/// Why a login came to nothing. `Display` is the detail for the log, and quotes no code, state or token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// There is no provider of this name.
    #[error("there is no such provider")]
    UnknownProvider,
    /// The path to go on with is not one of ours.
    #[error("return_to is no path of this origin")]
    BadReturn,
    /// The provider does not answer, or nothing that makes sense.
    #[error("the provider is not available: {why}")]
    Unavailable {
        /// What was tried, and how it failed.
        why: String,
        /// When to try again.
        retry_in: Duration,
    },
    /// The provider says no, mostly because the user did.
    #[error("the provider says {0:?}")]
    Declined(String),
    /// Nobody left with this state, or he came back already, or it was too long ago.
    #[error("the state is unknown, was used, or is older than 10 minutes")]
    UnknownState,
    /// Another browser left with this state.
    #[error("the login was begun in another browser")]
    OtherBrowser,
    /// What the provider says of the user does not hold.
    #[error("the provider's answer was refused: {0}")]
    Rejected(String),
    /// The user is none of those who may come in.
    #[error("the account may not come in: {0}")]
    NotAllowed(String),
    /// The user's id is none.
    #[error("the user id {0}")]
    BadUser(IdError),
}
