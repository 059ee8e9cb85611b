//! Integration tests: real sockets, real tasks, one binary.

mod listener;
mod ws;
