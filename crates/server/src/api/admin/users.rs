//! `GET /v1/admin/users`: who is here, one line each, page by page.
//!
//! The same walk as that of the sessions ([`super::page`]), and a tenth of its cost: nobody who is not shown is copied.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lychgate_core::{Usage, UserBrief, UserId};

use super::Control;
use super::access::Reader;
use super::cursor::Cursor;
use super::page::{self, Listing, limit};
use crate::api::caller::Asked;
use crate::api::refused::Refused;
use crate::driver::{Driver, Place};
use crate::wire::admin::{Error, LentLimit, UserPage, UserRow, rfc3339};
use crate::wire::{millis, unix_ms};

/// Which users are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Search(pub(super) Option<String>);

impl Search {
    fn finds(&self, user: &UserId) -> bool {
        self.0.as_ref().is_none_or(|text| user.as_str().contains(text.as_str()))
    }
}

impl Listing for Search {
    type Row = UserBrief;

    fn look(
        &self,
        driver: &Driver,
        from: Place,
        count: usize,
        is_in: &mut dyn FnMut(&UserId, Usage) -> bool,
    ) -> (Vec<UserBrief>, Option<Place>) {
        driver.briefs(from, count, |user, usage| is_in(user, usage) && self.finds(user))
    }

    fn whose(row: &UserBrief) -> (&UserId, Usage) {
        (&row.user, row.usage)
    }

    fn sessions(_: &UserBrief) -> usize {
        0
    }
}

/// Every user of this node in one line. Other nodes list theirs.
#[utoipa::path(
    get, path = "/v1/admin/users", tag = "operators", security(("key" = [])),
    params(
        ("search" = Option<String>, Query, description = "Only users whose id holds this text."),
        ("sort" = Option<String>, Query, description = "`user`, or `pressure` (fullest first); in no order where it is not given, which costs least."),
        ("after" = Option<String>, Query, description = "`next` of the page before."),
        ("limit" = Option<usize>, Query, description = "Users, 1 to 200; 50 where it is not given."),
    ),
    responses(
        (status = 200, body = UserPage),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error)
    )
)]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    _: Reader,
    asked: Asked,
) -> Result<Json<UserPage>, Refused> {
    let limit = limit(&asked)?;
    let search = Search(asked.text("search").map(str::to_owned));
    let cursor = Cursor::of(asked.text("sort"), asked.text("after"))?;
    let look = move |driver: &Driver| (page::read(driver, cursor, limit, &search), driver.user_count());
    let ((users, next), total) = control.look(look).await?;
    let now = unix_ms();
    let users = users.into_iter().map(|user| row(user, now)).collect();
    Ok(Json(UserPage { users, total, next: next.map(|next| next.to_string()) }))
}

fn row(brief: UserBrief, now: u64) -> UserRow {
    let UserBrief { user, usage, plan, lent, waiting, connections, runs, alive, suspect, zombie, detached } = brief;
    UserRow {
        user: user.as_str().to_owned(),
        used: usage.used,
        limit: usage.limit,
        level: usage.level.as_str().to_owned(),
        plan: plan.map(|plan| plan.to_string()),
        lent: lent.map(|(max_sessions, left)| LentLimit { max_sessions, ends_in: millis(left) }),
        waiting,
        connections,
        runs,
        alive,
        suspect,
        zombie,
        detached,
        reserve_until: usage.reserve_left.map(|left| rfc3339(now + millis(left))),
    }
}
