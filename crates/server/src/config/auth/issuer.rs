//! `[auth.issuers.NAME]`: one issuer of tokens, and what its claims are called.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::keys::{Algorithm, HMAC, How, KeySource, PublicKey, SecretSource};
use super::{check_leeway, check_prefix, not_empty};
use crate::config::address::Address;
use crate::config::error::Fault;
use crate::config::secret::Outside;
use crate::config::value::{Secret, Span};

const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
const HOW_TO_MAKE_A_SECRET: &str = "Use the secret that the issuer signs with, of at least 64 bytes to be safe with every HMAC: `openssl rand -base64 64`.";

/// Somebody whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// What the configuration calls it; for logs.
    pub name: String,
    /// Its `iss`, letter by letter.
    pub issuer: String,
    /// A token must carry one of these as `aud`; at least one.
    pub audiences: Vec<String>,
    /// What its tokens may be signed with; at least one, and every one possible with its keys. Default: HS256 for a
    /// secret, RS256, ES256, ES384 or EdDSA for a public key in a file, all but HMAC for published keys.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys come from.
    pub keys: KeySource,
    /// Tolerated clock difference. Default 30 s, at most 5 min.
    pub leeway: Duration,
    /// What stands before its user ids. Default nothing.
    pub user_prefix: String,
    /// What its claims are called.
    pub claims: ClaimNames,
}

/// Names of claims on the top level of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// Who it is. Default `sub`.
    pub user: String,
    /// The plan that selects limits. Default `plan`.
    pub plan: String,
    /// The agents that may be asked. Default `agents`.
    pub agents: String,
    /// Groups; operators are known by one. Default `groups`.
    pub groups: String,
    /// When the connection ends, in place of `exp`. Default: none, `exp` decides.
    pub connection_expires: Option<String>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let name = |claim: Claim| claim.usual().to_owned();
        Self {
            user: name(Claim::User),
            plan: name(Claim::Plan),
            agents: name(Claim::Agents),
            groups: name(Claim::Groups),
            connection_expires: None,
        }
    }
}

/// Claims whose names can be set.
#[derive(Clone, Copy)]
enum Claim {
    User,
    Plan,
    Agents,
    Groups,
}

impl Claim {
    fn usual(self) -> &'static str {
        match self {
            Self::User => "sub",
            Self::Plan => "plan",
            Self::Agents => "agents",
            Self::Groups => "groups",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::User => "user_claim",
            Self::Plan => "plan_claim",
            Self::Agents => "agents_claim",
            Self::Groups => "groups_claim",
        }
    }
}

/// One text, or several.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawIssuer {
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<OneOrMore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithms: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_url: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leeway: Option<Span>,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agents_claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups_claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_expires_claim: Option<String>,
}

impl RawIssuer {
    pub(super) fn check(&self, name: &str, outside: &Outside<'_>) -> Result<Issuer, Fault> {
        let table = format!("auth.issuers.{name}");
        let key = |key: &str| format!("{table}.{key}");
        let issuer = self.issuer.clone().ok_or_else(|| {
            Fault::value(key("issuer"), "is not set", "Set it to the `iss` of its tokens, letter by letter.")
        })?;
        not_empty(&key("issuer"), &issuer)?;
        let audiences = match &self.audience {
            Some(OneOrMore::One(audience)) => vec![audience.clone()],
            Some(OneOrMore::More(audiences)) if !audiences.is_empty() => audiences.clone(),
            Some(OneOrMore::More(_)) | None => {
                let remedy = "Set it to the `aud` of tokens that are meant for this gateway, or to a list of them.";
                return Err(Fault::value(key("audience"), "is not set", remedy));
            }
        };
        audiences.iter().try_for_each(|audience| not_empty(&key("audience"), audience))?;
        let leeway = self.leeway.map_or(DEFAULT_LEEWAY, |leeway| leeway.0);
        check_leeway(&key("leeway"), leeway)?;
        check_prefix(key("user_prefix"), &self.user_prefix, name)?;
        let wanted = self.wanted(&table)?;
        let keys = self.keys(&table, outside, &wanted)?;
        let algorithms = match wanted.is_empty() {
            false => possible(&keys, wanted, &table)?,
            true => usual(&keys),
        };
        Ok(Issuer {
            name: name.to_owned(),
            issuer,
            audiences,
            algorithms,
            keys,
            leeway,
            user_prefix: self.user_prefix.clone(),
            claims: self.claims(&table)?,
        })
    }

    /// The algorithms as they are written.
    fn wanted(&self, table: &str) -> Result<Vec<Algorithm>, Fault> {
        let parse = |word: &String| {
            word.parse().map_err(|_| {
                let remedy =
                    "Use HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA.";
                Fault::value(format!("{table}.algorithms"), format!("names {word:?}, which is none"), remedy)
            })
        };
        self.algorithms.iter().flatten().map(parse).collect()
    }

