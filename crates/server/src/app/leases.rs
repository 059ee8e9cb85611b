//! Between the gates of this node and the leases of all: what the one wants of the other, and what becomes of it.
//!
//! ```text
//!  gates --Wish--> Leases --acquire, ask (a task each)--> cluster
//!    ^                                                      |
//!    '-- News <-- answers; taken, asked <--Follower---------'
//! ```
//!
//! A user has one acquire under way at most, and every call of the cluster has a deadline: the tasks are bounded by both.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock, Weak};

use lychgate_core::lease::{
    Answer, Either, ForeignLease, ForeignNode, ForeignReport, Holder as Rival, Lease, News, OwnReport, Room, Told, Wish,
};
use lychgate_core::reclaim::Standing;
use lychgate_core::{SessionKey, UserId};
use serde_json::Value;

use super::overview::Identity;
use super::peers::{self, Heard, Peers};
use crate::cluster::redis::{Introduction, Redis};
use crate::cluster::{
    Claim, Cluster, Facts, Follower, Health, Holder, Incarnation, LeaseId, Measured, Outcome, Presence, Question,
    Report, Standing as Guarded,
};
use crate::config::{Config, JournalKind};
use crate::driver::Driver;
use crate::error::Error;
use crate::telemetry::Metrics;
use crate::{cluster, config};

