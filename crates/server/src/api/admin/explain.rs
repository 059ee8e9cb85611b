//! `GET /v1/admin/users/{user}/explain`: why a user was let in, had to wait, or lost a session.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lychgate_core::explain::{self, Verdict};
use lychgate_core::{AdmissionPath, EvictReason, Refusal};

use super::Control;
use super::access::Reader;
use crate::api::caller::Named;
use crate::api::refused::{Refused, millis};
use crate::close::{ErrorCode, retry_after};
use crate::driver::Driver;
use crate::wire::admin::{Decision, Error, Evidence, Explained, rfc3339};
use crate::wire::unix_ms;

/// The last decisions about a user on this node, with what they were decided by.
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
    let look = move |driver: &Driver| {
        let known = driver.explain(&user);
        let (clock, now) = (driver.clock(), unix_ms());
        let told =
            |decision: &explain::Decision| (now.saturating_sub(millis(clock.since(decision.at))), decision.clone());
        let decisions: Vec<_> = known.iter().flat_map(|known| &known.decisions).map(told).collect();
        (decisions, known.map_or(0, |known| known.dropped), driver.explained().1)
    };
    let (decisions, dropped, dropped_users) = control.look(look).await?;
    let decisions = decisions.into_iter().map(|(at, decision)| told(at, &decision)).collect();
    Ok(Json(Explained { user: name, decisions, dropped, dropped_users }))
}

fn told(at: u64, decision: &explain::Decision) -> Decision {
    Decision {
        at: rfc3339(at),
        thread: decision.thread.as_ref().map(|thread| thread.as_str().to_owned()),
        connection: decision.connection.map(|connection| connection.to_string()),
        again: decision.again,
        ..verdict(&decision.verdict)
    }
}

/// What was decided, in fields and in words.
fn verdict(verdict: &Verdict) -> Decision {
    let named = |verdict: &str, text: String| Decision { verdict: verdict.to_owned(), text, ..Decision::default() };
    match verdict {
        Verdict::Admitted { path, waited_ms } => admitted(*path, *waited_ms),
        Verdict::Waits => named("waits", "The open waits while the user's connections are probed.".to_owned()),
        Verdict::Queued(position) => Decision {
            position: Some(*position),
            ..named(
                "queued",
                format!("Every session is protected and the reserve is taken: the open waits at position {position}."),
            )
        },
        Verdict::Refused(refusal) => refused(*refusal),
        Verdict::Released(reason) => Decision {
            reason: Some(reason.as_str().to_owned()),
            ..named("released", format!("The session ended: {}.", because(*reason)))
        },
        Verdict::Evicted(reason, eviction) => Decision {
            reason: Some(reason.as_str().to_owned()),
            level: Some(eviction.level.as_str().to_owned()),
            evidence: Some(Evidence::from(&eviction.evidence)),
            ..named(
                "evicted",
                format!(
                    "The session was closed ({}): reclaim had to go as far as {}.",
                    reason.as_str(),
                    eviction.level.as_str()
                ),
            )
        },
        Verdict::WouldEvict(eviction) => Decision {
            level: Some(eviction.level.as_str().to_owned()),
            evidence: Some(Evidence::from(&eviction.evidence)),
            ..named(
                "would_evict",
                format!("Shadow mode: the session would have been closed at {}.", eviction.level.as_str()),
            )
        },
        Verdict::WouldWait => named("would_wait", "Shadow mode: the open would have had to wait.".to_owned()),
        Verdict::Dead(kind, evidence) => Decision {
            reason: Some(kind.as_str().to_owned()),
            evidence: Some(Evidence::from(&**evidence)),
            ..named("dead", format!("The connection was declared dead ({}).", kind.as_str()))
        },
        Verdict::Closed(reason) => Decision {
            reason: Some(reason.as_str().to_owned()),
            ..named("closed", format!("The connection was closed: {}.", because(*reason)))
        },
        Verdict::Breaker(step, state) => Decision {
            reason: Some(step.as_str().to_owned()),
            ..named("breaker", format!("The breaker round {} is {}.", step.as_str(), state.as_str()))
        },
        Verdict::Repaired(broken) => Decision {
            reason: Some((*broken).to_owned()),
            ..named("repaired", format!("A broken record was repaired: {broken}."))
        },
    }
}