    /// Exactly one source.
    fn keys(&self, table: &str, outside: &Outside<'_>, wanted: &[Algorithm]) -> Result<KeySource, Fault> {
        let key = |key: &str| format!("{table}.{key}");
        let longest = HMAC.iter().rfind(|algorithm| wanted.contains(algorithm)).copied();
        let source = SecretSource {
            table,
            text: self.secret.as_ref(),
            variable: self.secret_env.as_deref(),
            file: self.secret_file.as_deref(),
        };
        let how = How { algorithm: longest.unwrap_or(Algorithm::HS256), remedy: HOW_TO_MAKE_A_SECRET };
        let secret = source.read(outside, &how)?;
        match (secret, &self.public_key_file, &self.jwks_url) {
            (Some(secret), None, None) => Ok(KeySource::Secret(secret.into())),
            (None, Some(path), None) => {
                let name = key("public_key_file");
                let pem = outside.file(&name, path)?;
                PublicKey::parse(&pem).map(KeySource::Public).map_err(|what| {
                    let remedy = "Write the public half with `openssl pkey -in private.pem -pubout -out public.pem`.";
                    Fault::value(name, what, remedy)
                })
            }
            (None, None, Some(address)) => check_address(&key("jwks_url"), address).map(KeySource::Jwks),
            (None, None, None) => {
                let remedy = "Set one of secret_env, secret_file, public_key_file and jwks_url.";
                Err(Fault::value(key("jwks_url"), "is not set, and no other key of this issuer is", remedy))
            }
            (Some(_), Some(_), _) => Err(Fault::against(key("public_key_file"), EXCLUDES, key("secret"))),
            (Some(_), None, Some(_)) => Err(Fault::against(key("jwks_url"), EXCLUDES, key("secret"))),
            (None, Some(_), Some(_)) => Err(Fault::against(key("jwks_url"), EXCLUDES, key("public_key_file"))),
        }
    }

    fn claims(&self, table: &str) -> Result<ClaimNames, Fault> {
        let name = |claim: Claim, set: &Option<String>| {
            let name = set.clone().unwrap_or_else(|| claim.usual().to_owned());
            not_empty(&format!("{table}.{}", claim.key()), &name).map(|()| name)
        };
        if let Some(claim) = &self.connection_expires_claim {
            not_empty(&format!("{table}.connection_expires_claim"), claim)?;
        }
        Ok(ClaimNames {
            user: name(Claim::User, &self.user_claim)?,
            plan: name(Claim::Plan, &self.plan_claim)?,
            agents: name(Claim::Agents, &self.agents_claim)?,
            groups: name(Claim::Groups, &self.groups_claim)?,
            connection_expires: self.connection_expires_claim.clone(),
        })
    }
}

const EXCLUDES: &str = "must not be set together with";

/// What is accepted where nothing is said: one algorithm, unless the issuer itself says of each key what it is for.
fn usual(keys: &KeySource) -> Vec<Algorithm> {
    match keys {
        KeySource::Secret(_) | KeySource::Public(_) => keys.possible()[..1].to_vec(),
        KeySource::Jwks(_) => keys.possible().to_vec(),
    }
}

/// An algorithm of another family than the key's can never be verified; were a public key taken for a secret, whoever
/// knows it, everybody, could sign.
fn possible(keys: &KeySource, wanted: Vec<Algorithm>, table: &str) -> Result<Vec<Algorithm>, Fault> {
    match wanted.iter().find(|algorithm| !keys.possible().contains(algorithm)) {
        None => Ok(wanted),
        Some(wrong) => {
            let possible: Vec<String> = keys.possible().iter().map(|algorithm| format!("{algorithm:?}")).collect();
            Err(Fault::value(
                format!("{table}.algorithms"),
                format!("names {wrong:?}, which its key cannot be used with"),
                format!("Its key can be used with: {}.", possible.join(", ")),
            ))
        }
    }
}

/// Keys that travel in the clear can be exchanged on the way; on our own machine nobody stands in it.
fn check_address(key: &str, address: &Address) -> Result<Address, Fault> {
    let remedy = "Write https://host/path; http:// is for loopback alone, such as http://127.0.0.1:9000/jwks.";
    let wrong = |what: &str| Err(Fault::value(key, what, remedy));
    let Ok(url) = reqwest::Url::parse(address.as_str()) else { return wrong("is not an address") };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return wrong("has a user, a password or a fragment in it");
    }
    match url.scheme() {
        "https" => Ok(address.clone()),
        "http" if crate::outbound::is_loopback(&url) => Ok(address.clone()),
        "http" => wrong("is plain http to another machine, where keys can be exchanged on the way"),
        _ => wrong("is neither https nor http"),
    }
}
