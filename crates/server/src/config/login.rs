//! `[login]` and `[login.providers.NAME]`: who may log in with a browser, and for how long.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::auth::{Auth, check_prefix};
use super::error::{Fault, in_range, not_zero};
use super::secret::Outside;
use super::server::Server;
use super::value::{Secret, Span};

/// The longest name of a provider: it is part of addresses.
const MAX_NAME_BYTES: usize = 32;

/// An open socket keeps its login in use, which is noted each minute: less would log out whoever chats.
const LEAST_IDLE: Duration = Duration::from_secs(120);

/// `[login]`
#[derive(Clone, Debug)]
pub struct Login {
    /// From a login to its end. Default 168 h, at most `auth.keep_revocations`.
    pub lifetime: Duration,
    /// A login that nobody uses for so long ends. Default 72 h, at least 2 min, at most `lifetime`.
    pub idle_timeout: Duration,
    /// Logins of one user (browsers); the newest wins. Default 16, at least 1.
    pub max_logins_per_user: usize,
    /// Logins of the node; the one that was used longest ago goes. Default 100,000, at least 1.
    pub max_logins: usize,
    /// Who vouches for users, by name.
    pub providers: BTreeMap<String, Provider>,
    /// Whether a name alone logs in. Only `lychgate demo` sets it, and only on loopback.
    pub is_demo: bool,
}

