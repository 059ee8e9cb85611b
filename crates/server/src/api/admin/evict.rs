//! Ending sessions by hand: one of them, or what reclaim would take.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use lychgate_core::explain::Verdict;
use lychgate_core::lease::Report;
use lychgate_core::reclaim::{Facts, plan};
use lychgate_core::{EvictReason, Eviction, ReclaimLevel, SessionKey, UserId};
use serde_json::json;
use tokio::time::sleep;

use super::Control;
use super::access::Writer;
use super::deed::{Order, What};
use super::elsewhere::Peer;
use super::sessions::session_key;
use crate::api::caller::Named;
use crate::api::refused::Refused;
use crate::close::ErrorCode;
use crate::wire::admin::{Ended, Error, Evicted, Evidence, Level, Reclaim, Reclaimed};

/// What a probe takes beyond its deadline until everybody was judged.
const JUDGED_WITHIN: Duration = Duration::from_millis(500);

/// Ends one session: `closed` (4512, closed_by_admin) on every connection that shows it.
#[utoipa::path(
    delete, path = "/v1/admin/sessions/{key}", tag = "operators", security(("key" = [])),
    params(
        ("key" = String, Path, description = "The isolation key `user:thread`, percent-encoded as a whole."),
        ("Idempotency-Key" = Option<String>, Header, description = "The first answer is given again."),
    ),
    responses(
        (status = 200, body = Ended),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error),
        (status = 404, body = Error), (status = 409, body = Error), (status = 422, body = Error)
    )
)]
pub(super) async fn evict(
    State(control): State<Arc<Control>>,
    Writer(operator): Writer,
    Named(key): Named<String>,
    order: Order,
) -> Result<Response, Refused> {
    let key = session_key(&key)?;
    let what = What {
        action: "evict",
        user: Some(key.user().clone()),
        thread: Some(key.thread().clone()),
        parameters: json!({}),
    };
    let steered = Arc::clone(&control);
    let work = async move {
        let named = key.to_string();
        let here = key.clone();
        let was_here = steered.steer(move |driver| driver.end(&here, EvictReason::ByAdmin)).await?;
        // The thread may be open on several nodes.
        let was_elsewhere = steered.elsewhere.threads(key.user().clone()).await.contains(key.thread());
        if was_elsewhere {
            steered.elsewhere.end(&[key]);
        }
        match was_here || was_elsewhere {
            true => Ok(Ended { ended: vec![named] }),
            false => Err(Refused::saying(ErrorCode::NotFound, "There is no such session.")),
        }
    };
    Ok(control.act(operator, what, order, work).await)
}

/// Climbs the ladder by hand, on every node that has sessions of the user: everything that the level reaches goes; of the living,
/// `force` takes exactly one, wherever it is.
#[utoipa::path(
    post, path = "/v1/admin/users/{user}/reclaim", tag = "operators", security(("key" = [])),
    params(
        ("user" = String, Path, description = "The user's id, percent-encoded."),
        ("Idempotency-Key" = Option<String>, Header, description = "The first answer is given again."),
    ),
    request_body = Reclaim,
    responses(
        (status = 200, body = Reclaimed),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error),
        (status = 409, body = Error), (status = 422, body = Error)
    )
)]
pub(super) async fn reclaim(
    State(control): State<Arc<Control>>,
    Writer(operator): Writer,
    Named(user): Named<String>,
    order: Order,
) -> Result<Response, Refused> {
    let user = super::user_id(&user)?;
    let Reclaim { level } = order.json("{level: conservative | moderate | aggressive | force}")?;
    let what = What { action: "reclaim", user: Some(user.clone()), thread: None, parameters: json!({"level": level}) };
    let steered = Arc::clone(&control);
    let work = async move {
        let asked = match level {
            Level::Force => steered.better_elsewhere(&user).await?,
            Level::Conservative | Level::Moderate | Level::Aggressive => steered.elsewhere.nodes(user.clone()).await,
        };
        let others = asked.as_deref().unwrap_or_default();
        others.iter().for_each(|peer| steered.elsewhere.reclaim(peer, &user, level.into()));
        let evicted = match level {
            Level::Force if !others.is_empty() => Vec::new(),
            Level::Force | Level::Conservative | Level::Moderate => {
                steered.reclaim_at_once(&user, level.into()).await?
            }
            Level::Aggressive => steered.reclaim_after_a_probe(&user).await?,
        };
        let usage = steered.steer(move |driver| driver.usage(&user)).await?;
        let evicted = evicted.iter().map(|(key, eviction)| told(key, eviction)).collect();
        let elsewhere_unknown = asked.is_none();
        let asked = others.iter().map(|peer| peer.name.clone()).collect();
        Ok(Reclaimed { evicted, used: usage.used, limit: usage.limit, asked, elsewhere_unknown })
    };
    Ok(control.act(operator, what, order, work).await)
}

