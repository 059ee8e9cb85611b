//! The invariants, recounted from scratch. Debug builds and simulations run this after every step.

use std::collections::BTreeSet;

use crate::limits::Limits;
use crate::user::User;

/// Recounts one user.
///
/// # Errors
/// Names the first invariant that does not hold, and for whom.
pub(crate) fn check(user: &User, limits: &Limits) -> Result<(), String> {
    let fail = |what: &str| Err(format!("{what} (user {})", user.id));
    let threads: BTreeSet<_> = user.sessions.iter().map(|session| &session.thread).collect();
    if threads.len() != user.sessions.len() {
        return fail("one thread holds two slots");
    }
    let connections: BTreeSet<_> = user.connections.iter().map(|connection| connection.id).collect();
    if connections.len() != user.connections.len() {
        return fail("one connection is counted twice");
    }
    if user.sessions.len() > limits.max_sessions_per_user {
        return fail("I1: more sessions than the limit");
    }
    if user.connections.len() > limits.max_connections_per_user {
        return fail("more connections than the user's limit");
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
    if user.waiting.iter().any(|waiter| !connections.contains(&waiter.connection())) {
        return fail("an open waits for a connection that is gone");
    }
    if user.closing.iter().any(|closing| connections.contains(&closing.connection)) {
        return fail("I2: a released connection is counted still");
    }
    if !user.waiting.is_empty() && user.round.is_none() {
        return fail("I3: an open waits and nobody probes");
    }
    Ok(())
}
