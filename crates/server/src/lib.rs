//! Lychgate: a WebSocket gateway for AI chat that never locks a user out.
//!
//! The layers, and who may import whom, are in `ARCHITECTURE.md`; `cargo xtask lint` checks them.

pub mod agent;
pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod close;
pub mod cluster;
pub mod config;
pub mod driver;
pub mod error;
pub mod journal;
pub mod listener;
mod outbound;
pub mod outbox;
#[cfg(test)]
mod redis_server;
pub mod run;
pub mod session;
pub mod sink;
pub mod store;
mod sync;
pub mod telemetry;
pub mod whereabouts;
pub mod wire;
pub mod ws;
