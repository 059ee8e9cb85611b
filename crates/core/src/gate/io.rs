//! What goes into the gate and what comes out of it: plain values, no handles.

use std::time::Duration;

use crate::breaker::{BreakerState, ReclaimStep};
use crate::context::SessionContext;
use crate::id::{ConnectionId, RunId, SessionKey, ThreadId, UserId};
use crate::lease::{News, Wish};
use crate::limits::Usage;
use crate::liveness::{Backlog, Evidence, ZombieKind};
use crate::plans::PlanId;
use crate::reclaim::ReclaimLevel;
use crate::refusal::{EvictReason, Refusal};
use crate::timer::Time;

/// What counts as a sign of life on a connection. Nothing that we write ever does (hazard R8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Heartbeat {
    /// Data frames and protocol pongs: for plain clients that know nothing of `ack`.
    #[default]
    Protocol,
    /// Data frames alone, because browsers answer protocol pings for frozen pages (hazard R9).
    Application,
}

/// What was heard from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A data frame.
    Data,
    /// A protocol ping or pong.
    Pong,
    /// An `ack` that says a person sees the page: life, and use of every session open on the connection.
    Visible,
}

/// What became of a ping that the gate ordered: the probe's result as far as we can cause it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingOutcome {
    /// The kernel took it: from now on silence counts (hazard R30).
    Written,
    /// Bytes are waiting before it; it counts once they are written, and then `Written` follows.
    Queued,
    /// The socket is broken.
    Failed,
}

/// Where a client left off; the gate carries it from [`Input::Open`] to [`Output::Opened`] unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The last offset that the client has processed.
    pub after: u64,
    /// The incarnation of the log that it belongs to.
    pub epoch: Box<str>,
}

/// How a connection ended on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed with code 1000: its sessions end at once.
    ClientClosed,
    /// Any other end: FIN, RST, another close code, an error, a panic or an aborted task. Sessions linger.
    Lost,
}

/// One thing that happened. Every variant names its user, because a user is the unit of atomicity.
#[derive(Clone, Debug)]
pub enum Input {
    /// A socket proved who it is. With `prev` it takes over the sessions of that connection, before any limit.
    Connect {
        /// The verified user.
        user: UserId,
        /// The new connection.
        connection: ConnectionId,
        /// The connection that it replaces.
        prev: Option<ConnectionId>,
        /// What counts as life on it.
        heartbeat: Heartbeat,
        /// When its token expires.
        expires: Option<Time>,
        /// The plan that its token names; the newest token decides for the whole user.
        plan: PlanId,
    },
    /// A connection asks for a session.
    Open {
        /// Whose, which thread, on which connection.
        context: SessionContext,
        /// The client's name for this open: the same one again is the same open.
        reference: Option<Box<str>>,
        /// Where the client left off.
        resume: Option<Resume>,
    },
    /// A connection lets a session go.
    Leave {
        /// Whose.
        user: UserId,
        /// On which connection.
        connection: ConnectionId,
        /// Which thread.
        thread: ThreadId,
    },
    /// A connection ended on its own. Unknown connections are ignored: the gate may have dropped it first.
    Disconnect {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// How.
        end: End,
    },
    /// A connection spoke.
    Heard {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// What was heard.
        sign: Sign,
    },
    /// A ping that was ordered was written, or not.
    PingResult {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// What became of it.
        outcome: PingOutcome,
        /// What waited before it.
        backlog: Backlog,
    },
    /// Bytes wait for the kernel (`true` since now), or the kernel took some or all of them.
    Backlog {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// What changed.
        progress: WriteProgress,
    },
    /// A run began on a thread; its session is protected, and was used.
    RunStarted {
        /// The thread's session, whether it is open or not.
        key: SessionKey,
        /// Which run.
        run: RunId,
    },
    /// A run ended.
    RunEnded {
        /// The thread's session.
        key: SessionKey,
        /// Which run.
        run: RunId,
    },
    /// A person used a session: a run was sent or stopped.
    Used {
        /// Which.
        key: SessionKey,
    },
    /// A connection brought a new token.
    Renew {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// When the new token expires.
        expires: Option<Time>,
        /// The plan that the new token names.
        plan: PlanId,
    },
    /// A connection has to go: its token was revoked, an operator asked, or an address or the node is full.
    Expel {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: EvictReason,
    },
    /// The socket of a connection that the gate closed is gone.
    EvictionDone {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
    },
    /// The socket of a connection that the gate closed could not be closed.
    EvictionFailed {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
    },
    /// We ourselves did not run, or our runtime did not: for so long, no silence is held against anybody.
    Stalled {
        /// How long.
        lag: Duration,
    },
    /// From now on nobody is admitted who is not here; whoever asks is told to come back after `retry_in`.
    Drain {
        /// When to come back.
        retry_in: Duration,
    },
    /// An operator, or the user himself from elsewhere, ends a session: it says `closed` on every connection that it has,
    /// and those that show nothing else are closed.
    End {
        /// Which.
        key: SessionKey,
        /// Why.
        reason: EvictReason,
    },
    /// An operator has this user's sessions reclaimed, at once or, where `level` asks everybody first, when they answered.
    /// What `level` reaches goes, all of it; of the living, [`ReclaimLevel::Force`] takes one.
    Reclaim {
        /// Whose.
        user: UserId,
        /// How far to go.
        level: ReclaimLevel,
    },
    /// Of other nodes.
    News(News),
    /// An operator lends this user another limit on sessions, or takes it back (none). A limit that falls evicts nobody by
    /// itself. One that would contradict the user's other limits is ignored.
    Lend {
        /// Whose.
        user: UserId,
        /// The limit.
        sessions: Option<usize>,
        /// For how long.
        lasting: Duration,
    },
}

