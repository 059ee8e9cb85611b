//! What every agent behind HTTP can be told: key, headers, who the user is, how much at once, when to give up.

use std::fmt;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::{At, Fault, Kind, Outside, RawAgent, not_zero};
use crate::config::auth::MIN_SECRET_BYTES;
use crate::config::error::in_range;
use crate::config::value::{MASK, Span};

/// How an agent behind HTTP is asked.
#[derive(Clone, Debug)]
pub struct Remote {
    /// From the request to an open connection. Default 5 s.
    pub connect_timeout: Duration,
    /// Sent as bearer token; from `api_key_env` or `api_key_file`.
    pub api_key: Option<ApiKey>,
    /// Sent with every request, beside our own; each is marked as sensitive, so that nothing prints its value.
    pub headers: HeaderMap,
    /// How the agent hears for whom it works.
    pub identity: Identity,
    /// Runs at the same time; one more is refused at once. Default 256.
    pub max_concurrent_runs: usize,
    /// When the agent counts as down.
    pub breaker: Breaker,
}

/// A key that an HTTP header can carry.
#[derive(Clone)]
pub struct ApiKey {
    text: String,
    header: HeaderValue,
}

/// How an agent hears for whom it works.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Carries the user's id, percent-encoded. Default `x-lychgate-user` for `agui`, none for `openai`.
    pub user_header: Option<HeaderName>,
    /// Carries the plan of the user's token, percent-encoded. Default `x-lychgate-plan` for `agui`, none for `openai`.
    pub plan_header: Option<HeaderName>,
    /// A signed token that says the same.
    pub jwt: Option<IdentityJwt>,
}

/// A short-lived token for one run, signed with HS256.
#[derive(Clone)]
pub struct IdentityJwt {
    /// Carries it. Default `x-lychgate-identity`.
    pub header: HeaderName,
    /// Known to the gateway and the agent; at least 32 bytes.
    pub secret: Vec<u8>,
    /// Its `aud`: the name of the agent.
    pub audience: String,
}

/// When an agent counts as down, and for how long nobody asks it then.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    /// Failures in a row that open it; 0 for never. Default 5.
    pub failures: usize,
    /// The time in which they have to fall. Default 5 min: above `failures` times the deadline for a first event, because
    /// somebody who waits alone for a backend that stays silent fails once per deadline.
    pub window: Duration,
    /// How long it stays open, give or take a fifth. Default 10 s.
    pub open: Duration,
}

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_MAX_CONCURRENT_RUNS: usize = 256;
const MOST_CONCURRENT_RUNS: usize = 1_000_000;
/// Each failure that counts is remembered.
const MOST_BREAKER_FAILURES: usize = 100;

const USER_HEADER: &str = "x-lychgate-user";
const PLAN_HEADER: &str = "x-lychgate-plan";
const JWT_HEADER: &str = "x-lychgate-identity";

/// Headers that are ours to set, or that say how a message is framed: another value would break every request.
const RESERVED: [HeaderName; 12] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, window: Duration::from_secs(300), open: Duration::from_secs(10) }
    }
}

impl Default for Remote {
    /// No key, no headers, no identity.
    fn default() -> Self {
        Self {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            api_key: None,
            headers: HeaderMap::new(),
            identity: Identity::default(),
            max_concurrent_runs: DEFAULT_MAX_CONCURRENT_RUNS,
            breaker: Breaker::default(),
        }
    }
}

