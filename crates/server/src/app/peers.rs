//! What operators do on one node, on the others: told by a hint where it matters now, posted where it matters for good.
//!
//! ```text
//! Control --revoked, lent--> board of all nodes --> on_revoked, on_lent (each node, whenever it comes)
//!         --end------------> hint to all -------->  on_ended            (each node that hears)
//!         --reclaim--------> hint to one -------->  on_reclaim          (once)
//!         --sessions-------> holders, then a question to each of their nodes
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use lychgate_core::lease::ForeignNode;
use lychgate_core::{ConnectionId, EvictReason, ReclaimLevel, SessionKey, ThreadId, UserId};
use serde_json::Value;
use tokio::sync::SetOnce;
use tokio::time::sleep;

use self::said::Posted;
use super::leases::foreign;
use crate::api::{Asked, Control, Elsewhere, Foreign, Lending, Peer, Withdrawal};
use crate::auth::RevokeError;
use crate::cluster::{Answer, Audience, Cluster, Holder, Incarnation, Told};
use crate::driver::random_bits;

mod said;

pub(super) use said::{Heard, hint};

/// Tries to write down what another node revoked, and the pause between them.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Orders to reclaim that are remembered, so that one that comes twice is followed once.
const MAX_ORDERS: usize = 64;

/// See the module.
pub(super) struct Peers {
    cluster: Arc<dyn Cluster>,
    runtime: tokio::runtime::Handle,
    shares_journal: bool,
    /// Comes with the listeners; what is on the board waits for it.
    control: SetOnce<Weak<Control>>,
    /// The last orders to reclaim.
    orders: Mutex<VecDeque<u64>>,
}

impl Peers {
    pub(super) fn new(cluster: Arc<dyn Cluster>, runtime: tokio::runtime::Handle, shares_journal: bool) -> Arc<Self> {
        Arc::new(Self { cluster, runtime, shares_journal, control: SetOnce::new(), orders: Mutex::default() })
    }

    /// Begins.
    pub(super) fn attend(&self, control: &Arc<Control>) {
        let _ = self.control.set(Arc::downgrade(control));
    }

    /// Ends sessions that an operator of another node named.
    pub(super) fn ended(&self, keys: Vec<SessionKey>) {
        if let Some(control) = self.control.get().and_then(Weak::upgrade) {
            self.runtime.spawn(async move { control.on_ended(keys).await });
        }
    }

    /// Reclaims what an operator of another node wants reclaimed, once for each number.
    pub(super) fn reclaim(&self, user: UserId, level: ReclaimLevel, number: u64) {
        if !note(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner), number) {
            return;
        }
        if let Some(control) = self.control.get().and_then(Weak::upgrade) {
            self.runtime.spawn(async move { control.on_reclaim(user, level).await });
        }
    }

    /// Called under the lock of a shard; does not wait.
    pub(super) fn supersede(&self, user: &UserId, connection: ConnectionId) {
        self.cluster.tell(Audience::All, said::superseded(user, connection));
    }

    pub(super) fn posted(self: &Arc<Self>, note: Value) -> Answer<()> {
        let Some(posted) = said::note(note) else {
            tracing::warn!(
                "a note on the board of the nodes cannot be read: a node of a later version may have put it there"
            );
            return Answer::Now(());
        };
        let peers = Arc::clone(self);
        Answer::Later(Box::pin(async move {
            let control = peers.control.wait().await;
            match posted {
                Posted::Revoked(withdrawal) => revoke(control, withdrawal).await,
                Posted::Lent(lending) => {
                    if let Some(control) = control.upgrade() {
                        control.on_lent(lending).await;
                    }
                }
            }
        }))
    }

    /// What was revoked or lent while the others could not be told, or before the store lost its data.
    pub(super) fn caught_up(self: &Arc<Self>) {
        let peers = Arc::clone(self);
        self.runtime.spawn(async move {
            let Some(control) = peers.control.wait().await.upgrade() else { return };
            for revocation in control.revocations() {
                peers.revoked(Withdrawal { revocation, ends_all: false, reason: EvictReason::Revoked });
            }
            control.lendings().iter().for_each(|lending| peers.lent(lending));
        });
    }
}

/// Whether this one is new.
fn note(orders: &mut VecDeque<u64>, number: u64) -> bool {
    let is_new = !orders.contains(&number);
    if is_new {
        orders.truncate(MAX_ORDERS - 1);
        orders.push_front(number);
    }
    is_new
}

