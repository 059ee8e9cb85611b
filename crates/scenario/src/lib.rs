//! Tries to lock a user out of Lychgate: one vocabulary of steps, driven in simulation and over real sockets.
//!
//! ```text
//!   generate --+                     +--> sim: virtual time, one gate, thousands of plans a second
//!              +--> plan: [step ...] |
//!   plans/*.plan                     +--> oracle <-- model: what an observer can say
//! ```
#![forbid(unsafe_code)]

pub mod generate;
pub mod model;
pub mod oracle;
pub mod plan;
pub mod random;
pub mod sim;
pub mod step;