/// How far the kernel took what we wanted to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteProgress {
    /// It takes no more; bytes wait.
    Blocked,
    /// It took some; bytes still wait.
    Moved,
    /// Nothing waits any more.
    Cleared,
}

/// Which way an open was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdmissionPath {
    /// The session was there already.
    Attach,
    /// The session had been moved to this connection by `prev`.
    Takeover,
    /// A slot was free.
    Free,
    /// A slot was reclaimed at this level.
    Reclaimed(ReclaimLevel),
    /// Every session was protected: a slot of the reserve.
    Reserve,
    /// Every session was protected and the reserve was taken: it waited in the queue.
    Queue,
    /// The limit only tells ([`crate::limits::Mode::Shadow`]): it would have had to make room.
    Shadow,
}

impl AdmissionPath {
    /// Every way.
    pub const ALL: [Self; 10] = [
        Self::Free,
        Self::Attach,
        Self::Takeover,
        Self::Reclaimed(ReclaimLevel::Conservative),
        Self::Reclaimed(ReclaimLevel::Moderate),
        Self::Reclaimed(ReclaimLevel::Aggressive),
        Self::Reclaimed(ReclaimLevel::Force),
        Self::Reserve,
        Self::Queue,
        Self::Shadow,
    ];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Takeover => "takeover",
            Self::Free => "free",
            Self::Reclaimed(level) => level.as_str(),
            Self::Reserve => "reserve",
            Self::Queue => "queue",
            Self::Shadow => "shadow",
        }
    }
}

/// How a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// With a close frame and its handshake, under a deadline.
    Handshake,
    /// At once: nobody waits for it (hazard R29).
    Abort,
    /// At once: the peer was found dead in this way. Should it have spoken before the socket was gone, the verdict was wrong
    /// (hazard R7): [`Event::VerdictDisproved`].
    Bury(ZombieKind),
}

/// Why exactly a session had to go, for its user, the log and the record of decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// How far reclaim had to go.
    pub level: ReclaimLevel,
    /// What was known of its best connection.
    pub evidence: Evidence,
}

/// What a session was reclaimed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A session of the same user on this thread, which needed the slot.
    Newcomer(ThreadId),
    /// The user was above a watermark; nobody waited for the slot.
    Pressure,
    /// An operator, or a rule of his, ordered it.
    Order,
    /// A session of the same user on another node, which needed the slot.
    OtherNode,
}