/// Meets the other nodes, where there are any by the configuration.
///
/// # Errors
/// When what answers there must not carry our leases, or cannot.
pub(super) async fn join(
    config: &Config,
    listen: SocketAddr,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<Leases>>, Error> {
    let settings = match &config.cluster {
        config::Cluster::Single => return Ok(None),
        config::Cluster::Redis(settings) => settings.clone(),
    };
    let identity = Identity::now().named();
    let introduction = Introduction {
        address: settings.node_address.clone().unwrap_or_else(|| reached_at(listen, &identity.name)),
        name: settings.node_name.clone().unwrap_or(identity.name),
        version: identity.version,
        started: identity.started,
    };
    let redis = Redis::start(settings, introduction).await.map_err(|error| Error::Failed(error.to_string()))?;
    let measured = Arc::new(Measured::new(Arc::new(redis), Arc::clone(metrics)));
    Ok(Some(Leases::new(measured, config.journal.kind)))
}

/// Where others find what listens there. Every address of a machine is none that can be written down.
fn reached_at(listen: SocketAddr, machine: &str) -> String {
    match listen.ip().is_unspecified() && !machine.is_empty() {
        true => format!("{machine}:{}", listen.port()),
        false => listen.to_string(),
    }
}

/// See the module.
pub(super) struct Leases {
    cluster: Arc<dyn Cluster>,
    /// Of the leases that the gates of this process draw.
    life: u64,
    /// Set once, when there is one: it holds us.
    driver: OnceLock<Weak<Driver>>,
    runtime: tokio::runtime::Handle,
    peers: Arc<Peers>,
}

impl Leases {
    pub(super) fn new(cluster: Arc<dyn Cluster>, journal: JournalKind) -> Arc<Self> {
        let life = cluster.new_lease().life;
        let runtime = tokio::runtime::Handle::current();
        let peers = Peers::new(Arc::clone(&cluster), runtime.clone(), journal == JournalKind::Redis);
        Arc::new(Self { cluster, life, driver: OnceLock::new(), runtime, peers })
    }

    /// The other nodes, for what operators do.
    pub(super) fn peers(&self) -> Arc<Peers> {
        Arc::clone(&self.peers)
    }

    /// Begins: nothing is wanted before there is a driver, and nothing is told.
    pub(super) fn serve(self: &Arc<Self>, driver: &Arc<Driver>) {
        if self.driver.set(Arc::downgrade(driver)).is_ok() {
            self.cluster.follow(Arc::clone(self) as Arc<dyn Follower>);
            // What it is at the start nobody was told.
            if let health @ Health::Unknown { .. } = self.cluster.health() {
                self.health(health);
            }
        }
    }

    /// What there is to see of the other nodes.
    pub(super) fn cluster(&self) -> &dyn Cluster {
        &*self.cluster
    }

    /// The others need not wait until this node's own lease is over.
    pub(super) async fn leave(&self) {
        self.cluster.leave().wait().await;
    }

    /// Called under the lock of a shard: what takes time is done by a task.
    pub(super) fn wish(self: &Arc<Self>, wish: Wish) {
        let leases = Arc::clone(self);
        match wish {
            Wish::Acquire { key, lease, limit, instead_of } => {
                let victims: Vec<_> = instead_of.map(|victim| self.holder(&key, victim)).into_iter().collect();
                let asked = self.cluster.acquire(self.claim(&key, lease, limit), &victims);
                let user = key.user().clone();
                self.runtime.spawn(async move {
                    let answer = leases.answer(asked.wait().await);
                    leases.tell(News::Answered { user, lease, answer });
                });
            }
            // Nobody looks at its limit: it lives already.
            Wish::Keep { key, lease } => self.cluster.keep(self.claim(&key, lease, usize::MAX)),
            Wish::Release { user, lease } => self.cluster.release(&user, self.id(lease)),
            Wish::Supersede { user, connection } => self.peers.supersede(&user, connection),
            Wish::Ask { user, node } => {
                let asked = self.cluster.ask(user.clone(), Incarnation(node.0));
                self.runtime.spawn(async move {
                    let told = match asked.wait().await {
                        cluster::Told::Reports(reports) => Told::Reports(reports.iter().map(foreign).collect()),
                        cluster::Told::Silence => Told::Silence,
                        cluster::Told::NotAsked => Told::NotAsked,
                    };
                    leases.tell(News::Reported { user, node, told });
                });
            }
        }
    }

    fn tell(&self, news: News) {
        if let Some(driver) = self.driver.get().and_then(Weak::upgrade) {
            driver.news(news);
        }
    }

    fn id(&self, lease: Lease) -> LeaseId {
        LeaseId { life: self.life, number: lease.number() }
    }

    fn claim(&self, key: &SessionKey, lease: Lease, limit: usize) -> Claim {
        // Whether it is protected is asked when somebody wants to know.
        let facts = Facts { thread: key.thread().clone(), standing: Guarded::Plain };
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Claim { lease: self.id(lease), user: key.user().clone(), facts, limit }
    }

    /// Whose place is wanted, as the cluster names it.
    fn holder(&self, key: &SessionKey, victim: Either) -> Holder {
        let (lease, node) = match victim {
            Either::Own(lease) => (self.id(lease), self.cluster.incarnation()),
            Either::Foreign(Rival { lease: ForeignLease { life, number }, node }) => {
                (LeaseId { life, number }, Incarnation(node.0))
            }
        };
        let facts = Facts { thread: key.thread().clone(), standing: Guarded::Plain };
        Holder { lease, node, facts, since: 0 }
    }

    fn answer(&self, outcome: Outcome) -> Answer {
        match outcome {
            Outcome::Granted { used, room, .. } => {
                let made_room = match room {
                    cluster::Room::Free => Room::Free,
                    cluster::Room::Made => Room::Made,
                };
                Answer::Granted { used: used as usize, made_room }
            }
            Outcome::Denied { holders } => {
                let (own, others): (Vec<_>, Vec<_>) = holders.iter().partition(|holder| holder.lease.life == self.life);
                let own = own.iter().filter_map(|holder| NonZeroU64::new(holder.lease.number)).map(Lease::from_number);
                Answer::Denied { own: own.collect(), holders: others.into_iter().map(rival).collect() }
            }
            Outcome::Taken { .. } => Answer::Over,
            Outcome::Unknown(_) => Answer::Unknown,
        }
    }
}

impl Follower for Leases {
    fn taken(&self, user: &UserId, lease: LeaseId, _epoch: u64) {
        if let Some(number) = NonZeroU64::new(lease.number).filter(|_| lease.life == self.life) {
            self.tell(News::Taken { user: user.clone(), lease: Lease::from_number(number) });
        }
    }

    fn asked(&self, user: &UserId, question: Question) {
        let own = self.driver.get().and_then(Weak::upgrade).map(|driver| driver.own_reports(user));
        let reports = own.iter().flatten().map(|own| self.report(own));
        self.cluster.reply(question, reports.collect());
    }

    fn told(&self, _from: Incarnation, what: Value) {
        match peers::hint(what) {
            Some(Heard::Superseded { user, connection }) => self.tell(News::Superseded { user, connection }),
            Some(Heard::Ended(keys)) => self.peers.ended(keys),
            Some(Heard::Reclaim { user, level, number }) => self.peers.reclaim(user, level, number),
            // Of a later version.
            None => {}
        }
    }

    fn posted(&self, note: Value) -> cluster::Answer<()> {
        self.peers.posted(note)
    }

    fn caught_up(&self) {
        self.peers.caught_up();
    }

    fn health(&self, health: Health) {
        match health {
            Health::Healthy => tracing::info!(event = "cluster.healthy", "sessions of all nodes count together"),
            Health::Unknown { trouble, .. } => tracing::warn!(
                event = "cluster.unknown", %trouble,
                "sessions of other nodes cannot be counted: until that is possible each node goes by its own count, nobody is refused"
            ),
        }
    }
}

impl Leases {
    fn report(&self, own: &OwnReport) -> Report {
        let OwnReport { lease, standing, protected, health, idle } = *own;
        let presence = match standing {
            Standing::Gone { .. } => Presence::Gone,
            Standing::Detached => Presence::Detached,
            Standing::Suspect => Presence::Suspect,
            Standing::Alive => Presence::Alive,
        };
        Report {
            lease: self.id(lease),
            standing: if protected { Guarded::Protected } else { Guarded::Plain },
            health,
            idle,
            presence,
        }
    }
}

fn rival(holder: &Holder) -> Rival {
    let LeaseId { life, number } = holder.lease;
    Rival { lease: ForeignLease { life, number }, node: ForeignNode(holder.node.0) }
}

pub(super) fn foreign(report: &Report) -> ForeignReport {
    let LeaseId { life, number } = report.lease;
    let standing = match report.presence {
        Presence::Gone => Standing::Gone { by_probe: false },
        Presence::Detached => Standing::Detached,
        Presence::Suspect => Standing::Suspect,
        Presence::Alive => Standing::Alive,
    };
    ForeignReport {
        lease: ForeignLease { life, number },
        standing,
        protected: report.standing == Guarded::Protected,
        health: report.health,
        idle: report.idle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_listens_everywhere_is_found_by_its_machine_s_name() {
        let at = |listen: &str| reached_at(listen.parse().unwrap(), "gateway-1");
        assert_eq!(at("0.0.0.0:8080"), "gateway-1:8080");
        assert_eq!(at("[::]:8080"), "gateway-1:8080");
        assert_eq!(at("10.0.0.7:8080"), "10.0.0.7:8080");
        assert_eq!(reached_at("0.0.0.0:8080".parse().unwrap(), ""), "0.0.0.0:8080");
    }
}