/// `[login.providers.NAME]`
#[derive(Clone, PartialEq, Eq)]
pub struct Provider {
    /// What people read on the page. Default: the name.
    pub title: String,
    /// The issuer, below which `/.well-known/openid-configuration` lies; https, or http on loopback.
    pub issuer_url: String,
    /// As which client the provider knows this gateway.
    pub client_id: String,
    /// None for a public client.
    pub client_secret: Option<String>,
    /// What is asked for, besides `openid`. Default `email`.
    pub scopes: Vec<String>,
    /// Which claim is the user id. Default `sub`.
    pub user_claim: String,
    /// What stands before it. Default nothing.
    pub user_prefix: String,
    /// Domains of organisations that may come in (Google's claim `hd`); empty: any.
    pub allowed_domains: Vec<String>,
    /// Addresses that may come in, once the provider has verified them.
    pub allowed_emails: Vec<String>,
    /// Domains of addresses that may come in, once the provider has verified them.
    pub allowed_email_domains: Vec<String>,
    /// Which claim holds the groups; none: nobody is in any.
    pub groups_claim: Option<String>,
    /// Which claim holds the plan; none: everybody is on the common one.
    pub plan_claim: Option<String>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("issuer_url", &self.issuer_url).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLogin {
    lifetime: Span,
    idle_timeout: Span,
    max_logins_per_user: usize,
    max_logins: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    providers: BTreeMap<String, RawProvider>,
    /// No key: only the program itself says so.
    #[serde(skip)]
    pub(super) is_demo: bool,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct RawProvider {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    issuer_url: String,
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_claim: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_prefix: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_domains: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_emails: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_email_domains: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups_claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_claim: Option<String>,
}

impl RawLogin {
    /// Whether nobody can log in.
    pub(super) fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    pub(super) fn check(&self, server: &Server, outside: &Outside<'_>) -> Result<Login, Fault> {
        not_zero("login.lifetime", self.lifetime.0)?;
        if self.idle_timeout.0 < LEAST_IDLE {
            return Err(Fault::value(
                "login.idle_timeout",
                "is shorter than two minutes; whether a login is in use is looked at each minute",
                "Set it to \"2m\" or more, or leave it out for the default.",
            ));
        }
        if self.idle_timeout.0 > self.lifetime.0 {
            return Err(Fault::against("login.idle_timeout", "must not be longer than", "login.lifetime"));
        }
        in_range("login.max_logins_per_user", self.max_logins_per_user, 1, usize::MAX)?;
        in_range("login.max_logins", self.max_logins, 1, usize::MAX)?;
        if self.is_demo && !server.listen.ip().is_loopback() {
            return Err(Fault::value(
                "server.listen",
                "is not on loopback, where a login without a password must not be offered",
                "Listen on 127.0.0.1, or use `lychgate serve` with a provider in [login.providers.NAME].",
            ));
        }
        let mut providers = BTreeMap::new();
        for (name, raw) in &self.providers {
            providers.insert(name.clone(), raw.check(name, outside)?);
        }
        if let (Some(name), None) = (providers.keys().next(), &server.public_url) {
            return Err(Fault::value(
                "server.public_url",
                format!("is not set, and the provider {name} has to know where to send users back to"),
                "Set it to the address that browsers use, such as \"https://chat.example.org\".",
            ));
        }
        Ok(Login {
            lifetime: self.lifetime.0,
            idle_timeout: self.idle_timeout.0,
            max_logins_per_user: self.max_logins_per_user,
            max_logins: self.max_logins,
            providers,
            is_demo: self.is_demo,
        })
    }
}

impl Login {
    /// A revocation that is forgotten before the logins that it hits have ended would let them in again.
    pub(super) fn outlives_no_revocation(&self, auth: &Auth) -> Result<(), Fault> {
        let can_log_in = self.is_demo || !self.providers.is_empty();
        match can_log_in && self.lifetime > auth.keep_revocations {
            true => Err(Fault::against("login.lifetime", "must not be longer than", "auth.keep_revocations")),
            false => Ok(()),
        }
    }
}

impl RawProvider {
    fn check(&self, name: &str, outside: &Outside<'_>) -> Result<Provider, Fault> {
        let key = |last: &str| format!("login.providers.{name}.{last}");
        if !cfg!(feature = "oidc") {
            let remedy = "Use a program that was built with it, or leave [login.providers] out.";
            return Err(Fault::value(key("issuer_url"), "needs the feature `oidc`, which this program lacks", remedy));
        }
        check_name(name)?;
        check_issuer(&key("issuer_url"), &self.issuer_url)?;
        if self.client_id.is_empty() {
            let remedy = "Register this gateway at the provider and write here what it is called there.";
            return Err(Fault::value(key("client_id"), "is not set", remedy));
        }
        check_prefix(key("user_prefix"), &self.user_prefix, name)?;
        for (last, list) in [
            ("allowed_domains", &self.allowed_domains),
            ("allowed_emails", &self.allowed_emails),
            ("allowed_email_domains", &self.allowed_email_domains),
        ] {
            let is_address = last == "allowed_emails";
            if let Some(entry) = list.iter().find(|entry| entry.contains('@') != is_address || entry.contains('*')) {
                let remedy = "Write whole domains (\"example.org\"), or whole addresses in allowed_emails.";
                return Err(Fault::value(key(last), format!("holds {entry:?}, which matches nobody"), remedy));
            }
        }
        Ok(Provider {
            title: self.title.clone().unwrap_or_else(|| name.to_owned()),
            issuer_url: self.issuer_url.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.secret(&key, outside)?,
            scopes: self.scopes.clone().unwrap_or_else(|| vec!["email".to_owned()]),
            user_claim: self.user_claim.clone().unwrap_or_else(|| "sub".to_owned()),
            user_prefix: self.user_prefix.clone(),
            allowed_domains: self.allowed_domains.clone(),
            allowed_emails: self.allowed_emails.clone(),
            allowed_email_domains: self.allowed_email_domains.clone(),
            groups_claim: self.groups_claim.clone(),
            plan_claim: self.plan_claim.clone(),
        })
    }

    fn secret(&self, key: &dyn Fn(&str) -> String, outside: &Outside<'_>) -> Result<Option<String>, Fault> {
        const EXCLUDES: &str = "must not be set together with";
        let excludes = |one: &str, other: &str| Err(Fault::against(key(one), EXCLUDES, key(other)));
        match (&self.client_secret, &self.client_secret_env, &self.client_secret_file) {
            (None, None, None) => Ok(None),
            (Some(_), Some(_), _) => excludes("client_secret", "client_secret_env"),
            (Some(_), _, Some(_)) => excludes("client_secret", "client_secret_file"),
            (None, Some(_), Some(_)) => excludes("client_secret_env", "client_secret_file"),
            (Some(secret), None, None) => Ok(Some(secret.0.clone())),
            (None, Some(name), None) => outside.variable(&key("client_secret_env"), name).map(Some),
            (None, None, Some(path)) => outside.file(&key("client_secret_file"), path).map(Some),
        }
    }
}

/// The name is a part of addresses, and `demo` is taken.
fn check_name(name: &str) -> Result<(), Fault> {
    let is_word =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    match name {
        name if !name.is_empty() && name.len() <= MAX_NAME_BYTES && name != "demo" && is_word(name) => Ok(()),
        name => Err(Fault::value(
            format!("login.providers.{name}"),
            "is no name of a provider",
            "Use lower case letters, digits and `-`, 32 at most, such as [login.providers.google]; `demo` is taken.",
        )),
    }
}

/// Whoever can change what the provider says can be any user: it has to be https, but on this machine.
fn check_issuer(key: &str, text: &str) -> Result<(), Fault> {
    let is_plain = |url: &reqwest::Url| url.query().is_none() && url.fragment().is_none() && url.host().is_some();
    match reqwest::Url::parse(text) {
        Ok(url) if is_plain(&url) && super::server::is_safe(&url) => Ok(()),
        Ok(_) | Err(_) => Err(Fault::value(
            key,
            format!("is {text:?}, which is no issuer"),
            "Write the address that the provider calls its issuer, with https (http on loopback alone), such as \"https://accounts.google.com\".",
        )),
    }
}
