//! Decides who may hold a chat session: no I/O, no clock, no randomness, no thread, no runtime.
//!
//! Time and seeds are arguments, outputs are data, so the same seed and the same inputs give the same outputs, in
//! production as in a simulation.
//!
//! # The contract of the driver loop
//!
//! ```text
//!   socket, token, run, timer                            socket, log, metric
//!              |                                                 ^
//!              v                                                 |
//!    lock -> handle_input(now, Input) -> poll_output() until None -> unlock
//!            handle_timeout(now)         (each effect non-blocking)
//!              ^                                  |
//!              '------ sleep until poll_timeout() '
//! ```
//!
//! 1. One lock around one [`Gate`]; gates are sharded by user, and no user is ever in two of them. No await between
//!    the input and the last output: the decision and the record are one step (hazard R2).
//! 2. After every [`Gate::handle_input`] and [`Gate::handle_timeout`], drain [`Gate::poll_output`] in order. An effect
//!    must not block; one that may be slow or fail is started and reports back by an input. The decision stands
//!    whatever becomes of the effect (R4).
//! 3. Call [`Gate::handle_timeout`] when [`Gate::poll_timeout`] falls due, from a thread that a stalled async runtime
//!    cannot stop. Earlier calls are harmless; later ones are reported first as [`Input::Stalled`] with the time in
//!    which we did not run, and then no silence of that time counts (R7, R30).
//! 4. Answer each [`Output::Ping`] with [`Input::PingResult`], and each [`Output::CloseSocket`] with
//!    [`Input::EvictionDone`], [`Input::EvictionFailed`] or [`Input::Disconnect`].
//! 5. Tell the gate of every end of a connection, once: the guard of the connection's task does it on every path (R3).
//!    The gate ignores what it does not know, so a late or double report does no harm.
#![forbid(unsafe_code)]

mod admission;
pub mod breaker;
mod check;
mod connection;
pub mod context;
pub mod explain;
pub mod forecast;
pub mod gate;
pub mod health;
pub mod id;
pub mod lease;
pub mod limits;
pub mod liveness;
pub mod plans;
mod queue;
pub mod reclaim;
pub mod refusal;
pub mod report;
mod session;
pub mod stats;
pub mod timer;
mod user;

pub use breaker::{BreakerState, NodeBreakers, ReclaimStep};
pub use context::{Entropy, Origin, SessionContext, WebSocketRequest};
pub use explain::{Explanation, Feed, Ledger};
pub use forecast::{Foresight, Trend};
pub use gate::Gate;
pub use gate::io::{
    AdmissionPath, Cause, End, Event, Eviction, Heartbeat, Input, Manner, Output, PingOutcome, Resume, Sign,
    WriteProgress,
};
pub use health::Health;
pub use id::{ClientId, ConnectionId, IdError, Proof, RequestId, RunId, SessionKey, ThreadId, UserId};
pub use lease::{Counting, Lease};
pub use limits::{Force, LimitError, LimitSpec, Limits, Mode, Pressure, Usage};
pub use liveness::{Backlog, Evidence, Liveness, ZombieKind};
pub use plans::{PlanId, Plans};
pub use reclaim::ReclaimLevel;
pub use refusal::{EvictReason, Refusal};
pub use report::{ConnectionReport, SessionReport, UserBrief, UserReport};
pub use stats::{Census, TENTHS, WITHIN};
pub use timer::{Time, Until};
pub use user::Worth;
