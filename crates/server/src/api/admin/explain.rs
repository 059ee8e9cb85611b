//! `GET /v1/admin/users/{user}/explain`: why a user was let in, had to wait, or lost a session.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lychgate_core::explain::{self, Verdict};
use lychgate_core::{AdmissionPath, Cause, Evidence as Seen, Refusal};

use super::Control;
use super::access::Reader;
use crate::api::caller::Named;
use crate::api::refused::Refused;
use crate::close::{ErrorCode, retry_after};
use crate::driver::Driver;
use crate::wire::admin::{Decision, Error, Evidence, Explained, rfc3339};
use crate::wire::millis;

/// The last decisions about a user on this node, with what they were decided by, and his sessions on other nodes.
#[utoipa::path(
    get, path = "/v1/admin/users/{user}/explain", tag = "operators", security(("key" = [])),
    params(("user" = String, Path, description = "The user's id, percent-encoded.")),
    responses(
        (status = 200, body = Explained),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error)
    )
)]
pub(super) async fn explain(
    State(control): State<Arc<Control>>,
    _: Reader,
    Named(user): Named<String>,
) -> Result<Json<Explained>, Refused> {
    let user = super::user_id(&user)?;
    let name = user.as_str().to_owned();
    let whose = user.clone();
    let look = move |driver: &Driver| {
        let known = driver.explain(&whose);
        let decisions = known.iter().flat_map(|known| &known.decisions);
        let decisions: Vec<_> = decisions.map(|decision| told(driver.unix_ms(decision.at), decision)).collect();
        (decisions, known.map_or(0, |known| known.dropped), driver.explained().1)
    };
    let (elsewhere, elsewhere_unknown) = control.sessions_elsewhere(&user).await;
    let (decisions, dropped, dropped_users) = control.look(look).await?;
    Ok(Json(Explained { user: name, decisions, dropped, dropped_users, elsewhere, elsewhere_unknown }))
}

/// A decision that was made at this time, in fields and in words.
pub(super) fn told(at: u64, decision: &explain::Decision) -> Decision {
    Decision {
        at: rfc3339(at),
        thread: decision.thread.as_ref().map(|thread| thread.as_str().to_owned()),
        connection: decision.connection.map(|connection| connection.to_string()),
        again: decision.again,
        ..verdict(&decision.verdict)
    }
}

fn verdict(verdict: &Verdict) -> Decision {
    let level = verdict.level().map(|level| level.as_str().to_owned());
    let said = Decision { verdict: verdict.kind().to_owned(), level, text: verdict.sentence(), ..Decision::default() };
    let because = |reason: &str| Some(reason.to_owned());
    let evidence = |seen: &Seen| Some(Evidence::from(seen));
    match verdict {
        Verdict::Admitted { path, waited_ms } => {
            Decision { path: Some(way(*path).to_owned()), waited: Some(u64::from(*waited_ms)), ..said }
        }
        Verdict::Waits | Verdict::WouldWait => said,
        Verdict::Queued(position) => Decision { position: Some(*position), ..said },
        Verdict::Refused(refusal) => refused(*refusal, said),
        Verdict::Released(reason) | Verdict::Closed(reason) => Decision { reason: because(reason.as_str()), ..said },
        Verdict::Evicted(reason, reclaimed) => {
            let (cause, newcomer) = match &reclaimed.cause {
                Cause::Newcomer(thread) => ("newcomer", Some(thread.as_str().to_owned())),
                Cause::Pressure => ("pressure", None),
                Cause::Order => ("order", None),
                Cause::OtherNode => ("other_node", None),
            };
            let evidence = evidence(&reclaimed.eviction.evidence);
            Decision { reason: because(reason.as_str()), cause: because(cause), newcomer, evidence, ..said }
        }
        Verdict::WouldEvict(eviction) => Decision { evidence: evidence(&eviction.evidence), ..said },
        Verdict::Dead(kind, seen) => Decision { reason: because(kind.as_str()), evidence: evidence(seen), ..said },
        Verdict::Breaker(step, state) => {
            Decision { reason: because(step.as_str()), state: because(state.as_str()), ..said }
        }
        Verdict::Repaired(broken) => Decision { reason: because(broken), ..said },
    }
}

fn way(path: AdmissionPath) -> &'static str {
    match path {
        AdmissionPath::Reclaimed(_) => "reclaimed",
        AdmissionPath::Attach
        | AdmissionPath::Takeover
        | AdmissionPath::Free
        | AdmissionPath::Reserve
        | AdmissionPath::Queue
        | AdmissionPath::Shadow => path.as_str(),
    }
}

fn refused(refusal: Refusal, said: Decision) -> Decision {
    let word = ErrorCode::from(refusal).row().word;
    Decision { reason: Some(word.to_owned()), retry_in: retry_after(refusal).map(millis), ..said }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use lychgate_core::explain::Reclaimed;
    use lychgate_core::{EvictReason, Eviction, ReclaimLevel, ThreadId};

    #[test]
    fn an_eviction_says_why_how_far_for_whom_and_on_what_evidence() {
        let evidence = Seen { missed_probes: 2, silent_for: Duration::from_secs(61), ..Seen::default() };
        let eviction = Eviction { level: ReclaimLevel::Aggressive, evidence };
        let cause = Cause::Newcomer(ThreadId::parse("t21").unwrap());
        let reclaimed = Box::new(Reclaimed { eviction, cause });
        let told = verdict(&Verdict::Evicted(EvictReason::Unresponsive, reclaimed));
        assert_eq!((told.verdict.as_str(), told.reason.as_deref()), ("evicted", Some("unresponsive")));
        assert_eq!((told.cause.as_deref(), told.newcomer.as_deref()), (Some("newcomer"), Some("t21")));
        assert_eq!(told.level.as_deref(), Some("aggressive"));
        let evidence = told.evidence.unwrap();
        assert_eq!((evidence.missed_probes, evidence.silent_for), (2, 61_000));
        assert!(told.text.contains("61 s of silence") && told.text.contains("t21"), "{}", told.text);
    }

    #[test]
    fn whoever_was_refused_was_told_when_to_come_back() {
        let told = verdict(&Verdict::Refused(Refusal::Overload { retry_in: Duration::from_secs(5) }));
        assert_eq!((told.reason.as_deref(), told.retry_in), (Some("rate_limited"), Some(5_000)));
    }
}
