//! `GET /v1/admin/sessions`: who holds what, page by page, and how it does.
//!
//! ```text
//!  no order:       walk from a place on, until the page is full          cheap; the cursor is a place
//!  user, pressure: walk through all, keep the first ones after a key     bounded memory; the cursor is a key
//! ```
//!
//! One shard is locked at a time, for a few users (hazard R13). Places and user ids stand still while others come and go, so
//! that whoever is here all the time is met exactly once; a user whose pressure changes may be met twice or not at all.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lychgate_core::report::{SessionReport, UserReport};
use lychgate_core::{Liveness, SessionKey};

use self::cursor::{Cursor, Key, Order};
use super::Control;
use super::access::Reader;
use crate::api::caller::Asked;
use crate::api::refused::Refused;
use crate::driver::{Driver, Place};
use crate::wire::admin::{Error, Listed};

mod cursor;
mod told;

const USUAL_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// Sessions of one page: users with lent limits hold many. A page has one user at least.
const MAX_SESSIONS: usize = 2_000;

/// Users that one request without an order looks at: a search that finds little answers all the same, and goes on after it.
const MAX_LOOKED_AT: usize = 20_000;

/// Users that are copied at a time.
const BATCH: usize = 64;

/// Which sessions are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    health: Option<Wanted>,
    search: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Alive,
    Suspect,
    Zombie,
    Detached,
    /// A score of at most this.
    AtMost(u8),
}

impl Filter {
    fn of(asked: &Asked) -> Result<Self, Refused> {
        let health = match asked.text("health") {
            None => None,
            Some("alive") => Some(Wanted::Alive),
            Some("suspect") => Some(Wanted::Suspect),
            Some("zombie") => Some(Wanted::Zombie),
            Some("detached") => Some(Wanted::Detached),
            Some(score) => match score.parse::<u8>() {
                Ok(score) if score <= 100 => Some(Wanted::AtMost(score)),
                Ok(_) | Err(_) => {
                    return Err(Refused::bad(
                        "`health` in the query must be `alive`, `suspect`, `zombie`, `detached`, or the highest score wanted, 0 to 100.",
                    ));
                }
            },
        };
        Ok(Self { health, search: asked.text("search").map(str::to_owned) })
    }

    fn wants(&self, user: &UserReport, session: &SessionReport) -> bool {
        let is_named = self.search.as_ref().is_none_or(|text| {
            user.user.as_str().contains(text.as_str()) || session.thread.as_str().contains(text.as_str())
        });
        let is_in_health = match self.health {
            None => true,
            Some(Wanted::AtMost(score)) => session.health.score <= score,
            Some(Wanted::Alive) => session.liveness == Some(Liveness::Alive),
            Some(Wanted::Suspect) => session.liveness == Some(Liveness::Suspect),
            Some(Wanted::Zombie) => matches!(session.liveness, Some(Liveness::Zombie(_))),
            Some(Wanted::Detached) => session.liveness.is_none(),
        };
        is_named && is_in_health
    }

    /// Whether nothing is left out.
    fn wants_all(&self) -> bool {
        self.health.is_none() && self.search.is_none()
    }

    /// The user with the sessions that are wanted and with the connections that show them; none where there is none of
    /// them.
    fn pick(&self, mut user: UserReport) -> Option<UserReport> {
        let sessions = std::mem::take(&mut user.sessions);
        user.sessions = sessions.into_iter().filter(|session| self.wants(&user, session)).collect();
        // Of a user with a thousand connections, one session was asked for: the others are not told.
        let shown: HashSet<_> = user.sessions.iter().flat_map(|session| session.attached.iter().copied()).collect();
        user.connections.retain(|connection| shown.contains(&connection.connection));
        (!user.sessions.is_empty()).then_some(user)
    }

    /// What is known of one user who was asked for by name: also whoever holds no session, but connections, opens that
    /// wait or a lent limit, unless certain sessions are wanted.
    fn pick_one(&self, user: UserReport) -> Option<UserReport> {
        match self.wants_all() {
            true => Some(user),
            false => self.pick(user),
        }
    }
}