/// Who holds the user's places on other nodes; none where nobody can tell. What a dead node held is nobody's.
async fn held_elsewhere(cluster: &dyn Cluster, user: UserId) -> Option<Vec<(Peer, Holder)>> {
    let holders = cluster.holders(user).wait().await;
    if !holders.is_all {
        return None;
    }
    let (nodes, me) = (cluster.nodes(), cluster.incarnation());
    let peer = |holder: Holder| {
        let node = nodes.iter().find(|node| node.incarnation == holder.node && node.incarnation != me)?;
        Some((Peer { node: ForeignNode(node.incarnation.0), name: node.name.clone() }, holder))
    };
    Some(holders.known.into_iter().filter_map(peer).collect())
}

/// The nodes among them, each once.
fn nodes_of(held: &[(Peer, Holder)]) -> Vec<Peer> {
    let mut peers: Vec<Peer> = held.iter().map(|(peer, _)| peer.clone()).collect();
    peers.sort_by(|one, other| (&one.name, one.node).cmp(&(&other.name, other.node)));
    peers.dedup();
    peers
}

async fn revoke(control: &Weak<Control>, withdrawal: Withdrawal) {
    for tried in 1..=TRIES {
        let Some(control) = control.upgrade() else { return };
        match control.on_revoked(withdrawal.clone()).await {
            Ok(()) => return,
            Err(error @ (RevokeError::Full | RevokeError::TooLong(_))) => return not_revoked(&error),
            Err(error) if tried == TRIES => return not_revoked(&error),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

fn not_revoked(error: &RevokeError) {
    tracing::error!(%error, "what was revoked on another node still counts on this one: revoke it here, too");
}

impl Elsewhere for Peers {
    fn revoked(&self, withdrawal: Withdrawal) {
        said::revoked(withdrawal).into_iter().for_each(|note| self.cluster.post(note));
    }

    fn lent(&self, lending: &Lending) {
        self.cluster.post(said::lent(lending));
    }

    fn end(&self, keys: &[SessionKey]) {
        said::ended(keys).into_iter().for_each(|hint| self.cluster.tell(Audience::All, hint));
    }

    fn shares_threads(&self) -> bool {
        self.shares_journal
    }

    fn threads(&self, user: UserId) -> Asked<Vec<ThreadId>> {
        let (asked, me) = (self.cluster.holders(user), self.cluster.incarnation());
        Box::pin(async move {
            let others = asked.wait().await.known.into_iter().filter(|holder| holder.node != me);
            others.map(|holder| holder.facts.thread).collect()
        })
    }

    fn nodes(&self, user: UserId) -> Asked<Option<Vec<Peer>>> {
        let cluster = Arc::clone(&self.cluster);
        Box::pin(async move { Some(nodes_of(&held_elsewhere(&*cluster, user).await?)) })
    }

    fn sessions(&self, user: UserId) -> Asked<Option<Vec<Foreign>>> {
        let cluster = Arc::clone(&self.cluster);
        Box::pin(async move {
            let held = held_elsewhere(&*cluster, user.clone()).await?;
            let asked =
                nodes_of(&held).into_iter().map(|peer| cluster.ask(user.clone(), Incarnation(peer.node.0)).wait());
            let mut reports = Vec::new();
            for told in join_all(asked).await {
                if let Told::Reports(told) = told {
                    reports.extend(told);
                }
            }
            let session = |(peer, holder): (Peer, Holder)| {
                let report = reports.iter().find(|report| report.lease == holder.lease).map(foreign);
                Foreign { peer, thread: holder.facts.thread, report }
            };
            Some(held.into_iter().map(session).collect())
        })
    }

    fn reclaim(&self, peer: &Peer, user: &UserId, level: ReclaimLevel) {
        let number = u64::try_from(random_bits() >> 64).unwrap_or_default();
        self.cluster.tell(Audience::One(Incarnation(peer.node.0)), said::reclaim(user, level, number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_comes_twice_is_followed_once_and_what_is_remembered_of_orders_is_bounded() {
        let mut orders = VecDeque::new();
        assert!(note(&mut orders, 7) && !note(&mut orders, 7));
        (100..1_000).for_each(|number| assert!(note(&mut orders, number) && !note(&mut orders, number)));
        assert_eq!(orders.len(), MAX_ORDERS);
    }
}
