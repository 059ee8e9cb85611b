//! The other nodes, for what operators do on one of them.

use std::pin::Pin;

use lychgate_core::{EvictReason, SessionKey, ThreadId, UserId};

use super::Control;
use super::lent::Lending;
use super::revoke::all_of;
use crate::auth::{Revocation, RevokeError};

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
    fn threads(&self, user: UserId) -> Pin<Box<dyn Future<Output = Vec<ThreadId>> + Send>>;
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

    fn threads(&self, _: UserId) -> Pin<Box<dyn Future<Output = Vec<ThreadId>> + Send>> {
        Box::pin(std::future::ready(Vec::new()))
    }
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
