//! Integration tests: real sockets, real tasks, one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod listener;
mod ws;
