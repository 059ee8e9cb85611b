//! An open is attached, admitted, sent up the ladder or refused.

use std::time::Duration;

use crate::admission::{self, Decision, Question};
use crate::context::SessionContext;
use crate::gate::Step;
use crate::gate::io::{AdmissionPath, Event, Manner, Output, Resume};
use crate::id::{ConnectionId, ThreadId};
use crate::liveness::Liveness;
use crate::queue::Waiter;
use crate::refusal::{EvictReason, Refusal};
use crate::session::{Attachment, Session};
use crate::user::push_tight;

impl Step<'_> {
    pub(super) fn on_open(&mut self, context: SessionContext, reference: Option<Box<str>>, resume: Option<Resume>) {
        let connection = context.connection();
        if self.user.connection(connection).is_none() {
            let thread = Some(context.thread().clone());
            return self.refuse(connection, thread, reference, Refusal::NotConnected);
        }
        let Some(context) = self.same_open(context, reference.as_deref()) else {
            return;
        };
        let waiter = Waiter { context, reference, resume, since: self.clock.now, since_awake: self.clock.awake() };
        match admission::decide(&self.question(&waiter)) {
            Decision::Refuse => self.refuse_waiter(waiter),
            Decision::Attach => self.attach(waiter),
            Decision::Admit => self.create(waiter, AdmissionPath::Free),
            Decision::Reclaim { .. } => self.climb(waiter),
        }
    }

    /// The facts for the decision over one open.
    pub(super) fn question(&self, waiter: &Waiter) -> Question {
        Question {
            session_exists: self.user.session_index(waiter.context.thread()).is_some(),
            used: self.user.sessions.len(),
            limit: self.limits.max_sessions_per_user,
            others_wait: !self.user.waiting.is_empty(),
            draining: self.draining.is_some(),
        }
    }

    /// An open that was sent again with its `ref` on this connection, or on the one that replaced it, is the same open:
    /// it aims at the thread that the first one made, and nothing is to do while the first one waits.
    fn same_open(&self, context: SessionContext, reference: Option<&str>) -> Option<SessionContext> {
        let Some(reference) = reference else {
            return Some(context);
        };
        let connection = context.connection();
        let is_same =
            |waiter: &Waiter| waiter.connection() == connection && waiter.reference.as_deref() == Some(reference);
        if self.user.waiting.iter().any(is_same) {
            return None;
        }
        let known = self.user.sessions.iter().find(|session| {
            session.attachment(connection).is_some_and(|known| known.reference.as_deref() == Some(reference))
        });
        Some(match known {
            Some(session) => context.with_thread(session.thread.clone()),
            None => context,
        })
    }

    /// Attaches to the session in place (M4).
    pub(super) fn attach(&mut self, waiter: Waiter) {
        let Waiter { context, reference, resume, since, .. } = waiter;
        let Some(index) = self.user.session_index(context.thread()) else {
            return;
        };
        let connection = context.connection();
        let session = &mut self.user.sessions[index];
        session.lingers_until = None;
        session.last_used = self.clock.now;
        let path = match session.attachment_mut(connection) {
            Some(attachment) => {
                attachment.reference.clone_from(&reference);
                match attachment.claim.take() {
                    Some(_) => AdmissionPath::Takeover,
                    None => AdmissionPath::Attach,
                }
            }
            None => {
                push_tight(&mut session.attached, Attachment { connection, claim: None, reference: reference.clone() });
                AdmissionPath::Attach
            }
        };
        self.bound_attachments(context.thread(), connection);
        self.tell(Event::SessionAttached { key: context.key().clone(), connection, path });
        self.say_opened(context, reference, resume, path, self.clock.now.since(since));
    }

    /// Takes a slot. The record stands before anybody is told. A newcomer whose own socket was found dead while it
    /// waited takes none.
    pub(super) fn create(&mut self, waiter: Waiter, path: AdmissionPath) {
        if self.user.connection(waiter.connection()).is_none() {
            return;
        }
        let Waiter { context, reference, resume, since, .. } = waiter;
        let connection = context.connection();
        let attachment = Attachment { connection, claim: None, reference: reference.clone() };
        let session = Session::new(context.thread().clone(), attachment, self.clock.now);
        push_tight(&mut self.user.sessions, session);
        let waited = self.clock.now.since(since);
        self.tell(Event::SessionCreated { key: context.key().clone(), connection, path, waited });
        self.say_opened(context, reference, resume, path, waited);
    }

    fn say_opened(
        &mut self,
        context: SessionContext,
        reference: Option<Box<str>>,
        resume: Option<Resume>,
        path: AdmissionPath,
        waited: Duration,
    ) {
        let usage = self.usage();
        self.emit(Output::Opened { context, reference, resume, path, waited, usage });
    }

    /// The newest connection of a session wins; the worst of the others is detached. Whoever is the last living reader
    /// of a running answer cannot be the worst: the newest one lives as well, or all others are dead and go first.
    fn bound_attachments(&mut self, thread: &ThreadId, newest: ConnectionId) {
        let Some(index) = self.user.session_index(thread) else {
            return;
        };
        while self.user.sessions[index].attached.len() > self.limits.max_connections_per_session {
            let user = &*self.user;
            let worst = user.sessions[index]
                .attached
                .iter()
                .filter(|attachment| attachment.connection != newest)
                .filter_map(|attachment| user.connection(attachment.connection))
                .min_by_key(|connection| {
                    let alive = connection.liveness(&self.clock, self.limits) == Liveness::Alive;
                    (alive, connection.heard, connection.id)
                })
                .map(|connection| connection.id);
            let Some(worst) = worst else { return };
            let reference = self.user.sessions[index].detach(worst).and_then(|attachment| attachment.reference);
            let reason = EvictReason::MadeRoomForConnection;
            let key = self.user.key(thread);
            self.emit(Output::Closed { key, connection: worst, reference, reason, session_ended: false });
            if !self.user.is_wanted(worst) {
                self.drop_connection(worst, reason, Manner::Handshake);
            }
        }
    }

    pub(super) fn refuse_waiter(&mut self, waiter: Waiter) {
        let retry_in = self.draining.unwrap_or_default();
        let thread = Some(waiter.context.thread().clone());
        self.refuse(waiter.connection(), thread, waiter.reference, Refusal::Draining { retry_in });
    }

    pub(super) fn refuse(
        &mut self,
        connection: ConnectionId,
        thread: Option<ThreadId>,
        reference: Option<Box<str>>,
        refusal: Refusal,
    ) {
        let user = self.user.id.clone();
        self.tell(Event::Refused { user: user.clone(), connection, refusal });
        self.emit(Output::Refused { user, connection, thread, reference, refusal });
    }
}