/// One thing to do or to tell. Effects may fail; the decision stands.
#[derive(Clone, Debug)]
pub enum Output {
    /// Say hello: the connection is registered.
    Connected {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// The connection that it replaced; its sessions wait for `open` until the linger ends.
        superseded: Option<ConnectionId>,
        /// When its token expires.
        expires: Option<Time>,
        /// The user's sessions against his limit.
        usage: Usage,
    },
    /// Say opened: the connection is attached to the session.
    Opened {
        /// All ids. The thread may differ from the one asked for: see [`Input::Open`]'s `reference`.
        context: SessionContext,
        /// The client's name for this open.
        reference: Option<Box<str>>,
        /// Where the client left off.
        resume: Option<Resume>,
        /// How it was admitted.
        path: AdmissionPath,
        /// From `open` until now.
        waited: Duration,
        /// The user's sessions against his limit.
        usage: Usage,
    },
    /// Say closed: the connection is attached to the session no longer.
    Closed {
        /// Which session.
        key: SessionKey,
        /// Which connection.
        connection: ConnectionId,
        /// The client's name for the open that attached it: whoever was evicted before his `opened` arrived knows
        /// which open it was.
        reference: Option<Box<str>>,
        /// Why.
        reason: EvictReason,
        /// Whether the session itself ended; otherwise only this connection left it.
        session_ended: bool,
        /// Where the session was reclaimed: at which level and on what evidence.
        eviction: Option<Eviction>,
    },
    /// Say queued: every session is protected and the reserve is taken. Said again whenever the position changes.
    Queued {
        /// Which session it asks for.
        key: SessionKey,
        /// On which connection.
        connection: ConnectionId,
        /// The client's name for this open.
        reference: Option<Box<str>>,
        /// 1 is next.
        position: usize,
        /// Until it is served at the latest.
        deadline: Duration,
    },
    /// The connection is attached to the session no longer, and nobody is told: it is gone itself, or its successor
    /// holds the session.
    Detached {
        /// Which session.
        key: SessionKey,
        /// Which connection.
        connection: ConnectionId,
    },
    /// Answer an open, or a connect (`thread` is none), with a refusal.
    Refused {
        /// Whose.
        user: UserId,
        /// On which connection.
        connection: ConnectionId,
        /// The thread that was asked for.
        thread: Option<ThreadId>,
        /// The client's name for this open.
        reference: Option<Box<str>>,
        /// Why, and when to come back.
        refusal: Refusal,
    },
    /// Write a ping frame and a protocol ping; answer with [`Input::PingResult`].
    Ping {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
    },
    /// Close the socket; answer with [`Input::EvictionDone`] or [`Input::EvictionFailed`]. The record is gone already.
    CloseSocket {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: EvictReason,
        /// How.
        manner: Manner,
    },
    /// Tell the connection where its user stands: the band changed, or the reserve opened or closed.
    Limit {
        /// Which.
        connection: ConnectionId,
        /// The user's sessions against his limit.
        usage: Usage,
    },
    /// Tell the connection that its token expires, once for each token: a minute before, or a tenth of its time if that
    /// is shorter.
    Expiring {
        /// Which.
        connection: ConnectionId,
        /// Until then; zero where it has expired already.
        expires_in: Duration,
    },
    /// Something that is wanted of other nodes.
    Wish(Wish),
    /// Something worth a line in the log and a metric.
    Event(Event),
}

