//! Who asks, and what he may: nobody is an operator by default.
//!
//! ```text
//!  Authorization: Bearer lychgate_... ─► Keys ──────────────────────────────► role of the key     (never from a page)
//!  Authorization: Bearer <token>      ─► Doorkeeper ─► groups of the identity ─► read, write, or neither
//!  cookie of an operator's login      ─► Entrance ───'                            (its rule says which pages may use it)
//! ```

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{FromRequestParts, MatchedPath};
use http::header::{AUTHORIZATION, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use lychgate_core::{RequestId, UserId};

use super::Control;
use super::attempts::Attempts;
use super::keys::{Keys, PREFIX};
use crate::api::refused::Refused;
use crate::auth::{AuthError, Doorkeeper, Entrance, Identity, Shown, bearer};
use crate::close::ErrorCode;
use crate::config::{Admin, Config, Role};
use crate::driver::random_bits;
use crate::store::audit::Keep;

/// What lets somebody in.
#[derive(Debug)]
pub(super) struct Access {
    rules: RwLock<Arc<Rules>>,
    doorkeeper: Arc<Doorkeeper>,
    /// Where operators log in. Logins of users count for nothing here.
    entrance: Option<Entrance>,
    attempts: Attempts,
}

/// What the configuration says, until it is read again: a key that leaked is gone at the next SIGHUP.
#[derive(Debug)]
pub(super) struct Rules {
    keys: Keys,
    group: Option<Box<str>>,
    write_group: Option<Box<str>>,
    /// Pages that may ask by a token or an operator's cookie, beside our own.
    origins: Box<[String]>,
    pub(super) metrics_need_key: bool,
    pub(super) keep: Keep,
}

/// Somebody who proved to be an operator.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub(super) who: Who,
    pub(super) request: RequestId,
}

/// Who he is. Its text is unambiguous whatever a user id holds, because the word before the colon says what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Key(Box<str>),
    User(UserId),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => write!(f, "key:{name}"),
            Self::User(user) => write!(f, "user:{user}"),
        }
    }
}

/// Why somebody may not.
#[derive(Debug)]
pub(super) enum Denied {
    /// Neither a key nor a group is configured.
    NobodyMay,
    /// He shows nothing.
    NoProof,
    /// A key that is none of ours.
    UnknownKey,
    /// A token or login that proves nothing, or nothing yet.
    BadProof(AuthError),
    /// He is in neither group.
    NotInGroup(UserId),
    /// He may look and not change.
    ReadOnly(Who),
    /// A page that is not ours asks.
    ForeignPage,
}

const HOW_TO_MAKE_A_KEY: &str = "Nobody may use this yet: run `lychgate admin-key NAME`, put the lines that it prints into the \
     configuration, restart or SIGHUP, and send the key as `Authorization: Bearer lychgate_...`.";

impl Denied {
    /// The word in the log.
    fn as_str(&self) -> &'static str {
        match self {
            Self::NobodyMay => "nobody_may",
            Self::NoProof => "no_proof",
            Self::UnknownKey => "unknown_key",
            Self::BadProof(error) => error.as_str(),
            Self::NotInGroup(_) => "not_in_group",
            Self::ReadOnly(_) => "read_only",
            Self::ForeignPage => "foreign_page",
        }
    }

    fn who(&self) -> String {
        match self {
            Self::NotInGroup(user) => Who::User(user.clone()).to_string(),
            Self::ReadOnly(who) => who.to_string(),
            Self::NobodyMay | Self::NoProof | Self::UnknownKey | Self::BadProof(_) | Self::ForeignPage => {
                "nobody".to_owned()
            }
        }
    }

    fn refused(&self) -> Refused {
        let (code, sentence) = match self {
            Self::NobodyMay => (ErrorCode::Unauthorized, HOW_TO_MAKE_A_KEY),
            Self::NoProof => (
                ErrorCode::Unauthorized,
                "This is for operators: send a key as `Authorization: Bearer lychgate_...`; `lychgate admin-key NAME` makes one.",
            ),
            Self::UnknownKey => (ErrorCode::Unauthorized, "This key is not in the configuration of this node."),
            Self::BadProof(error) => return Refused::from(&error.closing()),
            Self::NotInGroup(_) => {
                (ErrorCode::Forbidden, "You are in no group of operators (admin.group, admin.write_group).")
            }
            Self::ReadOnly(_) => (ErrorCode::Forbidden, "You may look and not change: this needs the role `write`."),
            Self::ForeignPage => {
                (ErrorCode::Forbidden, "This address is for operators and backends and not for this page in a browser.")
            }
        };
        Refused::saying(code, sentence)
    }
}

impl Access {
    pub(super) fn new(config: &Config, doorkeeper: Arc<Doorkeeper>, entrance: Option<Entrance>) -> Self {
        Self { rules: RwLock::new(Arc::new(Rules::of(config))), doorkeeper, entrance, attempts: Attempts::new() }
    }

