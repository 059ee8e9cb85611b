//! Leases whose acquires are timed and counted, and questions to other nodes counted.
//!
//! ```text
//! leases --acquire, ask--> Measured --> the cluster
//!                              '--took, outcome--> metrics
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use lychgate_core::UserId;
use serde_json::Value;

use super::{
    Answer, Audience, Claim, Cluster, Follower, Health, Holder, Holders, Incarnation, LeaseId, Node, Outcome, Question,
    Report, Told,
};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{AcquireOutcome, QuestionOutcome};

/// Around another cluster, which does all the work. What nobody waits for until its end is not counted.
#[derive(Debug)]
pub struct Measured {
    cluster: Arc<dyn Cluster>,
    metrics: Arc<Metrics>,
}

impl Measured {
    /// Tells `metrics` of every acquire and of every question.
    #[must_use]
    pub fn new(cluster: Arc<dyn Cluster>, metrics: Arc<Metrics>) -> Self {
        Self { cluster, metrics }
    }

    fn timed(&self, since: Instant, asked: Answer<Outcome>) -> Answer<Outcome> {
        let metrics = Arc::clone(&self.metrics);
        told(asked, move |outcome| metrics.on_acquire(acquired(outcome), since.elapsed()))
    }
}

/// The same answer, of which `tell` hears.
fn told<T: 'static>(asked: Answer<T>, tell: impl FnOnce(&T) + Send + 'static) -> Answer<T> {
    match asked {
        Answer::Now(answer) => {
            tell(&answer);
            Answer::Now(answer)
        }
        Answer::Later(answer) => Answer::Later(Box::pin(async move {
            let answer = answer.await;
            tell(&answer);
            answer
        })),
    }
}

fn acquired(outcome: &Outcome) -> AcquireOutcome {
    match outcome {
        Outcome::Granted { .. } => AcquireOutcome::Granted,
        Outcome::Denied { .. } => AcquireOutcome::Denied,
        Outcome::Taken { .. } => AcquireOutcome::Taken,
        Outcome::Unknown(_) => AcquireOutcome::Unknown,
    }
}

fn answered(told: &Told) -> QuestionOutcome {
    match told {
        Told::Reports(_) => QuestionOutcome::Reports,
        Told::Silence => QuestionOutcome::Silence,
        Told::NotAsked => QuestionOutcome::NotAsked,
    }
}

impl Cluster for Measured {
    fn new_lease(&self) -> LeaseId {
        self.cluster.new_lease()
    }

    fn acquire(&self, claim: Claim, victims: &[Holder]) -> Answer<Outcome> {
        let since = Instant::now();
        self.timed(since, self.cluster.acquire(claim, victims))
    }

    fn keep(&self, claim: Claim) {
        self.cluster.keep(claim);
    }

    fn release(&self, user: &UserId, lease: LeaseId) {
        self.cluster.release(user, lease);
    }

    fn ask(&self, user: UserId, of: Incarnation) -> Answer<Told> {
        let metrics = Arc::clone(&self.metrics);
        told(self.cluster.ask(user, of), move |told| metrics.on_question(answered(told)))
    }

    fn reply(&self, question: Question, reports: Vec<Report>) {
        self.cluster.reply(question, reports);
    }

    fn tell(&self, audience: Audience, what: Value) {
        self.cluster.tell(audience, what);
    }

    fn post(&self, note: Value) {
        self.cluster.post(note);
    }

    fn holders(&self, user: UserId) -> Answer<Holders> {
        self.cluster.holders(user)
    }

    fn health(&self) -> Health {
        self.cluster.health()
    }

    fn nodes(&self) -> Vec<Node> {
        self.cluster.nodes()
    }

    fn answered(&self) -> Option<Duration> {
        self.cluster.answered()
    }

    fn leases(&self) -> usize {
        self.cluster.leases()
    }

    fn incarnation(&self) -> Incarnation {
        self.cluster.incarnation()
    }

    fn follow(&self, follower: Arc<dyn Follower>) {
        self.cluster.follow(follower);
    }

    fn leave(&self) -> Answer<()> {
        self.cluster.leave()
    }
}
