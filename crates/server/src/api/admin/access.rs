//! Who asks, and what he may: nobody is an operator by default.
//!
//! ```text
//!  Authorization: Bearer lychgate_... ─► Keys ──────────────────────────────► role of the key     (no page but ours)
//!  Authorization: Bearer <token>      ─► Doorkeeper ─► groups of the identity ─► read, write, or neither
//!  cookie of an operator's login      ─► Entrance ───'                            (its rule says which pages may use it)
//! ```

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{FromRequestParts, MatchedPath};
use http::header::{AUTHORIZATION, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use lychgate_core::{RequestId, Until, UserId};

use super::Control;
use super::attempts::Attempts;
use super::keys::{Keys, PREFIX};
use super::own_page::is_own_page;
use crate::api::refused::Refused;
use crate::auth::{Access as Use, AuthError, Doorkeeper, Entrance, Identity, Opaque, Shown, bearer, read_cookie};
use crate::close::{Close, Closing, ErrorCode};
use crate::config::{Admin, Config, Role};
use crate::driver::random_bits;
use crate::store::audit::Keep;
use crate::wire::millis;

/// What lets somebody in.
#[derive(Debug)]
pub(super) struct Access {
    rules: RwLock<Arc<Rules>>,
    doorkeeper: Arc<Doorkeeper>,
    /// Where operators log in. Logins of users count for nothing here.
    entrance: Option<Entrance>,
    /// What this listener's addresses begin with: `http`, or `https` where it speaks TLS.
    scheme: &'static str,
    attempts: Attempts,
}

/// What an operator shows with a request.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    /// What it is for.
    pub(super) access: Use,
    /// All its headers.
    pub(super) headers: &'a HeaderMap,
    /// The key or token that came as a subprotocol of a WebSocket.
    pub(super) subprotocol: Option<&'a str>,
}

impl<'a> Asking<'a> {
    fn bearer(&self) -> Option<&'a str> {
        bearer(self.headers).or(self.subprotocol)
    }
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

/// What somebody proved to be an operator by; asked about again as long as he stays.
pub(super) enum Proven {
    /// A key, by its name and its hash.
    Key(Box<str>, [u8; 32]),
    /// A token; or a login, whose cookie is looked at again.
    User(Box<Identity>, Option<Opaque>),
}

impl Proven {
    pub(super) fn who(&self) -> Who {
        match self {
            Self::Key(name, _) => Who::Key(name.clone()),
            Self::User(identity, _) => Who::User(identity.user.clone()),
        }
    }
}

/// Somebody who proved to be an operator.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub(super) who: Who,
    /// All that he may do, whatever this request needs.
    pub(super) role: Role,
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

    /// How a socket is closed for it: a page that waits for another login says so, and whoever is to fetch a token fetches one.
    pub(super) fn closing(&self) -> Closing {
        match self {
            Self::NobodyMay | Self::NoProof | Self::UnknownKey => Close::Unauthorized.closing(),
            Self::BadProof(error) => error.closing(),
            Self::NotInGroup(_) | Self::ReadOnly(_) | Self::ForeignPage => Close::Forbidden.closing(),
        }
    }

    /// How a request is answered for it.
    pub(super) fn refused(&self) -> Refused {
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
            Self::ForeignPage => (
                ErrorCode::Forbidden,
                "This address is for operators, for backends, and for the pages of this node: this page is none of them. \
                 Under a name of its own the node has to know it (admin.public_url).",
            ),
        };
        Refused::saying(code, sentence)
    }
}

