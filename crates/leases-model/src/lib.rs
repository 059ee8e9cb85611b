//! The lease protocol of many nodes and one limit as a model, checked exhaustively, and with mistakes that must be found.
//!
//! ```text
//!            Ask, Assert, Release                 run: one script, one step
//!   nodes ------------------------> flights ------------------------> Redis: held, tombstones, node table, generation
//!     ^  ^                            | answer, late, lost              |
//!     |  '----------------------------'                                 | a lease was taken
//!     '------------------------------- notices <------------------------'
//!
//!   every state --> the promises about it, and about what becomes of it if nothing goes wrong any more (`heal`)
//! ```
//!
//! # What is in it
//!
//! One user, since nothing in the protocol joins two; two or three nodes, up to five sessions. [`bounds::Fault`] lists what
//! goes wrong. Redis keeps time in ticks; a node has no clock that it could compare with it. A tick is a renewal period
//! and the deadline of a command, so time waits for whoever runs and reaches Redis: his commands are answered or
//! timed out, and he has renewed at least once in two ticks.
//!
//! # What is promised, and the slack
//!
//! The promises are the constants of [`promise`]. What is served may exceed the limit only by
//!
//! ```text
//!   served <= limit + unknown + untold + lost           and always, per node: served - untold <= limit
//!
//!   unknown   admitted by the local limit while Redis did not answer that node, until a session of them ends
//!   untold    taken, and the word has not reached the node: a round trip; for one that is stopped or cut off, until its
//!             first renewal after that
//!   lost      takes and grants that a flush, a failover or a restart lost, until a session of them ends
//! ```
//!
//! so never more than `nodes x limit` that were not taken, that is `(nodes - 1) x limit` above the limit (with the reserve
//! in both where one is open). The checker finds states in which that many are served: the bound is tight. No grant of
//! Redis ever adds to it; nobody is evicted for it.
//!
//! # What is not in it
//!
//! The expiry of tombstones (they must outlive every late command) and of the user's keys. The epoch: reading a tombstone
//! of the very lease stands for reading a higher epoch. Two primaries at once. More than one shard of a Redis Cluster: a
//! failover of one is a failover here. Choosing the victim: any choice is tried.
//!
//! # Why a crate
//!
//! It depends on nothing of ours and nothing depends on it. It visits millions of states, so the dev profile compiles it,
//! and it alone, with optimisation; and stateright, which brings a web server, stays out of what core and xtask build.
#![forbid(unsafe_code)]

pub mod action;
pub mod bounds;
mod heal;
pub mod ids;
pub mod mutant;
pub mod promise;
pub mod protocol;
pub mod redis;
mod step;
pub mod world;
