//! Many nodes and one Redis, in virtual time: real gates and the real ledger, a model of the scripts and of what lies between.
//!
//! ```text
//!   plan --> world: tabs, seats with clocks, cables --+--> node: Gate, Ledger, heart, clerk, admit, talk
//!                 |                                   '--> server: data, scripts; slow, hung, killed, flushed
//!                 '--> oracle: every promise of docs/cluster.md, after every event --> the plan that broke one, made small
//! ```
//!
//! What is real: `lychgate_core::Gate`, and `cluster::redis::ledger`. What is written again here, line by line: the scripts
//! (`lua/`), and the tasks around them (`heart`, `clerk`, `ear`, `talk`, `admit`, `app/leases.rs`), which want a runtime and a
//! socket. `crates/leases-model` tries every state of a small world; this tries long histories of a large one.
//!
//! A seed gives one plan, one plan one history, byte for byte.

mod act;
mod admit;
mod chance;
mod clerk;
mod command;
mod heart;
mod mistake;
mod network;
mod node;
mod oracle;
pub mod page;
mod plan;
mod redis;
mod run;
mod server;
mod talk;
mod world;

pub use chance::generate;
pub use command::{STEPS, command};
pub use mistake::Mistake;
pub use oracle::{Rule, Tally, Violation};
pub use plan::{NoPlan, Plan, Remains, Step, Tab};
pub use run::{Outcome, play, tell};
