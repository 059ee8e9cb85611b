//! All providers of a realm, and the two steps of a login: away to one of them, and back.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::pending::{Departure, Pending};
use super::provider::Provider;
use super::{LoginError, Vouched};
use crate::auth::opaque::Opaque;
use crate::config::{self, PublicUrl};

/// The longest path to go on with, in bytes.
const MAX_RETURN_BYTES: usize = 1024;

/// The longest word of a provider that goes into a log, in characters.
const MAX_WORD: usize = 64;

/// Who vouches for users.
#[derive(Debug)]
pub struct Providers {
    named: RwLock<BTreeMap<Box<str>, Arc<Provider>>>,
    pending: Pending,
    origin: PublicUrl,
}

/// A provider as a page lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name in addresses.
    pub name: Box<str>,
    /// What people call it.
    pub title: Box<str>,
    /// When it is asked again, if it did not answer lately.
    pub retry_in: Option<Duration>,
}

/// What a provider sends a user back with (RFC 6749, section 4.1.2; RFC 9207 for `iss`).
#[derive(Clone, Default)]
pub struct Callback {
    /// What the tokens are asked for with.
    pub code: Option<String>,
    /// What the user left with.
    pub state: Option<String>,
    /// Who says so.
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callback").field("error", &self.error).finish_non_exhaustive()
    }
}

impl Providers {
    /// Those of the configuration; users come back to `{origin}/v1/login/NAME/callback`. None of them is asked yet.
    ///
    /// # Errors
    /// An address that the library does not take, though the configuration did.
    pub fn new(providers: &BTreeMap<String, config::Provider>, origin: PublicUrl) -> Result<Self, LoginError> {
        let none = Self { named: RwLock::default(), pending: Pending::default(), origin };
        none.reload(providers)?;
        Ok(none)
    }

    /// From now on these count. What is known of one that stands there as before stays known, and whoever is under way
    /// comes back.
    ///
    /// # Errors
    /// As [`Self::new`]; then everything stays as it was.
    pub fn reload(&self, providers: &BTreeMap<String, config::Provider>) -> Result<(), LoginError> {
        let mut named = BTreeMap::new();
        for (name, config) in providers {
            let provider = match self.named(name) {
                Ok(same) if same.config() == config => same,
                Ok(_) | Err(_) => {
                    let redirect = format!("{}/v1/login/{name}/callback", self.origin.as_str());
                    Arc::new(Provider::new(name, config, redirect)?)
                }
            };
            named.insert(name.as_str().into(), provider);
        }
        *self.named.write().unwrap_or_else(PoisonError::into_inner) = named;
        Ok(())
    }

    /// All of them, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let listed = named.iter().map(|(name, provider)| Listed {
            name: name.clone(),
            title: provider.config().title.as_str().into(),
            retry_in: provider.retry_in(),
        });
        listed.collect()
    }

    fn named(&self, name: &str) -> Result<Arc<Provider>, LoginError> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        named.get(name).cloned().ok_or(LoginError::UnknownProvider)
    }

    /// The origin that users come back to.
    #[must_use]
    pub fn origin(&self) -> &PublicUrl {
        &self.origin
    }

    /// Where to send a browser so that the provider says who it is.
    ///
    /// # Errors
    /// [`LoginError::UnknownProvider`], [`LoginError::BadReturn`], [`LoginError::Unavailable`].
    pub async fn depart(&self, name: &str, return_to: Option<&str>, browser: &Opaque) -> Result<String, LoginError> {
        let provider = self.named(name)?;
        let return_to = match return_to {
            None => "/".to_owned(),
            Some(path) => local_path(&self.origin, path).ok_or(LoginError::BadReturn)?,
        };
        let (nonce, verifier) = (Opaque::random(), Opaque::random());
        let departure = Departure {
            provider: name.into(),
            browser: browser.digest(),
            nonce: nonce.clone(),
            verifier: verifier.clone(),
            return_to,
        };
        let state = self.pending.depart(&departure);
        provider.address(state, &nonce, &verifier).await
    }

    /// Whom the provider vouches for, and the path to go on with.
    ///
    /// # Errors
    /// [`LoginError`], each but [`LoginError::OtherBrowser`] the end of this login: it has to be begun again.
    pub async fn come_back(
        &self,
        name: &str,
        callback: Callback,
        browser: Option<&Opaque>,
    ) -> Result<(Vouched, String), LoginError> {
        let provider = self.named(name)?;
        let departure = self.pending.come_back(callback.state.as_deref().unwrap_or_default(), browser)?;
        if *departure.provider != *name {
            return Err(LoginError::UnknownState);
        }
        if callback.iss.is_some_and(|iss| !provider.is_issuer(&iss)) {
            return Err(LoginError::Rejected("the answer is of another issuer (iss)".to_owned()));
        }
        match (callback.error, callback.code) {
            (Some(error), _) => Err(LoginError::Declined(error.chars().take(MAX_WORD).collect())),
            (None, None) => Err(LoginError::Rejected("the answer has no code".to_owned())),
            (None, Some(code)) => {
                let vouched = provider.redeem(code, &departure.nonce, &departure.verifier).await?;
                self.pending.arrived(&departure)?;
                Ok((vouched, departure.return_to))
            }
        }
    }
}

/// A path of this origin, as a browser would understand it. Browsers read `//host`, `/\host` and paths with tabs in them
/// as other origins: whoever lets those through sends users wherever a link says.
fn local_path(origin: &PublicUrl, text: &str) -> Option<String> {
    let is_plain = text.len() <= MAX_RETURN_BYTES && !text.contains('\\') && !text.chars().any(char::is_control);
    if !is_plain || !text.starts_with('/') || text.starts_with("//") {
        return None;
    }
    let base = reqwest::Url::parse(origin.as_str()).ok()?;
    let url = base.join(text).ok()?;
    // Without a user, host is followed by path; dots that were resolved may have left two slashes.
    let path = url.as_str().strip_prefix(origin.as_str())?;
    (url.origin() == base.origin() && path.starts_with('/') && !path.starts_with("//")).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_origin_is_gone_on_with() {
        let origin = PublicUrl::parse("https://chat.example.org").unwrap();
        for (text, path) in [
            ("/", Some("/")),
            ("/chat?t=1&u=ä#end", Some("/chat?t=1&u=%C3%A4#end")),
            ("/a/../b", Some("/b")),
            ("", None),
            ("chat", None),
            ("//evil.example", None),
            ("/\\evil.example", None),
            ("\\\\evil.example", None),
            ("/\t/evil.example", None),
            ("/..//evil.example", None),
            ("/.//evil.example", None),
            ("https://evil.example", None),
            ("javascript:alert(1)", None),
            (" //evil.example", None),
            ("/\r\nset-cookie: a=b", None),
        ] {
            assert_eq!(local_path(&origin, text).as_deref(), path, "{text:?}");
        }
        assert_eq!(local_path(&origin, &format!("/{}", "a".repeat(MAX_RETURN_BYTES))), None);
    }
}