impl ApiKey {
    /// None where it holds a character that no HTTP header can carry.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let header = secret_value(&format!("Bearer {text}"))?;
        Some(Self { text: text.to_owned(), header })
    }

    /// The key itself, to be kept out of what people see.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value of `Authorization`; marked as sensitive.
    #[must_use]
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Debug for IdentityJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityJwt")
            .field("header", &self.header)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl RawAgent {
    pub(super) fn remote(&self, at: &At<'_>, kind: Kind, outside: &Outside<'_>) -> Result<Remote, Fault> {
        let connect_timeout = self.connect_timeout.map_or(DEFAULT_CONNECT_TIMEOUT, |span| span.0);
        not_zero(&at.key("connect_timeout"), connect_timeout)?;
        let max_concurrent_runs = self.max_concurrent_runs.unwrap_or(DEFAULT_MAX_CONCURRENT_RUNS);
        in_range(&at.key("max_concurrent_runs"), max_concurrent_runs, 1, MOST_CONCURRENT_RUNS)?;
        let api_key = self.api_key(at, outside)?;
        let headers = self.headers(at, outside)?;
        let identity = self.identity(at, kind, outside)?;
        self.check_names(at, api_key.is_some(), &identity, &headers)?;
        Ok(Remote { connect_timeout, api_key, headers, identity, max_concurrent_runs, breaker: self.breaker(at)? })
    }

    fn api_key(&self, at: &At<'_>, outside: &Outside<'_>) -> Result<Option<ApiKey>, Fault> {
        let secret = secret(at, ["api_key_env", "api_key_file"], (&self.api_key_env, &self.api_key_file), outside)?;
        let Some((key, text)) = secret else { return Ok(None) };
        ApiKey::parse(&text).map(Some).ok_or_else(|| not_a_value(key))
    }

    /// `headers` and `headers_env` in one.
    fn headers(&self, at: &At<'_>, outside: &Outside<'_>) -> Result<HeaderMap, Fault> {
        let mut headers = HeaderMap::new();
        let written = self.headers.iter().flatten().map(|(name, value)| ("headers", name, Ok(value.0.clone())));
        let named = self.headers_env.iter().flatten().map(|(name, variable)| {
            let key = at.key(&format!("headers_env.{name}"));
            ("headers_env", name, outside.variable(&key, variable))
        });
        for (table, name, value) in written.chain(named) {
            let key = at.key(&format!("{table}.{name}"));
            let header = header_name(&key, name)?;
            let value = secret_value(&value?).ok_or_else(|| not_a_value(key.clone()))?;
            if headers.insert(header, value).is_some() {
                return Err(Fault::value(
                    key,
                    "is there twice",
                    "Leave one of the two out; capitals make no difference.",
                ));
            }
        }
        Ok(headers)
    }

    fn table_of(&self, header: &HeaderName) -> &'static str {
        let written = self.headers.iter().flatten().any(|(name, _)| header.as_str().eq_ignore_ascii_case(name));
        if written { "headers" } else { "headers_env" }
    }

    /// A third party must not learn who our users are unless the operator says so; an agent of one's own can do little
    /// without it.
    fn identity(&self, at: &At<'_>, kind: Kind, outside: &Outside<'_>) -> Result<Identity, Fault> {
        let by_kind = |name: &'static str| match kind {
            Kind::Agui => name,
            Kind::OpenAi | Kind::Demo => "",
        };
        let header = |field: &str, set: &Option<String>, default: &'static str| match set.as_deref().unwrap_or(default)
        {
            "" => Ok(None),
            name => header_name(&at.key(field), name).map(Some),
        };
        Ok(Identity {
            user_header: header("identity_header", &self.identity_header, by_kind(USER_HEADER))?,
            plan_header: header("plan_header", &self.plan_header, by_kind(PLAN_HEADER))?,
            jwt: self.identity_jwt(at, outside)?,
        })
    }

    fn identity_jwt(&self, at: &At<'_>, outside: &Outside<'_>) -> Result<Option<IdentityJwt>, Fault> {
        let fields = ["identity_jwt_secret_env", "identity_jwt_secret_file"];
        let sources = (&self.identity_jwt_secret_env, &self.identity_jwt_secret_file);
        let name_key = at.key("identity_jwt_header");
        match (secret(at, fields, sources, outside)?, &self.identity_jwt_header) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Fault::value(
                name_key,
                "is set, but no secret to sign with",
                "Set identity_jwt_secret_env or identity_jwt_secret_file, or leave it out.",
            )),
            (Some((key, secret)), _) if secret.len() < MIN_SECRET_BYTES => Err(Fault::value(
                key,
                format!("gives a secret of {} bytes; HS256 needs at least {MIN_SECRET_BYTES}", secret.len()),
                "Make one with `openssl rand -base64 48`.",
            )),
            (Some((_, secret)), name) => Ok(Some(IdentityJwt {
                header: header_name(&name_key, name.as_deref().unwrap_or(JWT_HEADER))?,
                secret: secret.into_bytes(),
                audience: at.name.to_owned(),
            })),
        }
    }

    /// A header has one meaning: who an agent works for must not be overwritten by a text of the configuration.
    fn check_names(&self, at: &At<'_>, has_key: bool, identity: &Identity, headers: &HeaderMap) -> Result<(), Fault> {
        const RULE: &str = "must not use the same header as";
        let key = if self.api_key_env.is_some() { "api_key_env" } else { "api_key_file" };
        let names = [
            (key, has_key.then_some(&header::AUTHORIZATION)),
            ("identity_header", identity.user_header.as_ref()),
            ("plan_header", identity.plan_header.as_ref()),
            ("identity_jwt_header", identity.jwt.as_ref().map(|jwt| &jwt.header)),
        ];
        for (index, (field, name)) in names.iter().enumerate() {
            let Some(name) = name else { continue };
            if headers.contains_key(*name) {
                return Err(Fault::against(at.key(field), RULE, at.key(self.table_of(name))));
            }
            if let Some((other, _)) = names[..index].iter().find(|(_, other)| *other == Some(name)) {
                return Err(Fault::against(at.key(field), RULE, at.key(other)));
            }
        }
        Ok(())
    }

    fn breaker(&self, at: &At<'_>) -> Result<Breaker, Fault> {
        let default = Breaker::default();
        let span = |field: &str, set: Option<Span>, default: Duration| {
            let span = set.map_or(default, |span| span.0);
            not_zero(&at.key(field), span).map(|()| span)
        };
        let failures = self.breaker_failures.unwrap_or(default.failures);
        in_range(&at.key("breaker_failures"), failures, 0, MOST_BREAKER_FAILURES)?;
        Ok(Breaker {
            failures,
            window: span("breaker_window", self.breaker_window, default.window)?,
            open: span("breaker_open", self.breaker_open, default.open)?,
        })
    }
}

