//! Somebody who said who he is: what he asks for becomes a call on the room that it is about.

use std::sync::Arc;
use std::time::Duration;

use lychgate_core::id::MAX_ID_BYTES;
use lychgate_core::{
    ClientId, IdError, Resume, RunId, SessionContext, SessionKey, Sign, ThreadId, Time, WebSocketRequest,
};

use super::Services;
use super::complaint::Complaint;
use super::dismissal::{Dismissal, Refresh};
use crate::auth::AuthError;
use crate::driver::Registration;
use crate::telemetry::traces::Joined;
use crate::wire;

/// Between two fresh tokens that are looked at: a loop on one connection must not cost a signature for every frame.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// A connection in the count.
pub(super) struct Guest {
    pub(super) registration: Registration,
    /// As the newest token says; backends are told.
    pub(super) plan: Option<Box<str>>,
    /// As the newest token says: the agents that may be asked.
    pub(super) agents: Option<Arc<[Box<str>]>>,
    pub(super) client: Option<ClientId>,
    /// When a fresh token of his was last looked at.
    pub(super) refreshed: Option<Time>,
    /// Of a connection that joined its client's trace.
    pub(super) _joined: Option<Box<Joined>>,
}

impl Guest {
    pub(super) fn thread(&self, text: &str) -> Result<ThreadId, Complaint> {
        ThreadId::parse(text).map_err(|error| Complaint::bad_id("thread", &error))
    }

    fn key(&self, thread: &str) -> Result<SessionKey, Complaint> {
        Ok(SessionKey::new(self.registration.user().clone(), self.thread(thread)?))
    }

    pub(super) fn open(&self, services: &Services, open: wire::Open) -> Result<(), Complaint> {
        let about_this = |complaint| Complaint {
            thread: open.thread.clone().filter(|thread| thread.len() <= MAX_ID_BYTES),
            reference: open.reference.clone().filter(|reference| reference.len() <= MAX_ID_BYTES),
            ..complaint
        };
        // The gate keeps them as long as the session lives.
        for (field, text) in [("ref", &open.reference), ("epoch", &open.epoch)] {
            if let Some(length) = text.as_ref().map(String::len).filter(|length| *length > MAX_ID_BYTES) {
                return Err(about_this(Complaint::bad_id(field, &IdError::TooLong(length))));
            }
        }
        let request = WebSocketRequest {
            user: self.registration.user(),
            thread: open.thread.as_deref(),
            client: self.client.as_ref().map(ClientId::as_str),
            connection: self.registration.connection(),
            operation: "open",
            component: "ws",
            unix_ms: wire::unix_ms(),
        };
        let context = SessionContext::from_websocket_request(&request, services.driver.entropy())
            .map_err(|error| about_this(Complaint::bad_id("thread", &error)))?;
        let resume = open.after.zip(open.epoch).map(|(after, epoch)| Resume { after, epoch: epoch.into() });
        self.registration.open(context, open.reference.map(String::into_boxed_str), resume);
        Ok(())
    }

    pub(super) fn leave(&self, thread: &str) -> Result<(), Complaint> {
        self.registration.leave(self.thread(thread)?);
        Ok(())
    }

    pub(super) fn stop(&self, services: &Services, thread: &str, run: &str) -> Result<(), Complaint> {
        let key = self.key(thread)?;
        let run = RunId::parse(run).map_err(|error| Complaint::bad_id("run", &error))?;
        // A run that has ended already has nothing to stop; its terminal event is the answer.
        services.runs.stop(&key, &run);
        self.registration.used(key);
        Ok(())
    }

    pub(super) fn ack(&self, services: &Services, ack: wire::Ack) -> Result<(), Complaint> {
        if ack.visible == Some(true) {
            self.registration.heard(Sign::Visible);
        }
        for (thread, offset) in ack.at {
            let key = self.key(&thread)?;
            services.sessions.ack(&key, self.registration.connection(), offset);
        }
        Ok(())
    }

    /// A later hello is a refresh: it brings a token of the same user. One that fails for now ends nothing: what he has
    /// counts until its own end.
    pub(super) fn refresh(&mut self, services: &Services, token: Option<&str>) -> Result<Refresh, Complaint> {
        let Some(token) = token else {
            return Err(Complaint::bad_frame("A second hello brings a fresh token; this one has none."));
        };
        let now = services.driver.now();
        let wait = self.refreshed.map_or(Duration::ZERO, |at| REFRESH_EVERY.saturating_sub(now.since(at)));
        if !wait.is_zero() {
            return Ok(Refresh::TooSoon(wait));
        }
        self.refreshed = Some(now);
        match services.verify(token) {
            Ok(identity) if identity.user == *self.registration.user() => {
                self.registration.renew(identity.expires_in(), identity.plan.as_deref(), identity.proof);
                self.plan = identity.plan;
                self.agents = identity.agents;
                // From here on a revocation finds the new token; one that came since it was verified has not.
                Ok(match services.doorkeeper.recheck(&identity.user, identity.proof) {
                    Ok(()) => Refresh::Taken,
                    Err(error) => Refresh::Refused(Dismissal::Token(error)),
                })
            }
            Ok(_) => Ok(Refresh::Refused(Dismissal::AnotherUser)),
            Err(
                error @ (AuthError::KeysPending { .. }
                | AuthError::JustRevoked { .. }
                | AuthError::Expired
                | AuthError::NotYetValid),
            ) => Ok(Refresh::Later(error)),
            Err(error) => Ok(Refresh::Refused(Dismissal::Token(error))),
        }
    }
}
