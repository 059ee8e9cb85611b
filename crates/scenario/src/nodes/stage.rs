//! Where a fault is played: three gateways, their Redis, and a line from each to it that can fail by itself.
//!
//! ```text
//! clients --> node 0 --> proxy 0 --+
//! clients --> node 1 --> proxy 1 --+--> Store: redis-server; with sentinels or in a Redis Cluster without proxies
//! clients --> node 2 --> proxy 2 --'
//! ```

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::history::{Diary, What};
use super::proxy::{Line, Proxy};
use super::store::{Kind, Store};
use crate::client::endpoint::Endpoint;
use crate::live::folder::Folder;
use crate::live::gateway::{Gateway, fresh_secret};
use crate::live::{Scene, User, metrics};

/// Gateways.
pub(super) const NODES: usize = 3;

/// Sessions of a user over all nodes, and in reserve: few, so that every newcomer meets the limit.
pub(super) const LIMIT: usize = 4;
pub(super) const RESERVE: usize = 0;

/// Between two looks at what the nodes say, and until when they have to agree: longer than any deadline of theirs.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const AGREE_WITHIN: Duration = Duration::from_secs(40);

/// The node lease of most plays: what is longer than it is over in some seconds.
pub(super) const LEASE: &str = "2s";

/// Whether a load balancer would send anybody to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It would.
    Up,
    /// The node stands still, is gone, or leaves in order.
    Out,
}

/// Where threads are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Journal {
    /// By each node for itself: what happens to Redis happens to leases alone.
    Memory,
    /// In the same Redis.
    Redis,
}

/// A user, and his number in the history.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) number: usize,
    user: User,
    places: Arc<[Endpoint]>,
}

impl Person {
    pub(super) fn name(&self) -> &str {
        &self.user.name
    }

    /// As he comes to a node.
    pub(super) fn at(&self, node: usize) -> User {
        self.user.at(&self.places[node])
    }
}

/// Everything that can fail.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) redis: Store,
    /// None where somebody tells the nodes where Redis is.
    proxies: Vec<Proxy>,
    gateways: Vec<Option<Gateway>>,
    places: Arc<[Endpoint]>,
    scene: Scene,
    standing: watch::Sender<[Standing; NODES]>,
    pub(super) diary: Arc<Diary>,
    people: Vec<Person>,
    /// How often nodes that were started again had gone by their own counts.
    times_alone: u32,
    /// Of what the doors of each node remember.
    _folders: Vec<Folder>,
}

impl Stage {
    /// Returns when all nodes count together.
    ///
    /// # Errors
    /// When something does not start, or they do not find each other; with what is missing.
    pub(super) async fn start(program: &Path, kind: Kind, journal: Journal, lease: &str) -> anyhow::Result<Self> {
        let redis = Store::start(kind).await.context("the Redis of this fault")?;
        let secret = fresh_secret();
        let (mut proxies, mut gateways, mut folders) = (Vec::new(), Vec::new(), Vec::new());
        for node in 0..NODES {
            let url = match redis.url() {
                Some(url) => url,
                None => {
                    let proxy = Proxy::start(redis.address()).await?;
                    let url = format!("redis://{}", proxy.address());
                    proxies.push(proxy);
                    url
                }
            };
            let folder = Folder::new();
            let settings = settings(node, &url, journal, lease, &folder);
            gateways.push(Some(Gateway::start_node(program, &secret, settings).await?));
            folders.push(folder);
        }
        let scenes = gateways.iter().flatten().map(Gateway::scene).collect::<Vec<_>>();
        let places = scenes.iter().map(|scene| scene.endpoint().clone()).collect();
        let scene = scenes.into_iter().next().context("there is a node")?;
        let (standing, _) = watch::channel([Standing::Up; NODES]);
        let diary = Arc::new(Diary::begin());
        let stage = Self {
            redis,
            proxies,
            gateways,
            places,
            scene,
            standing,
            diary,
            people: Vec::new(),
            times_alone: 0,
            _folders: folders,
        };
        stage.agreed().await.context("the nodes did not find each other")?;
        Ok(stage)
    }