/// Why a session or a connection ended, as the end of a sentence.
fn because(reason: EvictReason) -> &'static str {
    match reason {
        EvictReason::Left => "the client left it",
        EvictReason::ClientClosed => "the client closed its socket",
        EvictReason::LingerEnded => "no connection came back to it in time",
        EvictReason::Unresponsive => "the client did not answer",
        EvictReason::Slow => "the client took nothing for too long",
        EvictReason::TokenExpired => "the client's token expired",
        EvictReason::Superseded => "a newer connection of the same tab took over",
        EvictReason::MadeRoom => "it made room for a newer session of the same user",
        EvictReason::MadeRoomForConnection => "it made room for a newer connection",
        EvictReason::ByAdmin => "an operator ended it by hand",
        EvictReason::LoggedOut => "the user was logged out, by himself or by an operator",
        EvictReason::Revoked => "what had let the user in was revoked",
        EvictReason::Draining => "this node is being drained",
    }
}

fn admitted(path: AdmissionPath, waited_ms: u32) -> Decision {
    let (level, text) = match path {
        AdmissionPath::Attach => (None, "The connection joined the session, which was there.".to_owned()),
        AdmissionPath::Takeover => (None, "The connection took over what the one before it held.".to_owned()),
        AdmissionPath::Free => (None, "The session was opened: a slot was free.".to_owned()),
        AdmissionPath::Reclaimed(level) => {
            let level = level.as_str();
            let text =
                format!("The session was opened in a slot that was reclaimed for it ({level}), after {waited_ms} ms.");
            (Some(level.to_owned()), text)
        }
        AdmissionPath::Reserve => {
            (None, "The session was opened in the reserve: every other one is protected.".to_owned())
        }
        AdmissionPath::Queue => (None, format!("The session was opened after {waited_ms} ms in the queue.")),
        AdmissionPath::Shadow => (None, "Shadow mode: the session was opened beyond the limit.".to_owned()),
    };
    let path = match path {
        AdmissionPath::Reclaimed(_) => "reclaimed",
        AdmissionPath::Attach
        | AdmissionPath::Takeover
        | AdmissionPath::Free
        | AdmissionPath::Reserve
        | AdmissionPath::Queue
        | AdmissionPath::Shadow => path.as_str(),
    };
    Decision {
        verdict: "admitted".to_owned(),
        path: Some(path.to_owned()),
        level,
        waited: Some(u64::from(waited_ms)),
        text,
        ..Decision::default()
    }
}

fn refused(refusal: Refusal) -> Decision {
    let row = ErrorCode::from(refusal).row();
    let retry_in = retry_after(refusal).map(millis);
    let when = retry_in.map_or_else(String::new, |ms| format!("; come back after {ms} ms"));
    Decision {
        verdict: "refused".to_owned(),
        reason: Some(row.word.to_owned()),
        retry_in,
        text: format!("Refused ({}){when}.", row.word),
        ..Decision::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use lychgate_core::{Eviction, ReclaimLevel};

    fn says(wanted: &Verdict) -> Decision {
        verdict(wanted)
    }

    #[test]
    fn an_eviction_says_why_how_far_and_on_what_evidence() {
        let evidence =
            lychgate_core::Evidence { missed_probes: 2, silent_for: Duration::from_secs(61), ..Default::default() };
        let eviction = Eviction { level: ReclaimLevel::Aggressive, evidence };
        let told = says(&Verdict::Evicted(EvictReason::Unresponsive, Box::new(eviction)));
        assert_eq!((told.verdict.as_str(), told.reason.as_deref()), ("evicted", Some("unresponsive")));
        assert_eq!(told.level.as_deref(), Some("aggressive"));
        let evidence = told.evidence.unwrap();
        assert_eq!((evidence.missed_probes, evidence.silent_for), (2, 61_000));
        assert!(told.text.contains("unresponsive") && told.text.contains("aggressive"), "{}", told.text);
    }

    #[test]
    fn whatever_ended_says_who_or_what_ended_it() {
        let ended = |reason| says(&Verdict::Released(reason)).text;
        assert_eq!(ended(EvictReason::ByAdmin), "The session ended: an operator ended it by hand.");
        assert_eq!(ended(EvictReason::LingerEnded), "The session ended: no connection came back to it in time.");
        let told = says(&Verdict::Closed(EvictReason::Revoked));
        assert_eq!((told.verdict.as_str(), told.reason.as_deref()), ("closed", Some("revoked")));
        assert_eq!(told.text, "The connection was closed: what had let the user in was revoked.");
    }

    #[test]
    fn whoever_was_refused_was_told_when_to_come_back() {
        let told = says(&Verdict::Refused(Refusal::Overload { retry_in: Duration::from_secs(5) }));
        assert_eq!((told.reason.as_deref(), told.retry_in), (Some("rate_limited"), Some(5_000)));
    }
}