impl Access {
    pub(super) fn new(config: &Config, doorkeeper: Arc<Doorkeeper>, entrance: Option<Entrance>) -> Self {
        let scheme = if config.server.admin_tls.is_some() { "https" } else { "http" };
        Self {
            rules: RwLock::new(Arc::new(Rules::of(config))),
            doorkeeper,
            entrance,
            scheme,
            attempts: Attempts::new(),
        }
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

    fn login(&self, headers: &HeaderMap) -> Option<Opaque> {
        read_cookie(headers, self.entrance.as_ref()?.logins.realm().cookie())
    }

    /// What somebody may do still who proved a while ago who he is: a key may be gone, a token be over or revoked, a login have
    /// ended, and a group be another one. Neither signatures nor the disk are asked, so that it may be every second.
    ///
    /// # Errors
    /// Why he may no longer.
    pub(super) fn still(&self, proven: &Proven) -> Result<Role, Denied> {
        let rules = self.rules();
        match proven {
            Proven::Key(name, hash) => rules.keys.role_of(name, hash).ok_or(Denied::UnknownKey),
            Proven::User(identity, login) => {
                let has_ended = |token: &Opaque| {
                    self.entrance.as_ref().is_none_or(|entrance| entrance.logins.identity(token).is_none())
                };
                match identity.expires_in() {
                    _ if login.as_ref().is_some_and(has_ended) => Err(Denied::BadProof(AuthError::LoggedOut)),
                    Some(Until::Past(_)) => Err(Denied::BadProof(AuthError::Expired)),
                    _ if self.doorkeeper.is_revoked(&identity.user, identity.proof) => {
                        Err(Denied::BadProof(AuthError::Revoked))
                    }
                    Some(Until::Ahead(_)) | None => rules.by_group(identity),
                }
            }
        }
    }

    /// The pages where operators log in; none without `admin.public_url`.
    fn own_origins(&self) -> &[String] {
        self.entrance.as_ref().map_or(&[], |entrance| &entrance.own_origins)
    }

    /// Whether no page asks, or one that may with a key or token in hand: one of this listener's own, or for a token (`listed`)
    /// one of those, too. An empty list lets every page connect as a user with a token, which it must have; here it means none
    /// but our own.
    fn may_ask(&self, headers: &HeaderMap, listed: &[String]) -> bool {
        let is_known = |origin: &HeaderValue| {
            self.own_origins()
                .iter()
                .chain(listed)
                .any(|known| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
        };
        headers.get_all(ORIGIN).iter().all(is_known) || is_own_page(self.scheme, headers)
    }

    /// Who asks for a socket. Here the page counts before everything else, as browsers say of every socket which one opens it.
    pub(super) async fn identify_socket(&self, asking: Asking<'_>) -> Result<(Proven, Role), Denied> {
        match self.may_ask(asking.headers, &self.rules().origins) {
            true => self.identify(asking).await,
            false => Err(Denied::ForeignPage),
        }
    }

    /// Who sent a request, if he is an operator.
    pub(super) async fn identify(&self, asking: Asking<'_>) -> Result<(Proven, Role), Denied> {
        let rules = self.rules();
        let Asking { access, headers, subprotocol } = asking;
        let has_group = rules.group.is_some() || rules.write_group.is_some();
        match asking.bearer() {
            Some(_) | None if rules.keys.is_empty() && !has_group => Err(Denied::NobodyMay),
            Some(key) if key.starts_with(PREFIX) => match rules.keys.find(key) {
                // Who typed a key into our own page gave it to us. Any other page that holds one has made it public.
                Some(_) if !self.may_ask(headers, &[]) => Err(Denied::ForeignPage),
                Some((name, role)) => Ok((Proven::Key(name.into(), Keys::hash(key)), role)),
                None => Err(Denied::UnknownKey),
            },
            Some(_) | None if !has_group => Err(Denied::NoProof),
            None if headers.contains_key(AUTHORIZATION) => Err(Denied::NoProof),
            proof => {
                // Neither tickets nor anything else in an address: addresses are written into logs.
                let shown = Shown { access, headers, query: None, subprotocol };
                let identified = match (proof, &self.entrance) {
                    (Some(_), _) if !self.may_ask(headers, &rules.origins) => Err(AuthError::ForeignPage),
                    (Some(_), _) => self.doorkeeper.identify(shown).await,
                    // A cookie comes along with whatever page asks: the entrance looks which one it is.
                    (None, Some(entrance)) => entrance.identify(shown, &rules.origins),
                    (None, None) => Ok(None),
                };
                match identified {
                    Ok(Some(identity)) if self.doorkeeper.is_revoked(&identity.user, identity.proof) => {
                        Err(Denied::BadProof(AuthError::Revoked))
                    }
                    Ok(Some(identity)) => {
                        let role = rules.by_group(&identity)?;
                        let by_login = proof.is_none().then(|| self.login(headers)).flatten();
                        Ok((Proven::User(Box::new(identity), by_login), role))
                    }
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
            keep: Keep { entries: *audit_entries, for_ms: millis(*audit_age) },
        }
    }

    fn by_group(&self, identity: &Identity) -> Result<Role, Denied> {
        let is_in = |group: &Option<Box<str>>| group.as_ref().is_some_and(|group| identity.groups.contains(group));
        match (is_in(&self.write_group), is_in(&self.group)) {
            (true, _) => Ok(Role::Write),
            (false, true) => Ok(Role::Read),
            (false, false) => Err(Denied::NotInGroup(identity.user.clone())),
        }
    }
}

impl Control {
    /// Lets an operator of this role pass; whoever is none is told why, and some of them are written down.
    pub(super) async fn admit(self: &Arc<Self>, parts: &Parts, role: Role) -> Result<Operator, Refused> {
        let request = RequestId::from_random(random_bits());
        let asking = Asking { access: (&parts.method).into(), headers: &parts.headers, subprotocol: None };
        let admitted = match self.access.identify(asking).await {
            Ok((proven, has)) if has >= role => Ok(Operator { who: proven.who(), role: has, request }),
            Ok((proven, _)) => Err(Denied::ReadOnly(proven.who())),
            Err(denied) => Err(denied),
        };
        admitted.map_err(|denied| {
            let route = parts.extensions.get::<MatchedPath>().map_or("unknown", |path| path.as_str());
            self.note_denied(&denied, request, &parts.method, route);
            denied.refused()
        })
    }

    /// Tells of somebody who was refused, unless many were just now.
    pub(super) fn note_denied(self: &Arc<Self>, denied: &Denied, request: RequestId, method: &Method, route: &str) {
        if let Some(untold) = self.access.attempts.tell() {
            let (why, operator) = (denied.as_str(), denied.who());
            tracing::warn!(%request, operator, %method, route, why, untold, "an operator was refused");
            self.note_refused(request, operator, format!("{method} {route}"), why, untold);
        }
    }
}

/// Whoever may look.
#[derive(Debug)]
pub(super) struct Reader(pub(super) Operator);

/// Whoever may change something.
#[derive(Debug)]
pub(super) struct Writer(pub(super) Operator);

impl FromRequestParts<Arc<Control>> for Reader {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, control: &Arc<Control>) -> Result<Self, Refused> {
        control.admit(parts, Role::Read).await.map(Self)
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
