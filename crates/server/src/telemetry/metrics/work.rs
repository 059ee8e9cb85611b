//! What runs, agents, the journal, the leases and the doors did, counted.

use std::time::Duration;

use super::words::LOGINS;
use super::{AcquireOutcome, AgentOutcome, AppendOutcome, Metrics, QuestionOutcome, RunOutcome};

impl Metrics {
    /// A run ended, so long after it was started.
    pub fn on_run(&self, outcome: RunOutcome, took: Duration) {
        self.instruments.run_seconds.observe_of(&[outcome.as_str()], took.as_secs_f64());
    }

    /// An agent's answer ended. `agent` is its name in the configuration that these metrics were made with.
    pub fn on_agent_run(&self, agent: &str, outcome: AgentOutcome) {
        self.instruments.agent_runs.inc_of(&[agent, outcome.as_str()]);
    }

    /// An agent's answer began, so long after it was asked.
    pub fn on_first_event(&self, agent: &str, took: Duration) {
        self.instruments.agent_first_event_seconds.observe_of(&[agent], took.as_secs_f64());
    }

    /// The journal answered an append after so long.
    pub fn on_append(&self, outcome: AppendOutcome, took: Duration) {
        self.instruments.journal_appends.inc_of(&[outcome.as_str()]);
        self.instruments.journal_append_seconds.observe_of(&[], took.as_secs_f64());
    }

    /// A lease was asked for, and that is what became of it after so long.
    pub fn on_acquire(&self, outcome: AcquireOutcome, took: Duration) {
        self.instruments.cluster_acquires.inc_of(&[outcome.as_str()]);
        self.instruments.cluster_acquire_seconds.observe_of(&[], took.as_secs_f64());
    }

    /// Another node was asked how a user's sessions are, there.
    pub fn on_question(&self, outcome: QuestionOutcome) {
        self.instruments.cluster_questions.inc_of(&[outcome.as_str()]);
    }

    /// A token proved nothing; `reason` is the fixed word of `AuthError::as_str`.
    pub fn on_auth_failure(&self, reason: &'static str) {
        self.instruments.auth_failures.inc_of(&[reason]);
    }

    /// Somebody logged in with a browser, or failed to.
    pub fn on_login(&self, has_succeeded: bool) {
        let [done, failed] = LOGINS;
        self.instruments.logins.inc_of(&[if has_succeeded { done } else { failed }]);
    }

    /// Somebody new was told to come back later: too many came from where he comes from, or the node is overloaded.
    pub fn on_turned_away(&self) {
        self.instruments.turned_away.inc();
    }

    /// A connection was sent so much since it was last counted.
    pub fn on_sent(&self, events: u64, bytes: u64) {
        self.instruments.events_sent.add(events);
        self.instruments.bytes_sent.add(bytes);
    }
}
