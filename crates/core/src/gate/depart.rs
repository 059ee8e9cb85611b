//! Somebody goes: a connection leaves a session, a socket ends, a session is evicted. The record goes first; the socket
//! is an effect that may be slow or fail (hazards R4, R29).

use crate::breaker::ReclaimStep;
use crate::gate::Step;
use crate::gate::io::{Cause, End, Event, Eviction, Manner, Output};
use crate::id::{ConnectionId, ThreadId};
use crate::liveness::{Evidence, Liveness, ZombieKind};
use crate::queue::Asker;
use crate::reclaim::ReclaimLevel;
use crate::refusal::EvictReason;
use crate::user::{Closing, push_tight};

/// What becomes of a session that lost its last connection.
#[derive(Clone, Copy)]
enum Orphans {
    Linger,
    End(EvictReason),
}

impl Step<'_> {
    pub(super) fn on_leave(&mut self, connection: ConnectionId, thread: &ThreadId) {
        let reason = EvictReason::Left;
        for asker in self.withdraw(|asker| asker.context.connection() == connection && asker.context.thread() == thread)
        {
            let (key, reference) = (asker.context.key().clone(), asker.reference);
            self.emit(Output::Closed { key, connection, reference, reason, session_ended: false, eviction: None });
        }
        let Some(index) = self.user.session_index(thread) else {
            return;
        };
        let Some(attachment) = self.user.sessions[index].detach(connection) else { return };
        let session_ended = self.user.sessions[index].attached.is_empty();
        let key = self.user.key(thread);
        let reference = attachment.reference;
        self.emit(Output::Closed { key, connection, reference, reason, session_ended, eviction: None });
        self.on_detached(thread, Orphans::End(reason));
    }

    pub(super) fn on_disconnect(&mut self, id: ConnectionId, end: End) {
        if self.user.connection(id).is_none() {
            return self.on_eviction_done(id);
        }
        let orphans = match end {
            End::ClientClosed => Orphans::End(EvictReason::ClientClosed),
            End::Lost => Orphans::Linger,
        };
        self.forget(id, None, orphans);
    }

    pub(super) fn on_expel(&mut self, id: ConnectionId, reason: EvictReason) {
        if self.user.connection(id).is_some() {
            self.drop_connection(id, reason, Manner::Handshake);
        }
    }

    pub(super) fn on_eviction_done(&mut self, id: ConnectionId) {
        let Some(place) = self.user.closing.iter().position(|closing| closing.connection == id) else {
            return;
        };
        if self.user.closing.remove(place).by_handshake {
            self.on_step_success(ReclaimStep::Close);
        }
    }

    /// Takes those opens out of the queue that are asked for no more.
    fn withdraw(&mut self, is_gone: impl Fn(&Asker) -> bool) -> Vec<Asker> {
        let mut gone = Vec::new();
        for waiter in &mut self.user.waiting {
            let (withdrawn, stay) = std::mem::take(&mut waiter.askers).into_iter().partition::<Vec<_>, _>(&is_gone);
            waiter.askers = stay.into();
            gone.extend(withdrawn);
        }
        self.user.waiting.retain(|waiter| !waiter.askers.is_empty());
        gone
    }

    pub(super) fn on_eviction_failed(&mut self, id: ConnectionId) {
        let now = self.clock.awake();
        if let Some(closing) = self.user.closing.iter_mut().find(|closing| closing.connection == id) {
            closing.deadline = now;
            self.abort_unconfirmed();
        }
    }

    /// Tears down every socket whose close was not confirmed in time.
    pub(super) fn abort_unconfirmed(&mut self) {
        let now = self.clock.awake();
        let due: Vec<_> = self.user.closing.extract_if(.., |closing| closing.deadline <= now).collect();
        for Closing { connection, by_handshake, level, .. } in due {
            let user = self.user.id.clone();
            self.tell(Event::CloseUnconfirmed { user: user.clone(), connection, level });
            if by_handshake {
                self.on_step_failure(ReclaimStep::Close);
            }
            let reason = EvictReason::Unresponsive;
            self.emit(Output::CloseSocket { user, connection, reason, manner: Manner::Abort });
        }
    }

    /// Takes a connection out of the count and has its socket closed.
    pub(super) fn drop_connection(&mut self, id: ConnectionId, reason: EvictReason, manner: Manner) {
        let orphans = match reason {
            EvictReason::Unresponsive
            | EvictReason::Slow
            | EvictReason::TokenExpired
            | EvictReason::MadeRoom
            | EvictReason::MadeRoomForConnection
            | EvictReason::Draining => Orphans::Linger,
            // What its tab still wants went over to the new one, or is opened on another node.
            EvictReason::Superseded
            | EvictReason::Left
            | EvictReason::ClientClosed
            | EvictReason::LingerEnded
            | EvictReason::ByAdmin
            | EvictReason::LoggedOut
            | EvictReason::Revoked => Orphans::End(reason),
        };
        self.forget(id, Some(reason), orphans);
        // Where closes keep failing nobody waits for another handshake.
        let manner = match manner {
            Manner::Handshake if !self.may_try(ReclaimStep::Close) => Manner::Abort,
            Manner::Handshake | Manner::Abort | Manner::Bury(_) => manner,
        };
        let deadline = self.clock.awake() + self.limits.close_confirm;
        let by_handshake = manner == Manner::Handshake;
        push_tight(&mut self.user.closing, Closing { connection: id, deadline, by_handshake, level: None });
        let user = self.user.id.clone();
        self.emit(Output::CloseSocket { user, connection: id, reason, manner });
    }

    /// Removes a connection's record, its waiting opens and its place in every session.
    fn forget(&mut self, id: ConnectionId, reason: Option<EvictReason>, orphans: Orphans) {
        self.user.connections.retain(|connection| connection.id != id);
        self.withdraw(|asker| asker.context.connection() == id);
        let user = self.user.id.clone();
        self.tell(Event::Disconnected { user, connection: id, reason });
        let threads: Vec<_> = self
            .user
            .sessions
            .iter_mut()
            .filter_map(|session| session.detach(id).map(|_| session.thread.clone()))
            .collect();
        for thread in threads {
            let key = self.user.key(&thread);
            self.emit(Output::Detached { key, connection: id });
            self.on_detached(&thread, orphans);
        }
    }

    fn on_detached(&mut self, thread: &ThreadId, orphans: Orphans) {
        let Some(index) = self.user.session_index(thread) else {
            return;
        };
        let session = &mut self.user.sessions[index];
        if !session.attached.is_empty() {
            // Whoever took it over and has not opened it yet is all that is left: the linger begins anew.
            if session.attached.iter().all(|attachment| attachment.claim.is_some()) {
                let until = Some(self.clock.now + self.limits.linger);
                session.attached.iter_mut().for_each(|attachment| attachment.claim = until);
            }
            return;
        }
        match orphans {
            Orphans::Linger => {
                session.lingers_until = Some(self.clock.now + self.limits.linger);
                let key = self.user.key(thread);
                self.tell(Event::SessionLingers { key });
            }
            Orphans::End(reason) => self.release(thread, reason),
        }
    }

    /// Ends a session that nobody is attached to.
    pub(super) fn release(&mut self, thread: &ThreadId, reason: EvictReason) {
        let Some(index) = self.user.session_index(thread) else {
            return;
        };
        self.user.sessions.remove(index);
        let key = self.user.key(thread);
        self.tell(Event::SessionReleased { key, reason });
    }

    /// Reclaims a session: tells its connections, frees the slot, and closes those sockets that are dead or serve
    /// nothing else.
    pub(super) fn evict(&mut self, thread: &ThreadId, level: ReclaimLevel, cause: Cause) {
        let Some(index) = self.user.session_index(thread) else {
            return;
        };
        let session = self.user.sessions.remove(index);
        let best = self.user.best_evidence(&session, &self.clock, self.limits);
        let reason = match best {
            Some((Liveness::Zombie(ZombieKind::Stalled), _)) => EvictReason::Slow,
            Some((Liveness::Zombie(_), _)) => EvictReason::Unresponsive,
            Some((Liveness::Alive | Liveness::Suspect, _)) | None => EvictReason::MadeRoom,
        };
        let evidence = best.map_or_else(Evidence::default, |(_, evidence)| evidence);
        let key = self.user.key(thread);
        let eviction = Eviction { level, evidence };
        self.tell(Event::SessionEvicted { key: key.clone(), reason, eviction, cause });
        self.efforts.freed(level);
        for attachment in session.attached {
            let connection = attachment.connection;
            let reference = attachment.reference;
            let (key, eviction) = (key.clone(), Some(eviction));
            self.emit(Output::Closed { key, connection, reference, reason, session_ended: true, eviction });
            self.close_if_useless(connection);
            // Should the close fail, it is this level's.
            let closing = self.user.closing.iter_mut().filter(|closing| closing.connection == connection);
            closing.for_each(|closing| closing.level = Some(level));
        }
    }

    fn close_if_useless(&mut self, id: ConnectionId) {
        let Some(connection) = self.user.connection(id) else {
            return;
        };
        match connection.liveness(&self.clock, self.limits) {
            Liveness::Zombie(kind) => self.bury(id, kind),
            Liveness::Alive | Liveness::Suspect if self.user.is_wanted(id) => {}
            Liveness::Alive | Liveness::Suspect => {
                self.drop_connection(id, EvictReason::MadeRoom, Manner::Handshake);
            }
        }
    }

    /// Drops a dead connection without waiting for its peer.
    pub(super) fn bury(&mut self, id: ConnectionId, kind: ZombieKind) {
        let Some(connection) = self.user.connection(id) else {
            return;
        };
        let evidence = connection.evidence(&self.clock);
        let user = self.user.id.clone();
        self.tell(Event::Zombie { user, connection: id, kind, evidence });
        let reason = match kind {
            ZombieKind::Stalled => EvictReason::Slow,
            ZombieKind::HalfOpen | ZombieKind::Ghost | ZombieKind::Orphan | ZombieKind::StaleLease => {
                EvictReason::Unresponsive
            }
        };
        self.drop_connection(id, reason, Manner::Bury(kind));
    }
}
