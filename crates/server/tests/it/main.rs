//! Integration tests: real sockets, real tasks, one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, here and now")]

mod listener;
mod ws;