    /// A user who was never seen before.
    ///
    /// # Errors
    /// When no token can be signed.
    pub(super) fn person(&mut self, role: &str) -> anyhow::Result<Person> {
        let user = self.scene.user(role)?;
        let person = Person { number: self.people.len(), user, places: Arc::clone(&self.places) };
        self.people.push(person.clone());
        Ok(person)
    }

    pub(super) fn standings(&self) -> watch::Receiver<[Standing; NODES]> {
        self.standing.subscribe()
    }

    /// # Errors
    /// When no proxy lies between the node and Redis.
    pub(super) fn set_line(&self, node: usize, line: Line) -> anyhow::Result<()> {
        self.proxies.get(node).context("nothing lies between the node and Redis")?.set(line);
        Ok(())
    }

    pub(super) fn set_all_lines(&self, line: Line) {
        self.proxies.iter().for_each(|proxy| proxy.set(line));
    }

    pub(super) fn gateway(&self, node: usize) -> anyhow::Result<&Gateway> {
        self.gateways[node].as_ref().context("the node was started")
    }

    pub(super) fn freeze_node(&self, node: usize) -> anyhow::Result<()> {
        self.stand(node, Standing::Out);
        self.gateway(node)?.freeze()
    }

    pub(super) fn thaw_node(&self, node: usize) -> anyhow::Result<()> {
        self.gateway(node)?.thaw()?;
        self.stand(node, Standing::Up);
        Ok(())
    }

