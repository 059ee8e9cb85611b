//! The record of one socket: what was asked of it and what it answered.

use std::time::Duration;

use crate::gate::io::{Heartbeat, Sign};
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::liveness::{self, Evidence, Liveness};
use crate::timer::{Awake, Clock, Time};

/// The heartbeat question that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ping {
    /// None.
    Idle,
    /// Ordered, but not written yet: silence does not count (hazard R30).
    Ordered,
    /// Written then; silence counts from there.
    Written(Awake),
}

/// One socket that proved who it is.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) missed_pings: u32,
    pub(crate) missed_probes: u32,
    /// When it last gave a sign of life.
    pub(crate) heard: Time,
    pub(crate) expires: Option<Time>,
    pub(crate) next_ping: Time,
    pub(crate) ping: Ping,
    /// Since when bytes wait and the kernel takes none.
    pub(crate) blocked_since: Option<Awake>,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        heartbeat: Heartbeat,
        expires: Option<Time>,
        now: Time,
        next_ping: Time,
    ) -> Self {
        Self {
            id,
            heartbeat,
            missed_pings: 0,
            missed_probes: 0,
            heard: now,
            expires,
            next_ping,
            ping: Ping::Idle,
            blocked_since: None,
        }
    }

    /// Whether this sign is life for this kind of client (hazard R9).
    pub(crate) fn is_life(&self, sign: Sign) -> bool {
        match (self.heartbeat, sign) {
            (Heartbeat::Protocol, Sign::Data | Sign::Pong | Sign::Visible) => true,
            (Heartbeat::Application, Sign::Data | Sign::Visible) => true,
            (Heartbeat::Application, Sign::Pong) => false,
        }
    }

    /// It lives: every question is answered.
    pub(crate) fn on_life(&mut self, now: Time) {
        self.heard = now;
        self.missed_pings = 0;
        self.missed_probes = 0;
        if let Ping::Written(_) = self.ping {
            self.ping = Ping::Idle;
        }
    }

    /// What is known of it.
    pub(crate) fn evidence(&self, clock: &Clock) -> Evidence {
        Evidence {
            missed_pings: self.missed_pings,
            missed_probes: self.missed_probes,
            silent_for: clock.now.since(self.heard),
            blocked_for: self.blocked_since.map(|since| clock.awake().since(since)),
        }
    }

    /// The verdict over it.
    pub(crate) fn liveness(&self, clock: &Clock, limits: &Limits) -> Liveness {
        liveness::judge(&self.evidence(clock), limits)
    }

    /// When something falls due here.
    pub(crate) fn deadline(&self, clock: &Clock, limits: &Limits) -> Time {
        let answer = match self.ping {
            Ping::Idle | Ping::Ordered => None,
            Ping::Written(at) => Some(clock.wall(at + limits.ping_answer)),
        };
        let stall = self.blocked_since.map(|since| clock.wall(since + limits.write_stall));
        [answer, stall, self.expires].into_iter().flatten().fold(self.next_ping, Time::min)
    }
}

/// The heartbeat interval with its jitter of 10 per cent either way, so that a restart does not leave all sockets
/// beating together. `random` is any 64 bits.
pub(crate) fn jittered(interval: Duration, random: u64) -> Duration {
    let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
    let spread = micros / 5;
    let offset = if spread == 0 { 0 } else { random % spread };
    Duration::from_micros(micros - micros / 10 + offset)
}
