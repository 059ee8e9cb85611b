//! `GET /v1/admin/sessions`: who holds what, page by page, and how it does.
//!
//! [`super::page`] walks; what is looked for here are sessions, and a user without one of them is left out.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lychgate_core::report::{SessionReport, UserReport};
use lychgate_core::{Liveness, SessionKey, Usage, UserId};

use super::Control;
use super::access::Reader;
use super::cursor::Cursor;
use super::page::{self, Listing, limit};
use crate::api::caller::Asked;
use crate::api::refused::Refused;
use crate::driver::{Driver, Place};
use crate::wire::admin::{Error, Listed, User};

mod told;

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

impl Listing for Filter {
    type Row = UserReport;

    fn look(
        &self,
        driver: &Driver,
        from: Place,
        count: usize,
        is_in: &mut dyn FnMut(&UserId, Usage) -> bool,
    ) -> (Vec<UserReport>, Option<Place>) {
        let (users, next) = driver.reports(from, count);
        let wanted = users.into_iter().filter(|user| is_in(&user.user, user.usage));
        (wanted.filter_map(|user| self.pick(user)).collect(), next)
    }

    fn whose(row: &UserReport) -> (&UserId, Usage) {
        (&row.user, row.usage)
    }

    fn sessions(row: &UserReport) -> usize {
        row.sessions.len()
    }
}

/// Every session of this node, or one user's, with health, liveness, and what that is judged by. Of one user also which sessions he
/// has on other nodes; the list of all users is this node's.
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
    let limit = limit(&asked)?;
    let filter = Filter::of(&asked)?;
    let user = asked.text("user").map(super::user_id).transpose()?;
    let cursor = Cursor::of(asked.text("sort"), asked.text("after"))?;
    if let Some(user) = user {
        let users = control.one(user, filter).await?.into_iter().collect();
        return Ok(Json(Listed { users, next: None }));
    }
    let (users, next) = control.look(move |driver| page::read(driver, cursor, limit, &filter)).await?;
    Ok(Json(Listed { users: users.iter().map(told::user).collect(), next: next.map(|next| next.to_string()) }))
}

impl Control {
    /// One user, with his sessions on other nodes unless certain sessions are wanted; none where nothing is known of him.
    async fn one(&self, user: UserId, filter: Filter) -> Result<Option<User>, Refused> {
        let (elsewhere, elsewhere_unknown) = match filter.wants_all() {
            true => self.sessions_elsewhere(&user).await,
            false => (Vec::new(), false),
        };
        let is_elsewhere = !elsewhere.is_empty() || elsewhere_unknown;
        // As others said just now, and not as it was at the last admission here.
        let others = (filter.wants_all() && !elsewhere_unknown).then_some(elsewhere.len());
        let look = move |driver: &Driver| {
            let here = driver.report(&user).and_then(|report| filter.pick_one(report));
            // Who looks at the wrong node is told which one is right.
            let mut here = here.or_else(|| is_elsewhere.then(|| stranger(user.clone(), driver.usage(&user))))?;
            if let Some(others) = others {
                here.usage = driver.usage_of(&user, here.sessions.len() + others);
            }
            Some(told::user(&here))
        };
        let here = self.look(look).await?;
        Ok(here.map(|here| User { elsewhere, elsewhere_unknown, ..here }))
    }
}

/// Of whom nothing is known here.
fn stranger(user: UserId, usage: Usage) -> UserReport {
    UserReport {
        user,
        usage,
        plan: None,
        lent: None,
        waiting: 0,
        sessions: Vec::new(),
        connections: Vec::new(),
        runs: Vec::new(),
    }
}

/// The isolation key that a path names.
pub(super) fn session_key(text: &str) -> Result<SessionKey, Refused> {
    text.parse()
        .map_err(|_| Refused::bad("The path must end in an isolation key, `user:thread`, percent-encoded as a whole."))
}

#[cfg(test)]
mod tests;
