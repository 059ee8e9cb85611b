//! The invariants, recounted from scratch. Debug builds and simulations run this after every step; a running gate runs
//! it over a few users at a time and repairs what does not hold, because a broken record must not lock its user out.

use std::collections::BTreeSet;

use crate::id::{ConnectionId, ThreadId};
use crate::lease::Claim;
use crate::limits::{Limits, Mode};
use crate::queue::Waiter;
use crate::session::Session;
use crate::timer::{Clock, Time};
use crate::user::User;

/// Recounts one user.
///
/// # Errors
/// Names the first invariant that does not hold.
pub(crate) fn check(user: &User) -> Result<(), &'static str> {
    let fail = |what: &'static str| Err(what);
    let threads: BTreeSet<_> = user.sessions.iter().map(|session| &session.thread).collect();
    if threads.len() != user.sessions.len() {
        return fail("one thread holds two slots");
    }
    let connections: BTreeSet<_> = user.connections.iter().map(|connection| connection.id).collect();
    if connections.len() != user.connections.len() {
        return fail("one connection is counted twice");
    }
    for session in &user.sessions {
        if session.attached.is_empty() != session.lingers_until.is_some() {
            return fail("a session is attached or lingers, never both, never neither");
        }
        if session.attached.iter().any(|attachment| !connections.contains(&attachment.connection)) {
            return fail("I6: a session counts a connection that is gone");
        }
    }
    let askers = || user.waiting.iter().flat_map(|waiter| &waiter.askers);
    if askers().any(|asker| !connections.contains(&asker.context.connection())) {
        return fail("an open waits for a connection that is gone");
    }
    if user.waiting.iter().any(|waiter| waiter.askers.is_empty()) {
        return fail("nobody waits in a place of the queue");
    }
    if user.closing.iter().any(|closing| connections.contains(&closing.connection)) {
        return fail("I2: a released connection is counted still");
    }
    let asks = user.waiting.first().is_some_and(|first| first.is_asking() || matches!(first.claim, Claim::Unasked));
    if !asks && user.waiting.iter().any(Waiter::climbs) && user.round.is_none() {
        return fail("I3: an open waits and nobody probes");
    }
    Ok(())
}

/// What a user held before a step.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    sessions: usize,
    waiting: usize,
}

impl Held {
    pub(crate) fn by(user: &User) -> Self {
        Self { sessions: user.sessions.len(), waiting: user.waiting.len() }
    }
}

/// Compares one user with what he held before a step: a limit that was lowered takes nothing away by itself, so only a
/// rise can break it.
///
/// # Errors
/// Names the bound.
pub(crate) fn check_rise(
    user: &User,
    before: Held,
    granted: usize,
    clock: &Clock,
    limits: &Limits,
) -> Result<(), &'static str> {
    let reserve = match user.reserve.as_ref().and_then(|reserve| reserve.left(clock.now, limits)) {
        Some(_) => limits.reserve_sessions,
        None => 0,
    };
    let allowed = match limits.mode {
        Mode::Enforce => limits.max_sessions_per_user.saturating_add(reserve),
        Mode::Shadow => limits.ceiling(),
    };
    // A grant may come before the word that another node took a place here.
    if user.sessions.len() > allowed.max(before.sessions + granted) {
        return Err("I1: an admission raised the sessions above the limit");
    }
    // Who waits for an answer of other nodes cannot be served early.
    let asks = user.waiting.first().is_some_and(Waiter::is_asking);
    if !asks && user.waiting.len() > before.waiting.max(limits.max_waiting_opens_per_user) {
        return Err("more waiting opens than their bound");
    }
    Ok(())
}

/// Restores what [`check`] found broken, giving up as little as possible: no open is dropped that somebody waits for, and
/// no session that somebody is attached to. Deadlines and rounds follow from the step that this is part of. What it
/// detached is for the caller to tell.
pub(crate) fn mend(user: &mut User, now: Time, limits: &Limits) -> Vec<(ThreadId, ConnectionId)> {
    let mut seen = BTreeSet::new();
    user.connections.retain(|connection| seen.insert(connection.id));
    let mut sessions: Vec<Session> = Vec::new();
    for twin in std::mem::take(&mut user.sessions) {
        match sessions.iter_mut().find(|session| session.thread == twin.thread) {
            Some(session) => session.attached.extend(twin.attached),
            None => sessions.push(twin),
        }
    }
    let mut detached = Vec::new();
    for session in &mut sessions {
        let mut attached = BTreeSet::new();
        session.attached.retain(|attachment| {
            let stays = seen.contains(&attachment.connection) && attached.insert(attachment.connection);
            if !stays && !attached.contains(&attachment.connection) {
                detached.push((session.thread.clone(), attachment.connection));
            }
            stays
        });
        session.lingers_until = match (session.attached.is_empty(), session.lingers_until) {
            (false, _) => None,
            (true, Some(until)) => Some(until),
            (true, None) => Some(now + limits.linger),
        };
    }
    user.sessions = sessions;
    for waiter in &mut user.waiting {
        waiter.askers.retain(|asker| seen.contains(&asker.context.connection()));
    }
    user.waiting.retain(|waiter| !waiter.askers.is_empty());
    user.closing.retain(|closing| !seen.contains(&closing.connection));
    detached
}
