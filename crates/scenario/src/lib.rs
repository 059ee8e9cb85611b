//! Tries to lock a user out of Lychgate: one vocabulary of steps, driven in simulation and over real sockets.
//!
//! ```text
//!   generate --+                     +--> sim: virtual time, one gate, thousands of plans a second
//!              +--> plan: [step ...] |
//!   plans/*.plan                     +--> oracle <-- model: what an observer can say
//!
//!   live plans ----> client: real sockets, tokens and faults against a running gateway ----> report
//!   nodes: faults of several gateways and their Redis --^
//! ```
#![forbid(unsafe_code)]

pub mod client;
pub mod forecast;
pub mod generate;
pub mod live;
pub mod model;
pub mod nodes;
pub mod oracle;
pub mod plan;
pub mod random;
pub mod report;
pub mod sim;
pub mod step;
