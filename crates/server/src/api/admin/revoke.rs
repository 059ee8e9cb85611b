//! Taking away what lets somebody in: one token, one user, or everything before a time.
//!
//! The revocation is on the disk before anybody is closed, so that whoever comes back a moment later is not let in again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use lychgate_core::{EvictReason, Proof, UserId};
use serde_json::json;

use super::Control;
use super::access::Writer;
use super::deed::{Order, What};
use super::elsewhere::Withdrawal;
use crate::api::caller::Named;
use crate::api::refused::Refused;
use crate::auth::{Ended, Revocation, RevokeError, Revoked as Hit};
use crate::close::ErrorCode;
use crate::wire::admin::{Error, Revoke, Revoked};

/// Logs a user out everywhere: whatever let him in until now lets him in no more, and his sockets are closed (4513).
#[utoipa::path(
    delete, path = "/v1/admin/users/{user}/sessions", tag = "operators", security(("key" = [])),
    params(
        ("user" = String, Path, description = "The user's id, percent-encoded."),
        ("Idempotency-Key" = Option<String>, Header, description = "The first answer is given again."),
    ),
    responses(
        (status = 200, body = Revoked),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error),
        (status = 409, body = Error), (status = 422, body = Error)
    )
)]
pub(super) async fn log_out(
    State(control): State<Arc<Control>>,
    Writer(operator): Writer,
    Named(user): Named<String>,
    order: Order,
) -> Result<Response, Refused> {
    let user = super::user_id(&user)?;
    let what = What { action: "log_out", user: Some(user.clone()), thread: None, parameters: json!({}) };
    let revocation = Revocation { what: Hit::User(user.clone()), issued_before: None, until: None };
    let steered = Arc::clone(&control);
    let work = async move { steered.revoke(revocation, Some(user), EvictReason::LoggedOut).await };
    Ok(control.act(operator, what, order, work).await)
}

/// Revokes one token, what one user was given, or what everybody was given before a time; open sockets close (4501).
#[utoipa::path(
    post, path = "/v1/admin/revocations", tag = "operators", security(("key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "The first answer is given again.")),
    request_body = Revoke,
    responses(
        (status = 200, body = Revoked),
        (status = 400, body = Error), (status = 401, body = Error), (status = 403, body = Error),
        (status = 409, body = Error), (status = 422, body = Error)
    )
)]
pub(super) async fn revoke(
    State(control): State<Arc<Control>>,
    Writer(operator): Writer,
    order: Order,
) -> Result<Response, Refused> {
    let asked: Revoke = order.json("{jti, issuer?}, {user, issued_before?} or {issued_before}")?;
    let parameters = json!({"jti": asked.jti, "issuer": asked.issuer, "issued_before": asked.issued_before});
    let (revocation, user) = revocation(asked)?;
    let what = What { action: "revoke", user: user.clone(), thread: None, parameters };
    let steered = Arc::clone(&control);
    // What lingers without a connection goes where everything of its user was revoked; a token alone was not all he had.
    let all_of = user.filter(|_| revocation.issued_before.is_none());
    let work = async move { steered.revoke(revocation, all_of, EvictReason::Revoked).await };
    Ok(control.act(operator, what, order, work).await)
}

fn revocation(asked: Revoke) -> Result<(Revocation, Option<UserId>), Refused> {
    let issued_before = asked.issued_before.as_deref().map(seconds).transpose()?;
    let (what, user) = match (asked.jti, asked.issuer, asked.user) {
        (Some(jti), issuer, None) if issued_before.is_none() => match jti.is_empty() {
            true => return Err(Refused::bad("`jti` is empty.")),
            false => (Hit::Token { jti, issuer }, None),
        },
        (None, None, Some(user)) => {
            let user = super::user_id(&user)?;
            (Hit::User(user.clone()), Some(user))
        }
        (None, None, None) if issued_before.is_some() => (Hit::Everybody, None),
        (_, _, _) => {
            return Err(Refused::bad(
                "The body must be {jti, issuer?}, {user, issued_before?} or {issued_before}: one thing to revoke.",
            ));
        }
    };
    Ok((Revocation { what, issued_before, until: None }, user))
}

/// Seconds since 1970, rounded up: what was issued within that second goes, too.
fn seconds(text: &str) -> Result<u64, Refused> {
    let at: Timestamp = text
        .parse()
        .map_err(|_| Refused::bad("`issued_before` must be a time such as \"2026-11-21T12:00:00Z\" (RFC 3339)."))?;
    match (u64::try_from(at.as_second()), at > Timestamp::now()) {
        (Ok(seconds), false) => Ok(seconds.saturating_add(u64::from(at.subsec_nanosecond() > 0))),
        (Ok(_), true) => Err(Refused::bad("`issued_before` lies in the future: nobody could log in until then.")),
        (Err(_), _) => Err(Refused::bad("`issued_before` lies before 1970.")),
    }
}

