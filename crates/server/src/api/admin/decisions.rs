//! `GET /v1/admin/decisions`: what was decided about everybody, in order, page by page or as it comes.
//!
//! ```text
//!  no after    the newest ones              after=EPOCH.N   those after N; `missed` counts what was dropped
//!  wait=30s    with after: until there is one, 16 requests at a time
//! ```
//!
//! Whoever waits looks now and then whether the number of the newest decision has changed, which takes no lock: to wake him
//! for each would cost every admission of the node.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use lychgate_core::ReclaimLevel;
use lychgate_core::explain::{self, Filter, Verdict};
use tokio::time::{Instant, sleep};

use super::access::Reader;
use super::explain::told;
use super::{Control, MAX_FOLLOWERS};
use crate::api::caller::Asked;
use crate::api::refused::Refused;
use crate::close::ErrorCode;
use crate::config::value::parse_duration;
use crate::driver::{Decisions, Driver};
use crate::wire::admin::{DecisionPage, Error, Told};

const USUAL_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Between two looks at whether something was decided.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With the newest ones.
    Newest,
    /// With the oldest that is left.
    Oldest,
    /// After this number of this life of the node.
    After { epoch: u64, sequence: u64 },
}

impl Start {
    fn of(text: Option<&str>) -> Result<Self, Refused> {
        let parse = |text: &str| {
            let (epoch, sequence) = text.split_once('.')?;
            let epoch = u64::from_str_radix(epoch, 16).ok()?;
            Some(Self::After { epoch, sequence: sequence.parse().ok()? })
        };
        match text {
            None => Ok(Self::Newest),
            Some("0") => Ok(Self::Oldest),
            Some(text) => parse(text).ok_or_else(|| {
                Refused::bad(
                    "`after` in the query must be `next` of a page, or `0` for the oldest decision that is left.",
                )
            }),
        }
    }
}

/// Reads which decisions are wanted.
fn filter(asked: &Asked) -> Result<(Filter, Option<u64>), Refused> {
    let kinds: Vec<String> =
        asked.text("verdict").into_iter().flat_map(|kinds| kinds.split(',')).map(str::to_owned).collect();
    if let Some(unknown) = kinds.iter().find(|kind| !Verdict::KINDS.contains(&kind.as_str())) {
        let kinds = Verdict::KINDS.join(", ");
        return Err(Refused::bad(format!("`verdict` in the query holds {unknown:?}; it must be of: {kinds}.")));
    }
    let interesting = match asked.text("interesting") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Refused::bad("`interesting` in the query must be `true` or `false`.")),
    };
    let since = asked.text("since").map(|since| {
        let at: Option<Timestamp> = since.parse().ok();
        let at = at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
        at.ok_or_else(|| Refused::bad("`since` in the query must be a time as RFC 3339, such as 2026-11-21T12:00:00Z."))
    });
    let level = asked.text("level").map(level).transpose()?;
    let user = asked.text("user").map(super::user_id).transpose()?;
    Ok((Filter { user, level, kinds, since: None, interesting }, since.transpose()?))
}

fn level(text: &str) -> Result<ReclaimLevel, Refused> {
    let levels = [ReclaimLevel::Conservative, ReclaimLevel::Moderate, ReclaimLevel::Aggressive, ReclaimLevel::Force];
    levels.into_iter().find(|level| level.as_str() == text).ok_or_else(|| {
        Refused::bad("`level` in the query must be `conservative`, `moderate`, `aggressive` or `force`.")
    })
}

fn wait(asked: &Asked) -> Result<Duration, Refused> {
    match asked.text("wait").map(parse_duration) {
        None => Ok(Duration::ZERO),
        Some(Ok(wait)) if wait <= LONGEST_WAIT => Ok(wait),
        Some(Ok(_) | Err(_)) => {
            Err(Refused::bad("`wait` in the query must be a time of at most \"30s\", with its unit."))
        }
    }
}

/// What was decided about everybody on this node, in order.
#[utoipa::path(
    get, path = "/v1/admin/decisions", tag = "operators", security(("key" = [])),
    params(
        ("after" = Option<String>, Query, description = "`next` of the page before; `0` begins with the oldest decision that is left. Without it: the newest ones."),
        ("limit" = Option<usize>, Query, description = "Decisions, 1 to 1,000; 100 where it is not given."),
        ("user" = Option<String>, Query, description = "Only those about this user."),
        ("verdict" = Option<String>, Query, description = "Only these kinds, with commas between: `evicted,dead`."),
        ("level" = Option<String>, Query, description = "Only where reclaim went as far as this."),
        ("since" = Option<String>, Query, description = "Not before this time, RFC 3339."),
        ("interesting" = Option<bool>, Query, description = "`true`: no session that found a free slot or was there already, none that its own client ended."),
        ("wait" = Option<String>, Query, description = "With `after`: how long to wait for a decision where there is none, at most `30s`."),
    ),
    responses(
        (status = 200, body = DecisionPage),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error),
        (status = 429, description = "Too many requests wait already.", body = Error)
    )
)]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    _: Reader,
    asked: Asked,
) -> Result<Json<DecisionPage>, Refused> {
    let limit = asked.number("limit")?.unwrap_or(USUAL_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Refused::bad(format!("`limit` in the query must be 1 to {MAX_LIMIT}.")));
    }
    let from = Start::of(asked.text("after"))?;
    let (filter, since) = filter(&asked)?;
    let until = Instant::now() + wait(&asked)?;
    let waits = until > Instant::now() && from != Start::Newest;
    let _turn = match waits.then(|| control.followers.try_acquire()) {
        Some(Err(_)) => {
            let full = format!("{MAX_FOLLOWERS} requests wait for the next decision already; ask without `wait`.");
            return Err(Refused::saying(ErrorCode::RateLimited, full));
        }
        turn @ (None | Some(Ok(_))) => turn,
    };
    let epoch = control.driver.epoch();
    let restarted = matches!(from, Start::After { epoch: theirs, .. } if theirs != epoch);
    let mut at = from;
    let mut missed = 0;
    loop {
        let filter = filter.clone();
        let (decisions, next, more) = control.look(move |driver| find(driver, at, limit, filter, since)).await?;
        missed += more;
        if !decisions.is_empty() || !waits || Instant::now() >= until {
            return Ok(Json(DecisionPage { decisions, next: format!("{epoch:016x}.{next}"), missed, restarted }));
        }
        while control.driver.last_decision() == next && Instant::now() < until {
            sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now()))).await;
        }
        at = Start::After { epoch, sequence: next };
    }
}

/// Decisions with their times and words, the number of the last one that was looked at, and how many were missed.
pub(super) fn find(
    driver: &Driver,
    from: Start,
    limit: usize,
    filter: Filter,
    since: Option<u64>,
) -> (Vec<Told>, u64, u64) {
    let since = since.map(|since| driver.at(since));
    let filter = Filter { since, ..filter };
    let Decisions { told: found, next, missed } = match from {
        Start::Newest => driver.last_decisions(limit, &filter),
        Start::After { epoch, sequence } if epoch == driver.epoch() => driver.decisions(sequence, limit, &filter),
        Start::Oldest | Start::After { .. } => Decisions { missed: 0, ..driver.decisions(0, limit, &filter) },
    };
    let with_words = |explain::Told { sequence, user, decision }: explain::Told| Told {
        sequence,
        user: user.map(|user| user.as_str().to_owned()),
        decision: told(driver.unix_ms(decision.at), &decision),
    };
    (found.into_iter().map(with_words).collect(), next, missed)
}
