//! Prints what goes into a gate and what comes out of it, for whoever reads a replayed plan.

use lychgate_core::{Input, Output, Time, UserId};

use crate::sim::world::Subject;
use crate::step::duration_to_text;

/// A gate that is overheard.
#[derive(Debug)]
pub struct Traced<S>(pub S, Time);

impl<S> Traced<S> {
    /// Overhears a gate, on standard output.
    pub fn new(subject: S) -> Self {
        Self(subject, Time::ZERO)
    }

    fn clock(&self) -> String {
        duration_to_text(self.1.since(Time::ZERO))
    }
}

impl<S: Subject> Subject for Traced<S> {
    fn handle_input(&mut self, now: Time, input: Input) {
        self.1 = now;
        println!("{:>12}  -> {input:?}", self.clock());
        self.0.handle_input(now, input);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.1 = now;
        println!("{:>12}  -> a deadline", self.clock());
        self.0.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        let output = self.0.poll_output()?;
        println!("{:>12} <-  {output:?}", self.clock());
        Some(output)
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.0.poll_timeout()
    }

    fn session_count(&self, user: &UserId) -> usize {
        self.0.session_count(user)
    }
}
