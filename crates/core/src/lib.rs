//! (contract to come)
#![forbid(unsafe_code)]

pub mod context;
pub mod gate;
pub mod id;
pub mod limits;
pub mod liveness;
pub mod reclaim;
pub mod refusal;
pub mod timer;

pub use context::{Entropy, Origin, SessionContext, WebSocketRequest};
pub use gate::Gate;
pub use gate::io::{
    AdmissionPath, End, Event, Heartbeat, Input, Manner, Output, PingOutcome, Resume, Sign, WriteProgress,
};
pub use id::{ClientId, ConnectionId, IdError, RequestId, RunId, SessionKey, ThreadId, UserId};
pub use limits::{LimitError, LimitSpec, Limits, Pressure, Usage};
pub use liveness::{Evidence, Liveness, ZombieKind};
pub use reclaim::ReclaimLevel;
pub use refusal::{EvictReason, Refusal};
pub use timer::Time;