    /// Kills a node. What it held counts as gone from before the kill on: nobody may count it later.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub(super) async fn kill_node(&mut self, node: usize) -> anyhow::Result<()> {
        self.stand(node, Standing::Out);
        self.diary.note(What::Died { node });
        self.gateways[node].as_mut().context("the node was started")?.kill().await
    }

    /// Tells a node to stop; [`Self::start_node_again`] waits for its end.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn drain_node(&self, node: usize) -> anyhow::Result<()> {
        self.stand(node, Standing::Out);
        self.gateway(node)?.tell_to_stop()
    }

    /// Starts a node again, after [`Self::kill_node`] or [`Self::drain_node`]. Answers whether it had ended well.
    ///
    /// # Errors
    /// When it does not end, or does not start.
    pub(super) async fn start_node_again(&mut self, node: usize) -> anyhow::Result<bool> {
        let gateway = self.gateways[node].take().context("the node was started")?;
        self.times_alone += gateway.times_alone();
        let (again, status) = gateway.start_again().await?;
        self.gateways[node] = Some(again);
        self.stand(node, Standing::Up);
        Ok(status.success())
    }

    /// How often nodes said so far that they go by their own counts.
    pub(super) fn times_alone(&self) -> u32 {
        self.times_alone + self.gateways.iter().flatten().map(Gateway::times_alone).sum::<u32>()
    }

    fn stand(&self, node: usize, standing: Standing) {
        self.standing.send_modify(|all| all[node] = standing);
    }

    /// Waits until all nodes count together, and Redis, the nodes and the clients agree about who holds what.
    ///
    /// # Errors
    /// When they do not within 40 s, with what they disagree about.
    pub(super) async fn agreed(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + AGREE_WITHIN;
        loop {
            let Err(disagreement) = self.agrees().await else { return Ok(()) };
            if Instant::now() >= deadline {
                bail!("after {AGREE_WITHIN:?}: {disagreement:#}");
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until all nodes count together, whoever comes and goes meanwhile.
    ///
    /// # Errors
    /// As [`Self::agreed`].
    pub(super) async fn together(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + AGREE_WITHIN;
        loop {
            let Err(missing) = self.count_together().await else { return Ok(()) };
            if Instant::now() >= deadline {
                bail!("after {AGREE_WITHIN:?}: {missing:#}");
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The generation of the data set, and the incarnations that count in it.
    async fn count_together(&self) -> anyhow::Result<(String, BTreeSet<String>)> {
        for (node, gateway) in self.gateways.iter().enumerate() {
            let gateway = gateway.as_ref().context("a node is not there")?;
            if gateway.counts_together() == Some(false) {
                bail!("node {node} goes by its own count");
            }
            let (status, text) = gateway.admin().fetch("/readyz").await?;
            if status != 200 {
                bail!("node {node} is not ready: {text}");
            }
        }
        let told = self.redis.ask(&["HGET", &self.redis.key("{cluster}"), "generation"]).await?;
        let generation = told.into_iter().next().unwrap_or_default();
        let table = self.redis.ask(&["HGETALL", &self.redis.key("{cluster}:nodes")]).await?;
        let entries = table.as_chunks::<2>().0;
        // A node says in its entry for which data set it has said everything that it holds.
        let is_settled = |entry: &str| entry.split(' ').next() == Some(generation.as_str());
        if entries.len() != NODES || !entries.iter().all(|[_, entry]| is_settled(entry)) {
            bail!("of {NODES} nodes {} are in the table, with these data sets: {table:?}", entries.len());
        }
        Ok((generation, entries.iter().map(|[incarnation, _]| incarnation.clone()).collect()))
    }

    async fn agrees(&self) -> anyhow::Result<()> {
        let (generation, living) = self.count_together().await?;
        let mut all = 0;
        for person in &self.people {
            let leases = self.redis.ask(&["HVALS", &self.redis.key(&format!("u:{{{}}}:facts", person.name()))]).await?;
            let counts = |lease: &&String| {
                let mut words = lease.split(' ');
                let (owner, its_generation) = (words.next().unwrap_or_default(), words.next());
                living.contains(owner) && its_generation == Some(generation.as_str())
            };
            let (leased, held) = (leases.iter().filter(counts).count(), self.diary.held(person.number));
            if leased != held {
                bail!("user {} holds {held} sessions by his clients, and {leased} by Redis", person.number);
            }
            all += held;
        }
        let mut counted = 0.0;
        for gateway in self.gateways.iter().flatten() {
            counted += gateway.admin().scrape().await?.sum(metrics::SESSIONS).context("/metrics has no sessions")?;
        }
        if counted != all as f64 {
            bail!("there are {all} sessions by the clients, and {counted} by the nodes");
        }
        Ok(())
    }

    /// Stops the nodes. Answers what each said that breaks a promise.
    ///
    /// # Errors
    /// When a process cannot be signalled or waited for.
    pub(super) async fn stop(self) -> anyhow::Result<Vec<String>> {
        let mut broken = Vec::new();
        for (node, gateway) in self.gateways.into_iter().enumerate() {
            let Some(gateway) = gateway else { continue };
            let outcome = gateway.stop().await?;
            broken.extend(outcome.sentences().into_iter().map(|sentence| format!("node {node}: {sentence}")));
        }
        Ok(broken)
    }
}

fn settings(node: usize, url: &str, journal: Journal, lease: &str, folder: &Folder) -> Vec<(String, String)> {
    let folder = folder.path().display().to_string();
    let (name, limit, reserve) = (format!("node-{node}"), LIMIT.to_string(), RESERVE.to_string());
    let mut settings = vec![
        ("CLUSTER__KIND", "redis"),
        ("CLUSTER__URL", url),
        ("CLUSTER__NODE_LEASE", lease),
        ("CLUSTER__NODE_NAME", &name),
        ("LIMITS__MAX_SESSIONS_PER_USER", &limit),
        ("LIMITS__RESERVE_SESSIONS", &reserve),
        ("LIMITS__LINGER", "1s"),
        // Often enough that whoever does not answer would be found.
        ("LIVENESS__PING_INTERVAL", "2s"),
        ("LIVENESS__PING_ANSWER", "1s"),
        ("SERVER__CONNECTS_PER_SECOND_PER_ADDRESS", "10000"),
        ("AGENTS__DEMO__DELAY", "20ms"),
        ("JOURNAL__DIRECTORY", &folder),
    ];
    if journal == Journal::Redis {
        settings.extend([("JOURNAL__KIND", "redis"), ("JOURNAL__URL", url)]);
    }
    settings.into_iter().map(|(key, value)| (format!("LYCHGATE__{key}"), value.to_owned())).collect()
}