/// Every session of this node, or one user's, with health, liveness, and what that is judged by.
#[utoipa::path(
    get, path = "/v1/admin/sessions", tag = "operators", security(("key" = [])),
    params(
        ("user" = Option<String>, Query, description = "This user alone, also without a session."),
        ("health" = Option<String>, Query, description = "Only `alive`, `suspect`, `zombie` or `detached` ones, or those whose score is at most this number."),
        ("search" = Option<String>, Query, description = "Only where the id of user or thread holds this text."),
        ("sort" = Option<String>, Query, description = "`user`, or `pressure` (fullest first); in no order where it is not given, which costs least."),
        ("after" = Option<String>, Query, description = "`next` of the page before."),
        ("limit" = Option<usize>, Query, description = "Users, 1 to 200; 50 where it is not given."),
    ),
    responses(
        (status = 200, body = Listed),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error)
    )
)]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    _: Reader,
    asked: Asked,
) -> Result<Json<Listed>, Refused> {
    let limit = asked.number("limit")?.unwrap_or(USUAL_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Refused::bad(format!("`limit` in the query must be 1 to {MAX_LIMIT}.")));
    }
    let filter = Filter::of(&asked)?;
    let user = asked.text("user").map(super::user_id).transpose()?;
    let cursor = Cursor::of(asked.text("sort"), asked.text("after"))?;
    let (users, next) = control
        .look(move |driver| match (user, cursor) {
            (Some(user), _) => {
                (driver.report(&user).and_then(|user| filter.pick_one(user)).into_iter().collect(), None)
            }
            (None, Cursor::Place(place)) => walk(driver, place, limit, &filter),
            (None, Cursor::After(order, after)) => sorted(driver, order, after.as_ref(), limit, &filter),
        })
        .await?;
    Ok(Json(Listed { users: users.iter().map(told::user).collect(), next: next.map(|next| next.to_string()) }))
}

type Page = (Vec<UserReport>, Option<Cursor>);

/// The next users that are met.
fn walk(driver: &Driver, from: Place, limit: usize, filter: &Filter) -> Page {
    let (mut page, mut sessions, mut looked_at, mut at) = (Vec::new(), 0, 0, from);
    while page.len() < limit && sessions < MAX_SESSIONS && looked_at < MAX_LOOKED_AT {
        let (users, next) = driver.reports(at, BATCH.min(limit - page.len()));
        looked_at += users.len();
        for user in users.into_iter().filter_map(|user| filter.pick(user)) {
            sessions += user.sessions.len();
            page.push(user);
        }
        match next {
            Some(next) => at = next,
            None => return (page, None),
        }
    }
    (page, Some(Cursor::Place(at)))
}

/// The first users after a key, of all that there are.
fn sorted(driver: &Driver, order: Order, after: Option<&Key>, limit: usize, filter: &Filter) -> Page {
    let mut first: BTreeMap<Key, UserReport> = BTreeMap::new();
    let (mut at, mut has_more) = (Some(Place::default()), false);
    while let Some(place) = at {
        let (users, next) = driver.reports(place, BATCH);
        at = next;
        for user in users {
            let key = order.key(&user);
            let is_in = after.is_none_or(|after| key > *after)
                && (first.len() < limit || first.last_key_value().is_some_and(|(last, _)| key < *last));
            has_more |= first.len() >= limit && after.is_none_or(|after| key > *after);
            if is_in && let Some(user) = filter.pick(user) {
                first.insert(key, user);
            }
            if first.len() > limit {
                first.pop_last();
                has_more = true;
            }
        }
    }
    let mut sessions = 0;
    let kept = first.values().take_while(|user| {
        let fits = sessions < MAX_SESSIONS;
        sessions += user.sessions.len();
        fits
    });
    let kept = kept.count();
    has_more |= kept < first.len();
    let next = first.keys().nth(kept.wrapping_sub(1)).filter(|_| has_more).cloned();
    let page = first.into_values().take(kept).collect();
    (page, next.map(|key| Cursor::After(order, Some(key))))
}

/// The isolation key that a path names.
pub(super) fn session_key(text: &str) -> Result<SessionKey, Refused> {
    text.parse()
        .map_err(|_| Refused::bad("The path must end in an isolation key, `user:thread`, percent-encoded as a whole."))
}

#[cfg(test)]
mod tests;
