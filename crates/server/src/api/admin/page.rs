//! Pages of users: how a list is walked, whatever it shows of each of them.
//!
//! ```text
//!  no order:       walk from a place on, until the page is full          cheap; the cursor is a place
//!  user, pressure: walk through all, keep the first ones after a key     bounded memory; the cursor is a key
//! ```
//!
//! One shard is locked at a time, for a few users (hazard R13). Places and user ids stand still while others come and go, so
//! that whoever is here all the time is met exactly once; a user whose pressure changes may be met twice or not at all.

use std::collections::BTreeMap;

use lychgate_core::{Usage, UserId};

use super::cursor::{Cursor, Key, Order};
use crate::api::caller::Asked;
use crate::api::refused::Refused;
use crate::driver::{Driver, Place};

const USUAL_LIMIT: usize = 50;
pub(super) const MAX_LIMIT: usize = 200;

/// Sessions of one page: users with lent limits hold many. A page has one user at least.
pub(super) const MAX_SESSIONS: usize = 2_000;

/// Users that one request without an order looks at: a search that finds little answers all the same, and goes on after it.
const MAX_LOOKED_AT: usize = 20_000;

/// Users that are looked at under one lock.
pub(super) const BATCH: usize = 64;

/// Which users are listed, and what is shown of each.
pub(super) trait Listing {
    /// What is shown of a user.
    type Row;

    /// Those of the next `count` places at most who are wanted, where `is_in` says that they belong to this page; and where to
    /// go on, none at the end.
    fn look(
        &self,
        driver: &Driver,
        from: Place,
        count: usize,
        is_in: &mut dyn FnMut(&UserId, Usage) -> bool,
    ) -> (Vec<Self::Row>, Option<Place>);

    /// Of whom a row is, and what he held.
    fn whose(row: &Self::Row) -> (&UserId, Usage);

    /// Sessions that a row shows one by one: they make a page long.
    fn sessions(row: &Self::Row) -> usize;
}

/// A page, and where the next one begins; none at the end.
pub(super) type Page<Row> = (Vec<Row>, Option<Cursor>);

/// Users of a page, as asked for.
pub(super) fn limit(asked: &Asked) -> Result<usize, Refused> {
    let limit = asked.number("limit")?.unwrap_or(USUAL_LIMIT);
    match (1..=MAX_LIMIT).contains(&limit) {
        true => Ok(limit),
        false => Err(Refused::bad(format!("`limit` in the query must be 1 to {MAX_LIMIT}."))),
    }
}

/// The page of at most `limit` users that begins there.
pub(super) fn read<L: Listing>(driver: &Driver, from: Cursor, limit: usize, listing: &L) -> Page<L::Row> {
    match from {
        Cursor::Place(place) => walk(driver, place, limit, listing),
        Cursor::After(order, after) => sorted(driver, order, after.as_ref(), limit, listing),
    }
}

/// The next users that are met.
fn walk<L: Listing>(driver: &Driver, from: Place, limit: usize, listing: &L) -> Page<L::Row> {
    let (mut page, mut sessions, mut looked_at, mut at) = (Vec::new(), 0, 0, from);
    while page.len() < limit && sessions < MAX_SESSIONS && looked_at < MAX_LOOKED_AT {
        let mut count = |_: &UserId, _| {
            looked_at += 1;
            true
        };
        let (rows, next) = listing.look(driver, at, BATCH.min(limit - page.len()), &mut count);
        sessions += rows.iter().map(L::sessions).sum::<usize>();
        page.extend(rows);
        match next {
            Some(next) => at = next,
            None => return (page, None),
        }
    }
    (page, Some(Cursor::Place(at)))
}

/// The first users after a key, of all that there are.
fn sorted<L: Listing>(driver: &Driver, order: Order, after: Option<&Key>, limit: usize, listing: &L) -> Page<L::Row> {
    let mut first: BTreeMap<Key, L::Row> = BTreeMap::new();
    let (mut at, mut has_more) = (Some(Place::default()), false);
    while let Some(place) = at {
        // Those of one look may push each other out; those whom the page so far leaves behind are not copied at all.
        let last = first.last_key_value().filter(|_| first.len() >= limit).map(|(last, _)| last.clone());
        let mut is_in = |user: &UserId, usage| {
            let is_after = after.is_none_or(|after| order.compare(user, usage, after).is_gt());
            let is_before = last.as_ref().is_none_or(|last| order.compare(user, usage, last).is_lt());
            has_more |= is_after && !is_before;
            is_after && is_before
        };
        let (rows, next) = listing.look(driver, place, BATCH, &mut is_in);
        at = next;
        for row in rows {
            let (user, usage) = L::whose(&row);
            first.insert(order.key(user, usage), row);
            if first.len() > limit {
                first.pop_last();
                has_more = true;
            }
        }
    }
    let mut sessions = 0;
    let kept = first.values().take_while(|row| {
        let fits = sessions < MAX_SESSIONS;
        sessions += L::sessions(row);
        fits
    });
    let kept = kept.count();
    has_more |= kept < first.len();
    let next = first.keys().nth(kept.wrapping_sub(1)).filter(|_| has_more).cloned();
    let page = first.into_values().take(kept).collect();
    (page, next.map(|key| Cursor::After(order, Some(key))))
}