/// Whose, where it is one user's.
pub(super) fn all_of(what: &Hit) -> Option<UserId> {
    match what {
        Hit::User(user) => Some(user.clone()),
        Hit::Token { .. } | Hit::Everybody => None,
    }
}

impl Control {
    /// Revokes on all nodes, then closes whoever is in by it; and what this user holds without a connection.
    async fn revoke(
        &self,
        revocation: Revocation,
        all_of: Option<UserId>,
        reason: EvictReason,
    ) -> Result<Revoked, Refused> {
        let recorded = self.doorkeeper.revoke(revocation).await.map_err(|error| refused(&error))?;
        let ends_all = all_of.is_some();
        self.elsewhere.revoked(Withdrawal { revocation: recorded.revocation, ends_all, reason });
        self.close_revoked(all_of, reason).await
    }

    pub(super) async fn close_revoked(&self, all_of: Option<UserId>, reason: EvictReason) -> Result<Revoked, Refused> {
        let doorkeeper = Arc::clone(&self.doorkeeper);
        // His logins end, too, rather than look good until the revocation is forgotten.
        let logins: Vec<Ended> = all_of.iter().flat_map(|user| self.end_logins(user)).collect();
        let (revoked, kept) = self
            .steer(move |driver| {
                let has_ended = |proof: Proof| {
                    logins.iter().flat_map(|ended| &ended.sockets).any(|(_, ended)| ended.id == proof.id)
                };
                let closed = match &all_of {
                    Some(user) => {
                        let is_hit = |proof| doorkeeper.is_revoked(user, proof) || has_ended(proof);
                        driver.expel_user(user, reason, is_hit)
                    }
                    None => driver.expel(reason, |user, proof| doorkeeper.is_revoked(user, proof)),
                };
                let left = all_of.iter().flat_map(|user| driver.sessions_of(user));
                let ended = left.filter(|key| driver.end(key, reason)).map(|key| key.to_string()).collect();
                (Revoked { closed, ended }, logins.iter().try_for_each(Ended::keep))
            })
            .await?;
        match kept {
            Ok(()) => Ok(revoked),
            Err(error) => {
                tracing::error!(%error, "logins that were revoked could not be forgotten; they let nobody in");
                Err(ErrorCode::Internal.into())
            }
        }
    }

    fn end_logins(&self, user: &UserId) -> impl Iterator<Item = Ended> {
        let realms = [self.doorkeeper.entrance(), self.access.entrance()];
        realms.into_iter().flatten().map(|entrance| entrance.logins.end_all(user))
    }
}

fn refused(error: &RevokeError) -> Refused {
    match error {
        RevokeError::Full | RevokeError::TooLong(_) => Refused::bad(format!("Nothing was revoked: {error}.")),
        RevokeError::Store(_) => {
            tracing::error!(%error, "nothing can be revoked");
            ErrorCode::Internal.into()
        }
        RevokeError::Stopping => ErrorCode::Draining.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: serde_json::Value) -> Result<Hit, Refused> {
        revocation(serde_json::from_value(body).unwrap()).map(|(revocation, _)| revocation.what)
    }

    #[test]
    fn one_thing_is_revoked_at_a_time() {
        let user = UserId::parse("ann").unwrap();
        assert_eq!(read(json!({"user": "ann"})), Ok(Hit::User(user.clone())));
        assert_eq!(read(json!({"user": "ann", "issued_before": "2026-01-01T00:00:00Z"})), Ok(Hit::User(user)));
        let token = |issuer: Option<&str>| Hit::Token { jti: "j".to_owned(), issuer: issuer.map(str::to_owned) };
        assert_eq!(read(json!({"jti": "j"})), Ok(token(None)));
        assert_eq!(read(json!({"jti": "j", "issuer": "https://a"})), Ok(token(Some("https://a"))));
        assert_eq!(read(json!({"issued_before": "2026-01-01T00:00:00Z"})), Ok(Hit::Everybody));
        for body in [
            json!({}),
            json!({"issuer": "https://a"}),
            json!({"jti": "j", "user": "ann"}),
            json!({"jti": "j", "issued_before": "2026-01-01T00:00:00Z"}),
            json!({"user": "ann", "issuer": "https://a"}),
            json!({"jti": ""}),
            json!({"user": ""}),
            json!({"user": "a\u{0}"}),
            json!({"issued_before": "yesterday"}),
            json!({"issued_before": "1969-12-31T23:59:59Z"}),
            json!({"issued_before": "9999-01-01T00:00:00Z"}),
        ] {
            assert!(read(body.clone()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_time_within_a_second_takes_the_whole_second() {
        assert_eq!(seconds("2026-01-01T00:00:00Z").map(|at| at + 1), seconds("2026-01-01T00:00:00.001Z"));
    }
}
