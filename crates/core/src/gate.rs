//! (to come)
use crate::limits::Limits;
use crate::timer::Time;
pub mod io;
use io::{Input, Output};

/// The gate.
#[derive(Debug)]
pub struct Gate {}

impl Gate {
    /// An empty gate. The seed spreads hashes and jitter.
    #[must_use]
    pub fn new(_limits: Limits, _seed: u64) -> Self {
        Self {}
    }
    /// Takes one input; drain the outputs after it.
    pub fn handle_input(&mut self, _now: Time, _input: Input) {}
    /// Lets deadlines pass.
    pub fn handle_timeout(&mut self, _now: Time) {}
    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }
    /// When to call [`Gate::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        None
    }
    /// Sessions that the user holds.
    #[must_use]
    pub fn session_count(&self, _user: &crate::id::UserId) -> usize {
        0
    }
}