fn facts<L>(report: &Report<L>) -> Facts {
    let Report { lease: _, standing, protected, health, idle } = *report;
    Facts { standing, protected, health, unused_for: idle }
}

fn told(key: &SessionKey, eviction: &Eviction) -> Evicted {
    Evicted {
        key: key.to_string(),
        thread: key.thread().as_str().to_owned(),
        level: eviction.level.as_str().to_owned(),
        evidence: Evidence::from(&eviction.evidence),
    }
}

impl Control {
    /// Which node has the session that `force` takes, where it is not this one; none where nobody can tell, and it is taken here.
    /// Who did not say how his sessions are is not told to take one: it might be heard by nobody.
    async fn better_elsewhere(&self, user: &UserId) -> Result<Option<Vec<Peer>>, Refused> {
        let Some(others) = self.elsewhere.sessions(user.clone()).await else { return Ok(None) };
        let asked = user.clone();
        let own = self.steer(move |driver| driver.own_reports(&asked)).await?;
        let heard: Vec<_> = others.iter().filter_map(|foreign| Some((foreign, foreign.report.as_ref()?))).collect();
        let all: Vec<_> = own.iter().map(facts).chain(heard.iter().map(|(_, report)| facts(report))).collect();
        let first = plan(ReclaimLevel::Force, &all, 1).first().map(|pick| pick.index);
        let elsewhere = first.and_then(|first| heard.get(first.checked_sub(own.len())?));
        Ok(Some(elsewhere.map(|(foreign, _)| foreign.peer.clone()).into_iter().collect()))
    }

    async fn reclaim_at_once(
        &self,
        user: &UserId,
        level: ReclaimLevel,
    ) -> Result<Vec<(SessionKey, Eviction)>, Refused> {
        let user = user.clone();
        self.steer(move |driver| driver.reclaim(&user, level)).await
    }

    /// Everybody is asked, and has the time of a probe to answer; what went then stands in the record of decisions.
    async fn reclaim_after_a_probe(&self, user: &UserId) -> Result<Vec<(SessionKey, Eviction)>, Refused> {
        let asked = user.clone();
        let (began, mut evicted) =
            self.steer(move |driver| (driver.clock(), driver.reclaim(&asked, ReclaimLevel::Aggressive))).await?;
        sleep(self.probe_deadline + JUDGED_WITHIN).await;
        let asked = user.clone();
        let known = self.steer(move |driver| driver.explain(&asked)).await?;
        for decision in known.iter().flat_map(|known| &known.decisions).filter(|decision| decision.at >= began) {
            if let (Verdict::Evicted(_, reclaimed), Some(thread)) = (&decision.verdict, &decision.thread) {
                let key = SessionKey::new(user.clone(), thread.clone());
                if !evicted.iter().any(|(known, _)| *known == key) {
                    evicted.push((key, reclaimed.eviction));
                }
            }
        }
        Ok(evicted)
    }
}
