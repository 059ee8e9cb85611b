//! Tries to lock a user out of Lychgate: one vocabulary of steps, driven in simulation and over real sockets.
#![forbid(unsafe_code)]

pub mod client;
pub mod live;
pub mod report;
