//! The record of one socket: what was asked of it and what it answered.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::gate::io::{Heartbeat, Sign};
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::liveness::{self, Backlog, Evidence, Liveness};
use crate::timer::{Awake, Clock, Time};

/// Two readings of one token differ by less, and the expiries of two tokens, in whole seconds, by more: the caller turns
/// seconds since 1970 into our time anew for each.
const SAME_EXPIRY: Duration = Duration::from_millis(500);

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
    /// When its token expires; it may stay for [`crate::limits::LimitSpec::expiry_grace`] longer.
    pub(crate) expires: Option<Time>,
    /// How many seconds before that its client is told; 0 once he was. Fits where the record had a gap.
    pub(crate) notice_secs: u16,
    pub(crate) next_ping: Time,
    pub(crate) ping: Ping,
    /// Since when bytes wait and the kernel takes none.
    pub(crate) blocked_since: Option<Awake>,
    /// When the oldest question was written that stayed unanswered; the origin of time while none did.
    pub(crate) unanswered_since: Time,
    /// How long the last answer took, in microseconds; a quarter of an hour is as good as any longer time.
    pub(crate) answered_in: Option<NonZeroU32>,
    /// What waited on our side when it was last asked.
    pub(crate) queued_bytes: u32,
    /// For how long the peer's kernel had acknowledged nothing then, in milliseconds.
    pub(crate) unacked_ms: Option<NonZeroU32>,
}

/// A node holds as many as it has sockets: what does not fit into gaps is paid for by every one of them.
const _: () = assert!(size_of::<Connection>() <= 96);

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
            notice_secs: notice_secs(expires, now),
            next_ping,
            ping: Ping::Idle,
            blocked_since: None,
            unanswered_since: Time::ZERO,
            answered_in: None,
            queued_bytes: 0,
            unacked_ms: None,
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
    pub(crate) fn on_life(&mut self, clock: &Clock) {
        self.heard = clock.now;
        self.missed_pings = 0;
        self.missed_probes = 0;
        self.unanswered_since = Time::ZERO;
        if let Ping::Written(at) = self.ping {
            self.ping = Ping::Idle;
            let took = u32::try_from(clock.awake().since(at).as_micros()).unwrap_or(u32::MAX);
            self.answered_in = NonZeroU32::new(took.max(1));
        }
    }

    /// A heartbeat that was written at `at` had its time to be answered.
    pub(crate) fn on_missed_ping(&mut self, at: Time) {
        self.ping = Ping::Idle;
        self.missed_pings += 1;
        self.note_unanswered(at);
    }

    /// A probe ended, and so many of its pings, the first of them written at `at`, stayed unanswered.
    pub(crate) fn on_missed_probe(&mut self, pings: u32, at: Option<Time>) {
        // Questions that could not be asked are no answer: who was suspect stays it.
        self.missed_probes = self.missed_probes.max(pings);
        if let Some(at) = at {
            self.note_unanswered(at);
        }
    }

    fn note_unanswered(&mut self, at: Time) {
        if self.unanswered_since == Time::ZERO {
            self.unanswered_since = at;
        }
    }

    /// It was asked, and this waited before the question.
    pub(crate) fn on_backlog(&mut self, backlog: Backlog) {
        self.queued_bytes = backlog.queued_bytes;
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        self.unacked_ms = backlog.unacked_for.and_then(|time| NonZeroU32::new(millis(time)));
    }

    /// It brought a token: a new one, or the same again, which gives neither more time nor another notice.
    pub(crate) fn on_renewal(&mut self, expires: Option<Time>, now: Time) {
        let was_told = self.notice_secs == 0;
        let says_nothing_new = match (self.expires, expires) {
            // Whoever knows already that his time ends need not hear that it ends earlier still.
            (Some(old), Some(new)) => new <= old + SAME_EXPIRY && (was_told || new + SAME_EXPIRY >= old),
            (None, _) | (_, None) => false,
        };
        self.expires = expires;
        if !says_nothing_new {
            self.notice_secs = notice_secs(expires, now);
        }
    }

    /// When its client is to be told that its token expires; none once he was.
    pub(crate) fn notice_at(&self) -> Option<Time> {
        let expires = self.expires.filter(|_| self.notice_secs > 0)?;
        Some(expires - Duration::from_secs(self.notice_secs.into()))
    }

    /// What is known of it.
    pub(crate) fn evidence(&self, clock: &Clock) -> Evidence {
        Evidence {
            missed_pings: self.missed_pings,
            missed_probes: self.missed_probes,
            unanswered_for: (self.unanswered_since > Time::ZERO).then(|| clock.now.since(self.unanswered_since)),
            silent_for: clock.now.since(self.heard),
            answered_in: self.answered_in.map(|micros| Duration::from_micros(micros.get().into())),
            blocked_for: self.blocked_since.map(|since| clock.awake().since(since)),
            backlog: Backlog {
                queued_bytes: self.queued_bytes,
                unacked_for: self.unacked_ms.map(|millis| Duration::from_millis(millis.get().into())),
            },
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
        let expiry = self.notice_at().or_else(|| self.expires.map(|at| at + limits.expiry_grace));
        [answer, stall, expiry].into_iter().flatten().fold(self.next_ping, Time::min)
    }
}

/// A tenth of what is left of the token, in whole seconds, at least one and at most a minute: time to fetch another one.
fn notice_secs(expires: Option<Time>, now: Time) -> u16 {
    let left = expires.map_or(Duration::ZERO, |at| at.since(now));
    left.as_secs().div_ceil(10).clamp(1, 60) as u16
}

/// The heartbeat interval with its jitter of 10 per cent either way, so that a restart does not leave all sockets
/// beating together. `random` is any 64 bits.
pub(crate) fn jittered(interval: Duration, random: u64) -> Duration {
    let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
    let spread = micros / 5;
    let offset = if spread == 0 { 0 } else { random % spread };
    Duration::from_micros(micros - micros / 10 + offset)
}