/// A change that an operator wants to see.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A session came into being.
    SessionCreated {
        /// Which.
        key: SessionKey,
        /// For which connection.
        connection: ConnectionId,
        /// How it was admitted.
        path: AdmissionPath,
        /// From `open` until now.
        waited: Duration,
        /// When its open came, the user held as many sessions as a limit in force allows, and none of them was the one
        /// asked for: whoever only checks and refuses would have locked him out. The path does not say so: a slot may
        /// come free by itself while an open waits for a probe.
        was_full: bool,
    },
    /// A connection was attached to a session that was there already.
    SessionAttached {
        /// Which.
        key: SessionKey,
        /// Which connection.
        connection: ConnectionId,
        /// How.
        path: AdmissionPath,
        /// From `open` until now: an open of a thread that another one waits for waits with it.
        waited: Duration,
    },
    /// A session lost its last connection and lingers.
    SessionLingers {
        /// Which.
        key: SessionKey,
    },
    /// A session ended on its own account.
    SessionReleased {
        /// Which.
        key: SessionKey,
        /// Why.
        reason: EvictReason,
    },
    /// A session was reclaimed.
    SessionEvicted {
        /// Which.
        key: SessionKey,
        /// Why, as its user is told.
        reason: EvictReason,
        /// At which level, and on what evidence.
        eviction: Eviction,
        /// For whom.
        cause: Cause,
    },
    /// Reclaim went to work on a user at one level: inside an admission, in the background, or by hand. Told once for each
    /// step of the gate and level, when the step ends; for [`ReclaimLevel::Aggressive`] that is when everybody has answered,
    /// or the time to is over. A level that the ladder did not come to is not told.
    Reclaimed {
        /// Whose sessions.
        user: UserId,
        /// At which level.
        level: ReclaimLevel,
        /// How many it evicted; zero where the level found nobody whom it may take.
        freed: usize,
    },
    /// A question of a probe could not be written: a step of [`ReclaimLevel::Aggressive`] that failed.
    ProbeFailed {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
    },
    /// A connection that was called dead had shown that it is not, before its socket was gone (hazard R7). The driver tells
    /// it: see [`Manner::Bury`].
    VerdictDisproved {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// What it had been called.
        kind: ZombieKind,
    },
    /// A connection was registered.
    Connected {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// Which one it replaced.
        superseded: Option<ConnectionId>,
    },
    /// A connection left the count.
    Disconnected {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// Why; none when it ended on its own.
        reason: Option<EvictReason>,
    },
    /// A connection is dead; it is about to leave the count.
    Zombie {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// In which way.
        kind: ZombieKind,
        /// What proved it.
        evidence: Evidence,
    },
    /// In [`crate::limits::Mode::Shadow`]: a session that the limit would have had evicted.
    WouldEvict {
        /// Which.
        key: SessionKey,
        /// How far reclaim would have had to go, and on what evidence.
        eviction: Eviction,
    },
    /// In [`crate::limits::Mode::Shadow`]: every session is protected, and an open would have had to take a slot of the
    /// reserve or to wait.
    WouldWait {
        /// Which session it asked for.
        key: SessionKey,
    },
    /// An open stands in the queue.
    Queued {
        /// Which session it asks for.
        key: SessionKey,
        /// 1 is next.
        position: usize,
    },
    /// A breaker moved.
    Breaker {
        /// Whose; none for the node's.
        user: Option<UserId>,
        /// Round which step.
        step: ReclaimStep,
        /// Where to.
        state: BreakerState,
    },
    /// A broken invariant was found in a running gate, and repaired: a defect of this crate or of its driver.
    Repaired {
        /// Whose record.
        user: UserId,
        /// What did not hold.
        broken: &'static str,
    },
    /// The user moved into another band.
    Pressure {
        /// Whose.
        user: UserId,
        /// Where he stands now.
        usage: Usage,
    },
    /// An open has to wait for a probe.
    Waiting {
        /// Which session it asks for.
        key: SessionKey,
        /// On which connection.
        connection: ConnectionId,
    },
    /// Somebody was refused.
    Refused {
        /// Whose.
        user: UserId,
        /// On which connection.
        connection: ConnectionId,
        /// The thread that was asked for; none where a connection was refused.
        thread: Option<ThreadId>,
        /// Why.
        refusal: Refusal,
        /// From `open` until now; nothing where a connection was refused.
        waited: Duration,
    },
    /// A close was not confirmed in time; the socket is torn down.
    CloseUnconfirmed {
        /// Whose.
        user: UserId,
        /// Which.
        connection: ConnectionId,
        /// The level of reclaim that closed it: a step of it that failed; none where it was closed for another reason.
        level: Option<ReclaimLevel>,
    },
}
