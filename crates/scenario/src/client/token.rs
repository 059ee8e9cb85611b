//! Tokens for simulated users, signed with the secret that the gateway checks them with.

use std::time::Duration;

use anyhow::Context as _;
use lychgate::auth::jwt;
use lychgate::config::Jwt;
use lychgate_core::UserId;

/// Longer than any plan.
const LIVES_FOR: Duration = Duration::from_secs(6 * 3_600);

/// Signs HS256 tokens.
#[derive(Debug, Clone)]
pub struct Tokens(Jwt);

impl Tokens {
    /// With the gateway's default issuer and audience.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        jwt::install_provider();
        Self(Jwt {
            secret: secret.as_bytes().to_vec(),
            issuer: "lychgate".to_owned(),
            audience: "lychgate".to_owned(),
            leeway: Duration::ZERO,
        })
    }

    /// A token of 6 hours for `user`.
    ///
    /// # Errors
    /// When no user can be called so, or the signature fails.
    pub fn mint(&self, user: &str) -> anyhow::Result<String> {
        self.mint_for(user, LIVES_FOR)
    }

    /// A token that lives for so long, in whole seconds.
    ///
    /// # Errors
    /// As [`Self::mint`].
    pub fn mint_for(&self, user: &str, lifetime: Duration) -> anyhow::Result<String> {
        self.mint_on_plan(user, None, lifetime)
    }

    /// The same, for the plan of this name.
    ///
    /// # Errors
    /// As [`Self::mint`].
    pub fn mint_on_plan(&self, user: &str, plan: Option<&str>, lifetime: Duration) -> anyhow::Result<String> {
        let user = UserId::parse(user).with_context(|| format!("no user can be called {user:?}"))?;
        jwt::mint_on_plan(&self.0, &user, plan, lifetime).map_err(anyhow::Error::msg)
    }
}
