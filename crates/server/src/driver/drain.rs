//! Turns the gate's outputs into non-blocking sends.

use std::time::Duration;

use lychgate_core::{ConnectionId, Event, EvictReason, Input, Manner, Output, Refusal, Time};

use super::burial::bury;
use super::{Admitted, Driver, Shard};
use crate::close::{Closing, ErrorCode, retry_after};
use crate::outbox::Frame;
use crate::sink::Line;
use crate::wire::{self, Notice, millis};

impl Driver {
    /// Acts on every output in order; the events are left for the caller, who notes them and tells them without the lock.
    pub(super) fn drain_outputs(&self, shard: &mut Shard, now: Time) -> Vec<Event> {
        let mut events = std::mem::take(&mut shard.disproved);
        while let Some(output) = shard.gate.poll_output() {
            match output {
                Output::Event(event) => events.push(event),
                Output::Wish(wish) => self.effects.wish(wish),
                Output::Connected { user, connection, superseded: _, expires, usage } => {
                    let Some(link) = shard.links.get(&connection) else { continue };
                    let hello = wire::Server::Hello {
                        connection: &connection.to_string(),
                        user: user.as_str(),
                        ping: millis(self.greeting.ping_interval),
                        window: self.greeting.window,
                        expires_in: expires.map(|at| seconds_left(at.since(now))),
                        limits: usage.into(),
                    };
                    say(&*link.line, &hello);
                }
                Output::Opened { context, reference, resume, path, waited: _, usage } => {
                    let Some(link) = shard.links.get(&context.connection()) else { continue };
                    let line = link.line.clone();
                    let heartbeat = link.heartbeat;
                    self.effects.attach(Admitted { context, reference, resume, path, usage, line, heartbeat });
                }
                Output::Closed { key, connection, reference, reason, session_ended: _, eviction } => {
                    self.effects.detach(&key, connection);
                    let closing = Closing::from(reason);
                    say_to(shard, connection, &closing.to_frame(key.thread().as_str(), reference.as_deref(), eviction));
                }
                Output::Queued { key, connection, reference, position, deadline } => {
                    let (thread, reference) = (key.thread().as_str(), reference.as_deref());
                    let notice = Notice::Queued { thread, reference, position, deadline: millis(deadline) };
                    say_to(shard, connection, &wire::Server::Notice(notice));
                }
                Output::Detached { key, connection } => self.effects.detach(&key, connection),
                Output::Refused { connection, thread, reference, refusal, .. } => {
                    let thread = thread.as_ref().map(|thread| thread.as_str());
                    refuse(shard, connection, thread, reference.as_deref(), refusal);
                }
                Output::Ping { user, connection } => {
                    let Some(link) = shard.links.get(&connection) else { continue };
                    let outcome = link.line.ping();
                    self.effects.pinged(outcome);
                    // After the ping: what is unanswered at the next one has been on its way since then.
                    let backlog = link.line.backlog();
                    shard.gate.handle_input(now, Input::PingResult { user, connection, outcome, backlog });
                }
                Output::CloseSocket { user, connection, reason, manner } => {
                    let closed = match manner {
                        Manner::Bury(kind) => bury(shard, &user, connection, kind, &mut events),
                        Manner::Handshake | Manner::Abort => close_socket(shard, connection, reason, manner),
                    };
                    if closed {
                        shard.gate.handle_input(now, Input::EvictionDone { user, connection });
                    }
                }
                Output::Limit { connection, usage } => {
                    say_to(shard, connection, &wire::Server::Notice(Notice::Limit(usage.into())));
                }
                Output::Expiring { connection, expires_in } => {
                    let notice = Notice::Expiring { expires_in: seconds_left(expires_in) };
                    say_to(shard, connection, &wire::Server::Notice(notice));
                }
            }
        }
        events
    }
}

/// Closes a socket; true when it is gone already. One that is to be torn down is gone when this returns, whether its
/// task runs or not (that of an HTTP reader as soon as the runtime runs): nobody waits for it, and a runtime that is stuck
/// makes it no failure. A handshake is confirmed when the task ends; while it does not, the gate's own deadline tears the
/// socket down.
fn close_socket(shard: &Shard, connection: ConnectionId, reason: EvictReason, manner: Manner) -> bool {
    let Some(link) = shard.links.get(&connection) else { return true };
    let closing = spread(Closing::from(reason), connection);
    match manner {
        Manner::Handshake => {
            link.line.close(&closing);
            false
        }
        Manner::Abort | Manner::Bury(_) => {
            link.line.abort();
            true
        }
    }
}

/// Spreads the time to come back by the connection's random id, half of it either way: whoever is closed together must
/// not come back together (hazard R21).
pub(super) fn spread(closing: Closing, connection: ConnectionId) -> Closing {
    match closing.retry_in {
        Some(retry_in) => closing.after(spread_time(retry_in, connection)),
        None => closing,
    }
}

fn spread_time(retry_in: Duration, connection: ConnectionId) -> Duration {
    retry_in / 2 + retry_in * connection.share_of(1_000) / 1_000
}

/// Whole seconds, a begun one counted: whoever is in the last second of his token is not told that it is over.
fn seconds_left(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

pub(super) fn say_to(shard: &Shard, connection: ConnectionId, message: &wire::Server<'_>) {
    if let Some(link) = shard.links.get(&connection) {
        say(&*link.line, message);
    }
}

/// Sends an answer or a notice. Where the peer does not read, the line closes it by its own bound.
fn say(line: &dyn Line, message: &wire::Server<'_>) {
    line.send_control(&Frame::text(message.to_json().as_bytes()));
}

fn refuse(shard: &Shard, connection: ConnectionId, thread: Option<&str>, reference: Option<&str>, refusal: Refusal) {
    let Some(link) = shard.links.get(&connection) else { return };
    let row = ErrorCode::from(refusal).row();
    // Whoever is refused together must not come back together (hazard R21).
    let retry_in = retry_after(refusal).map(|retry_in| millis(spread_time(retry_in, connection)));
    let error = wire::Server::Error { code: row.word, message: row.sentence, thread, run: None, reference, retry_in };
    say(&*link.line, &error);
    if thread.is_none() {
        let closing = spread(Closing::from(refusal), connection);
        link.line.close(&closing);
    }
}
