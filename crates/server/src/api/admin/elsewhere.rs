//! The other nodes, for what operators do on one of them.

use std::pin::Pin;

use lychgate_core::lease::{ForeignNode, ForeignReport};
use lychgate_core::reclaim::Standing;
use lychgate_core::{EvictReason, ReclaimLevel, SessionKey, ThreadId, UserId};

use super::Control;
use super::lent::Lending;
use super::revoke::all_of;
use crate::auth::{Revocation, RevokeError};
use crate::wire::admin::SessionElsewhere;
use crate::wire::millis;

/// What other nodes have to be asked for.
pub type Asked<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the routes want of the other nodes.
pub trait Elsewhere: Send + Sync + 'static {
    /// Tells every node of a revocation, those that come later, too. Does not wait.
    fn revoked(&self, withdrawal: Withdrawal);

    /// Tells every node of an order about a limit, those that come later, too. Does not wait.
    fn lent(&self, lending: &Lending);

    /// Ends sessions on their nodes: those of the user in these threads. A hint, which a node that cannot hear misses.
    fn end(&self, keys: &[SessionKey]);

    /// Whether what is published here is read there.
    fn shares_threads(&self) -> bool;

    /// In which threads the user has sessions on other nodes, as far as that can be told at once.
    fn threads(&self, user: UserId) -> Asked<Vec<ThreadId>>;

    /// Which other nodes that live have sessions of the user, each once; none where nobody can tell.
    fn nodes(&self, user: UserId) -> Asked<Option<Vec<Peer>>>;

    /// The user's sessions on other nodes that live, each as its node says within a second that it is; none where nobody can
    /// tell.
    fn sessions(&self, user: UserId) -> Asked<Option<Vec<Foreign>>>;

    /// Has another node reclaim this user's sessions as far as `level` goes, by what it knows of them. A hint, which it follows
    /// once, and misses where it cannot hear.
    fn reclaim(&self, peer: &Peer, user: &UserId, level: ReclaimLevel);
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which; written as 16 hexadecimal digits it is its incarnation.
    pub node: ForeignNode,
    /// As its operator named it.
    pub name: String,
}

/// A session on another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Where it is.
    pub peer: Peer,
    /// Which conversation it shows.
    pub thread: ThreadId,
    /// How it is; none where its node did not say so in time.
    pub report: Option<ForeignReport>,
}

impl From<Foreign> for SessionElsewhere {
    fn from(foreign: Foreign) -> Self {
        let Foreign { peer, thread, report } = foreign;
        let liveness = |standing| match standing {
            Standing::Gone { .. } => "gone",
            Standing::Detached => "detached",
            Standing::Suspect => "suspect",
            Standing::Alive => "alive",
        };
        Self {
            node: peer.name,
            incarnation: format!("{:016x}", peer.node.0),
            thread: thread.as_str().to_owned(),
            liveness: report.map(|report| liveness(report.standing).to_owned()),
            health: report.map(|report| report.health),
            unused_for: report.map(|report| millis(report.idle)),
            protected: report.map(|report| report.protected),
        }
    }
}

/// A revocation, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// What is revoked, with its times.
    pub revocation: Revocation,
    /// Whether everything of that user ends, what lingers without a connection as well.
    pub ends_all: bool,
    /// What those who are closed are told.
    pub reason: EvictReason,
}

/// A node by itself.
#[derive(Debug)]
pub(super) struct Nowhere;

impl Elsewhere for Nowhere {
    fn revoked(&self, _: Withdrawal) {}

    fn lent(&self, _: &Lending) {}

    fn end(&self, _: &[SessionKey]) {}

    fn shares_threads(&self) -> bool {
        false
    }

    fn threads(&self, _: UserId) -> Asked<Vec<ThreadId>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn nodes(&self, _: UserId) -> Asked<Option<Vec<Peer>>> {
        Box::pin(std::future::ready(Some(Vec::new())))
    }

    fn sessions(&self, _: UserId) -> Asked<Option<Vec<Foreign>>> {
        Box::pin(std::future::ready(Some(Vec::new())))
    }

    fn reclaim(&self, _: &Peer, _: &UserId, _: ReclaimLevel) {}
}

impl Control {
    /// An operator of another node revoked something. What is known already closes nobody once more: it may be told years
    /// later, to a node that starts.
    ///
    /// # Errors
    /// It could not be written down, and nothing was revoked.
    pub async fn on_revoked(&self, withdrawal: Withdrawal) -> Result<(), RevokeError> {
        let Withdrawal { revocation, ends_all, reason } = withdrawal;
        let recorded = self.doorkeeper.revoke(revocation).await?;
        if recorded.is_new {
            let all_of = all_of(&recorded.revocation.what).filter(|_| ends_all);
            tracing::info!(
                event = "operator.elsewhere",
                action = "revoke",
                "an operator of another node revoked something"
            );
            // What could not be closed is logged there; no door takes it any more.
            let _ = self.close_revoked(all_of, reason).await;
        }
        Ok(())
    }

    /// What is revoked on this node and still counts.
    #[must_use]
    pub fn revocations(&self) -> Vec<Revocation> {
        self.doorkeeper.revocations()
    }

    /// An operator of another node wants this user's sessions reclaimed. Of the living, `force` takes one.
    pub async fn on_reclaim(&self, user: UserId, level: ReclaimLevel) {
        let reclaim = move |driver: &crate::driver::Driver| {
            let evicted = driver.reclaim(&user, level).len();
            let level = level.as_str();
            tracing::info!(
                event = "operator.elsewhere", action = "reclaim", %user, level, evicted,
                "an operator of another node wants a user's sessions reclaimed"
            );
        };
        let _ = self.steer(reclaim).await;
    }

    /// The user's sessions on other nodes as JSON, and whether nobody could tell, or too many ask.
    pub(super) async fn sessions_elsewhere(&self, user: &UserId) -> (Vec<SessionElsewhere>, bool) {
        let Ok(_permit) = self.looks_elsewhere.try_acquire() else { return (Vec::new(), true) };
        match self.elsewhere.sessions(user.clone()).await {
            Some(sessions) => (sessions.into_iter().map(SessionElsewhere::from).collect(), false),
            None => (Vec::new(), true),
        }
    }

    /// An operator of another node ended these sessions. One that is not here is nobody's.
    pub async fn on_ended(&self, keys: Vec<SessionKey>) {
        let ended = move |driver: &crate::driver::Driver| {
            for key in keys.iter().filter(|key| driver.end(key, EvictReason::ByAdmin)) {
                tracing::info!(event = "operator.elsewhere", action = "evict", %key, "an operator of another node ended a session");
            }
        };
        let _ = self.steer(ended).await;
    }
}
