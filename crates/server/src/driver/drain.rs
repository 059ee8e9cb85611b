//! Turns the gate's outputs into non-blocking sends.

use std::time::Duration;

use lychgate_core::{ConnectionId, Event, Input, Manner, Output, Refusal, Time};

use super::{Admitted, Driver, Shard};
use crate::close::{Closing, ErrorCode};
use crate::outbox::{Frame, Outbox};
use crate::wire::{self, Notice};

impl Driver {
    /// Acts on every output in order; the events are left for the caller, who tells them without the lock.
    pub(super) fn drain_outputs(&self, shard: &mut Shard, now: Time) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(output) = shard.gate.poll_output() {
            match output {
                Output::Event(event) => events.push(event),
                Output::Connected { user, connection, superseded: _, usage } => {
                    let Some(link) = shard.links.get(&connection) else { continue };
                    let hello = wire::Server::Hello {
                        connection: &connection.to_string(),
                        user: user.as_str(),
                        ping: millis(self.greeting.ping_interval),
                        window: self.greeting.window,
                        expires_in: link.expires_in.map(|left| left.as_secs()),
                        limits: usage.into(),
                    };
                    say(&link.outbox, &hello);
                }
                Output::Opened { context, reference, resume, path, waited: _, usage } => {
                    let Some(link) = shard.links.get(&context.connection()) else { continue };
                    let outbox = link.outbox.clone();
                    let heartbeat = link.heartbeat;
                    self.effects.attach(Admitted { context, reference, resume, path, usage, outbox, heartbeat });
                }
                Output::Closed { key, connection, reference, reason, session_ended: _ } => {
                    self.effects.detach(&key, connection);
                    let closing = Closing::from(reason);
                    say_to(shard, connection, &closing.to_frame(key.thread().as_str(), reference.as_deref()));
                }
                Output::Detached { key, connection } => self.effects.detach(&key, connection),
                Output::Refused { connection, thread, reference, refusal, .. } => {
                    let thread = thread.as_ref().map(|thread| thread.as_str());
                    refuse(shard, connection, thread, reference.as_deref(), refusal);
                }
                Output::Ping { user, connection } => {
                    let Some(link) = shard.links.get(&connection) else { continue };
                    let outcome = link.outbox.ping();
                    shard.gate.handle_input(now, Input::PingResult { user, connection, outcome });
                }
                Output::CloseSocket { user, connection, reason, manner } => {
                    let Some(link) = shard.links.get(&connection) else {
                        shard.gate.handle_input(now, Input::EvictionDone { user, connection });
                        continue;
                    };
                    let closing = spread(Closing::from(reason), connection);
                    match manner {
                        Manner::Handshake => link.outbox.close(closing.code, &closing.to_json()),
                        Manner::Abort => link.outbox.abort(),
                    }
                }
                Output::Limit { connection, usage } => {
                    say_to(shard, connection, &wire::Server::Notice(Notice::Limit(usage.into())));
                }
                Output::Reconnect { connection, retry_in, deadline } => {
                    let (retry_in, deadline) = (millis(retry_in), millis(deadline));
                    let notice = Notice::Reconnect { why: "draining", retry_in, deadline };
                    say_to(shard, connection, &wire::Server::Notice(notice));
                }
            }
        }
        events
    }
}

/// Spreads the time to come back by the connection's random id, half of it either way: whoever is closed together must
/// not come back together (hazard R21).
pub(super) fn spread(closing: Closing, connection: ConnectionId) -> Closing {
    match closing.retry_in {
        Some(retry_in) => closing.after(retry_in / 2 + retry_in * connection.share_of(1_000) / 1_000),
        None => closing,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn say_to(shard: &Shard, connection: ConnectionId, message: &wire::Server<'_>) {
    if let Some(link) = shard.links.get(&connection) {
        say(&link.outbox, message);
    }
}

/// Sends an answer or a notice. Where the peer does not read, the outbox closes it by its own bound.
fn say(outbox: &Outbox, message: &wire::Server<'_>) {
    outbox.send_control(&Frame::text(message.to_json().as_bytes()));
}

fn refuse(shard: &Shard, connection: ConnectionId, thread: Option<&str>, reference: Option<&str>, refusal: Refusal) {
    let Some(link) = shard.links.get(&connection) else { return };
    let closing = Closing::from(refusal);
    let error = wire::Server::Error {
        code: ErrorCode::from(refusal).as_str(),
        message: closing.sentence,
        thread,
        run: None,
        reference,
        retry_in: closing.retry_ms(),
    };
    say(&link.outbox, &error);
    if thread.is_none() {
        link.outbox.close(closing.code, &closing.to_json());
    }
}
