//! The invariants, recounted from scratch. Debug builds and simulations run this after every step; a running gate runs
//! it over a few users at a time and repairs what does not hold, because a broken record must not lock its user out.

use std::collections::BTreeSet;

use crate::limits::{Limits, Mode};
use crate::timer::{Clock, Time};
use crate::user::User;

/// Recounts one user.
///
/// # Errors
/// Names the first invariant that does not hold.
pub(crate) fn check(user: &User, limits: &Limits) -> Result<(), &'static str> {
    let fail = |what: &'static str| Err(what);
    let threads: BTreeSet<_> = user.sessions.iter().map(|session| &session.thread).collect();
    if threads.len() != user.sessions.len() {
        return fail("one thread holds two slots");
    }
    let connections: BTreeSet<_> = user.connections.iter().map(|connection| connection.id).collect();
    if connections.len() != user.connections.len() {
        return fail("one connection is counted twice");
    }
    if user.waiting.len() > limits.max_waiting_opens_per_user {
        return fail("more waiting opens than their bound");
    }
    for session in &user.sessions {
        if session.attached.is_empty() != session.lingers_until.is_some() {
            return fail("a session is attached or lingers, never both, never neither");
        }
        if session.attached.len() > limits.max_connections_per_session {
            return fail("more connections than the session's limit");
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
    if user.waiting.iter().any(|waiter| !waiter.queued) && user.round.is_none() {
        return fail("I3: an open waits and nobody probes");
    }
    Ok(())
}

/// Compares one user with the number of sessions that he held before a step: a limit that was lowered evicts nobody by
/// itself, so only a rise can break it.
///
/// # Errors
/// Names I1.
pub(crate) fn check_rise(user: &User, before: usize, clock: &Clock, limits: &Limits) -> Result<(), &'static str> {
    let reserve = match user.reserve.as_ref().and_then(|reserve| reserve.left(clock.now, limits)) {
        Some(_) => limits.reserve_sessions,
        None => 0,
    };
    let allowed = match limits.mode {
        Mode::Enforce => limits.max_sessions_per_user + reserve,
        Mode::Shadow => limits.ceiling(),
    };
    match user.sessions.len() > before.max(allowed) {
        true => Err("I1: an admission raised the sessions above the limit"),
        false => Ok(()),
    }
}

/// Restores what [`check`] found broken, giving up as little as possible: nobody loses a session that somebody is
/// attached to. Deadlines and rounds follow from the step that this is part of.
pub(crate) fn mend(user: &mut User, now: Time, limits: &Limits) {
    let mut seen = BTreeSet::new();
    user.connections.retain(|connection| seen.insert(connection.id));
    let mut threads = BTreeSet::new();
    user.sessions.retain(|session| threads.insert(session.thread.clone()));
    for session in &mut user.sessions {
        session.attached.retain(|attachment| seen.contains(&attachment.connection));
        session.attached.truncate(limits.max_connections_per_session);
        session.lingers_until = match (session.attached.is_empty(), session.lingers_until) {
            (false, _) => None,
            (true, Some(until)) => Some(until),
            (true, None) => Some(now + limits.linger),
        };
    }
    for waiter in &mut user.waiting {
        waiter.askers.retain(|asker| seen.contains(&asker.context.connection()));
    }
    user.waiting.retain(|waiter| !waiter.askers.is_empty());
    user.waiting.truncate(limits.max_waiting_opens_per_user);
    user.closing.retain(|closing| !seen.contains(&closing.connection));
}