    /// The way in for operators with a browser.
    pub(super) fn entrance(&self) -> Option<&Entrance> {
        self.entrance.as_ref()
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn renew(&self, config: &Config) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Rules::of(config));
    }

    /// The pages where operators log in; none without `admin.public_url`.
    fn own_origins(&self) -> &[String] {
        self.entrance.as_ref().map_or(&[], |entrance| &entrance.own_origins)
    }

    /// Who sent a request, if he is an operator.
    async fn identify(&self, method: &Method, headers: &HeaderMap) -> Result<(Who, Role), Denied> {
        let rules = self.rules();
        let has_group = rules.group.is_some() || rules.write_group.is_some();
        match bearer(headers) {
            Some(_) | None if rules.keys.is_empty() && !has_group => Err(Denied::NobodyMay),
            Some(key) if key.starts_with(PREFIX) => match rules.keys.find(key) {
                // A key lies in the configuration of a backend. A page that holds one has made it public.
                Some(_) if headers.contains_key(ORIGIN) => Err(Denied::ForeignPage),
                Some((name, role)) => Ok((Who::Key(name.into()), role)),
                None => Err(Denied::UnknownKey),
            },
            Some(_) | None if !has_group => Err(Denied::NoProof),
            None if headers.contains_key(AUTHORIZATION) => Err(Denied::NoProof),
            proof => {
                // Neither tickets nor anything else in an address: addresses are written into logs.
                let shown = Shown { access: method.into(), headers, query: None, subprotocol: None };
                let identified = match (proof, &self.entrance) {
                    (Some(_), _) if !may_ask(headers, self.own_origins(), &rules.origins) => {
                        Err(AuthError::ForeignPage)
                    }
                    (Some(_), _) => self.doorkeeper.identify(shown).await,
                    // A cookie comes along with whatever page asks: the entrance looks which one it is.
                    (None, Some(entrance)) => entrance.identify(shown, &rules.origins),
                    (None, None) => Ok(None),
                };
                match identified {
                    Ok(Some(identity)) if self.doorkeeper.is_revoked(&identity.user, identity.proof) => {
                        Err(Denied::BadProof(AuthError::Revoked))
                    }
                    Ok(Some(identity)) => rules.by_group(identity),
                    Ok(None) => Err(Denied::NoProof),
                    Err(AuthError::ForeignPage) => Err(Denied::ForeignPage),
                    Err(error) => Err(Denied::BadProof(error)),
                }
            }
        }
    }
}

impl Rules {
    fn of(config: &Config) -> Self {
        let Admin { keys, group, write_group, metrics_need_key, audit_entries, audit_age, public_url: _ } =
            &config.admin;
        Self {
            keys: Keys::new(keys),
            group: group.as_deref().map(Into::into),
            write_group: write_group.as_deref().map(Into::into),
            origins: config.auth.origins.as_slice().into(),
            metrics_need_key: *metrics_need_key,
            keep: Keep { entries: *audit_entries, for_ms: u64::try_from(audit_age.as_millis()).unwrap_or(u64::MAX) },
        }
    }

    fn by_group(&self, identity: Identity) -> Result<(Who, Role), Denied> {
        let is_in = |group: &Option<Box<str>>| group.as_ref().is_some_and(|group| identity.groups.contains(group));
        match (is_in(&self.write_group), is_in(&self.group)) {
            (true, _) => Ok((Who::User(identity.user), Role::Write)),
            (false, true) => Ok((Who::User(identity.user), Role::Read)),
            (false, false) => Err(Denied::NotInGroup(identity.user)),
        }
    }
}

/// Whether no page asks, or one that may: from where operators log in, or one of those that are listed. An empty list lets
/// every page connect as a user with a token, which it must have; here it means none but our own.
fn may_ask(headers: &HeaderMap, own: &[String], listed: &[String]) -> bool {
    let is_known = |origin: &HeaderValue| {
        own.iter().chain(listed).any(|known| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    };
    headers.get_all(ORIGIN).iter().all(is_known)
}

impl Control {
    /// Lets an operator of this role pass; whoever is none is told why, and some of them are written down.
    pub(super) async fn admit(self: &Arc<Self>, parts: &Parts, role: Role) -> Result<Operator, Refused> {
        let request = RequestId::from_random(random_bits());
        let admitted = match self.access.identify(&parts.method, &parts.headers).await {
            Ok((who, has)) if has >= role => Ok(Operator { who, request }),
            Ok((who, _)) => Err(Denied::ReadOnly(who)),
            Err(denied) => Err(denied),
        };
        admitted.map_err(|denied| {
            if let Some(untold) = self.access.attempts.tell() {
                let route = parts.extensions.get::<MatchedPath>().map_or("unknown", |path| path.as_str());
                let (why, operator) = (denied.as_str(), denied.who());
                tracing::warn!(%request, operator, method = %parts.method, route, why, untold, "an operator was refused");
                self.note_refused(request, operator, format!("{} {route}", parts.method), why, untold);
            }
            denied.refused()
        })
    }
}

/// Whoever may look.
#[derive(Debug)]
pub(super) struct Reader;

/// Whoever may change something.
#[derive(Debug)]
pub(super) struct Writer(pub(super) Operator);

impl FromRequestParts<Arc<Control>> for Reader {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, control: &Arc<Control>) -> Result<Self, Refused> {
        control.admit(parts, Role::Read).await.map(|_| Self)
    }
}

impl FromRequestParts<Arc<Control>> for Writer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, control: &Arc<Control>) -> Result<Self, Refused> {
        control.admit(parts, Role::Write).await.map(Self)
    }
}

#[cfg(test)]
mod tests;