/// A secret from a variable or a file, with the key that named it; both at once is a mistake.
fn secret(
    at: &At<'_>,
    [env, file]: [&str; 2],
    sources: (&Option<String>, &Option<std::path::PathBuf>),
    outside: &Outside<'_>,
) -> Result<Option<(String, String)>, Fault> {
    let (env, file) = (at.key(env), at.key(file));
    match sources {
        (None, None) => Ok(None),
        (Some(variable), None) => outside.variable(&env, variable).map(|text| Some((env, text))),
        (None, Some(path)) => outside.file(&file, path).map(|text| Some((file, text))),
        (Some(_), Some(_)) => Err(Fault::against(env, "must not be set together with", file)),
    }
}

fn header_name(key: &str, name: &str) -> Result<HeaderName, Fault> {
    match HeaderName::from_bytes(name.as_bytes()) {
        Err(_) => Err(Fault::value(
            key,
            format!("names {name:?}, which cannot be the name of an HTTP header"),
            "Use letters, digits and hyphens, such as \"x-team\".",
        )),
        Ok(name) if RESERVED.contains(&name) => Err(Fault::value(
            key,
            format!("names `{name}`, which the gateway sets itself"),
            "Leave it out, or name another header.",
        )),
        Ok(name) => Ok(name),
    }
}

/// ASCII alone: what other bytes of a header mean, nobody agrees on (RFC 9110, section 5.5).
fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok().filter(|_| text.is_ascii())?;
    value.set_sensitive(true);
    Some(value)
}

/// Says nothing of the value: it may be a secret.
fn not_a_value(key: String) -> Fault {
    Fault::value(
        key,
        "holds a character that cannot stand in an HTTP header",
        "Look for a line break, and for letters that are not ASCII.",
    )
}
