//! An open is attached, admitted, sent up the ladder or refused.

use std::time::Duration;

use smallvec::SmallVec;

use crate::admission::{self, Decision, Question};
use crate::context::SessionContext;
use crate::gate::Step;
use crate::gate::io::{AdmissionPath, Event, Manner, Output, Resume};
use crate::id::{ConnectionId, ThreadId};
use crate::lease::Lease;
use crate::limits::Mode;
use crate::liveness::Liveness;
use crate::queue::Asker;
use crate::refusal::{EvictReason, Refusal};
use crate::session::{Attachment, Session};
use crate::user::push_tight;

impl Step<'_> {
    pub(super) fn on_open(&mut self, context: SessionContext, reference: Option<Box<str>>, resume: Option<Resume>) {
        let connection = context.connection();
        if self.user.connection(connection).is_none() {
            let thread = Some(context.thread().clone());
            return self.refuse(connection, thread, reference, Refusal::NotConnected, Duration::ZERO);
        }
        let Some(context) = self.same_open(context, reference.as_deref()) else {
            return;
        };
        let question = self.question(context.thread());
        let decision = admission::decide(&question);
        let was_full = !question.session_exists && question.used >= question.limit && !self.limit_only_tells();
        let asker = Asker { context, reference, resume, since: self.clock.now, told: None, was_full };
        match decision {
            Decision::Refuse => self.refuse_draining(asker),
            Decision::Attach => self.attach(asker),
            Decision::Admit | Decision::Reclaim if self.lease.is_some() => self.climb(asker),
            Decision::Admit => self.create(SmallVec::from_buf([asker]), AdmissionPath::Free, None),
            Decision::Reclaim if self.limit_only_tells() => {
                self.tell_shadow(asker.context.key().clone());
                self.create(SmallVec::from_buf([asker]), AdmissionPath::Shadow, None);
            }
            Decision::Reclaim => self.climb(asker),
        }
    }

    /// The facts for the decision over one open.
    pub(super) fn question(&self, thread: &ThreadId) -> Question {
        Question {
            session_exists: self.user.session_index(thread).is_some(),
            used: self.used(),
            limit: self.limits.max_sessions_per_user,
            others_wait: !self.user.waiting.is_empty(),
            draining: self.draining.is_some(),
        }
    }

    /// Shadow mode, below the number of sessions where memory has its say.
    pub(super) fn limit_only_tells(&self) -> bool {
        match self.limits.mode {
            Mode::Enforce => false,
            Mode::Shadow => self.user.sessions.len() < self.limits.ceiling(),
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
            |asker: &Asker| asker.context.connection() == connection && asker.reference.as_deref() == Some(reference);
        if self.user.waiting.iter().flat_map(|waiter| &waiter.askers).any(is_same) {
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
    pub(super) fn attach(&mut self, asker: Asker) {
        let Asker { context, reference, resume, since, told: _, was_full: _ } = asker;
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
                session.attached.push(Attachment { connection, claim: None, reference: reference.clone() });
                AdmissionPath::Attach
            }
        };
        self.bound_attachments(context.thread(), connection);
        let waited = self.clock.now.since(since);
        self.tell(Event::SessionAttached { key: context.key().clone(), connection, path, waited });
        self.say_opened(context, reference, resume, path, waited);
    }

    /// Takes a slot for the first asker and attaches the others. The record stands before anybody is told. An asker
    /// whose own socket is gone by then takes none.
    pub(super) fn create(&mut self, askers: SmallVec<[Asker; 1]>, path: AdmissionPath, lease: Option<Lease>) {
        let user = &*self.user;
        let here = |asker: &Asker| user.connection(asker.context.connection()).is_some();
        let mut askers: SmallVec<[Asker; 1]> = askers.into_iter().filter(here).collect();
        if askers.is_empty() {
            return self.give_back(lease);
        }
        let Asker { context, reference, resume, since, told: _, was_full } = askers.remove(0);
        let connection = context.connection();
        let attachment = Attachment { connection, claim: None, reference: reference.clone() };
        let mut session = Session::new(context.thread().clone(), attachment, self.clock.now);
        session.lease = lease;
        push_tight(&mut self.user.sessions, session);
        let waited = self.clock.now.since(since);
        self.tell(Event::SessionCreated { key: context.key().clone(), connection, path, waited, was_full });
        self.say_opened(context, reference, resume, path, waited);
        askers.into_iter().for_each(|asker| self.attach(asker));
    }

    fn say_opened(
        &mut self,
        context: SessionContext,
        reference: Option<Box<str>>,
        resume: Option<Resume>,
        path: AdmissionPath,
        waited: Duration,
    ) {
        let usage = self.tell_usage(context.connection());
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
            self.emit(Output::Closed {
                key,
                connection: worst,
                reference,
                reason,
                session_ended: false,
                eviction: None,
            });
            if !self.user.is_wanted(worst) {
                self.drop_connection(worst, reason, Manner::Handshake);
            }
        }
    }

    pub(super) fn refuse_draining(&mut self, asker: Asker) {
        let retry_in = self.draining.unwrap_or_default();
        self.refuse_asker(asker, Refusal::Draining { retry_in });
    }

    pub(super) fn refuse_asker(&mut self, asker: Asker, refusal: Refusal) {
        let thread = Some(asker.context.thread().clone());
        let waited = self.clock.now.since(asker.since);
        self.refuse(asker.context.connection(), thread, asker.reference, refusal, waited);
    }

    pub(super) fn refuse(
        &mut self,
        connection: ConnectionId,
        thread: Option<ThreadId>,
        reference: Option<Box<str>>,
        refusal: Refusal,
        waited: Duration,
    ) {
        let user = self.user.id.clone();
        self.tell(Event::Refused { user: user.clone(), connection, thread: thread.clone(), refusal, waited });
        self.emit(Output::Refused { user, connection, thread, reference, refusal });
    }
}
