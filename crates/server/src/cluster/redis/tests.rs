//! Nodes against a real Redis; each has a runtime of its own, so that it can be stopped and killed like a process.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lychgate_core::{ThreadId, UserId};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::*;
use crate::cluster::{Facts, Standing};
use crate::config::RedisUrl;
use crate::redis_server::Redis as Server;

mod entrance;
mod failure;
mod fencing;
mod limit;
mod messages;
mod reach;
mod speed;

/// Nothing takes longer; nothing waits it out.
const PATIENT: Duration = Duration::from_secs(20);

/// How a node is configured, unless a test is about time.
fn settings(server: &Server) -> config::Redis {
    config::Redis {
        url: RedisUrl::of_test(&server.url()),
        prefix: "t".to_owned(),
        name: "test".to_owned(),
        node_name: None,
        node_address: None,
        node_lease: Duration::from_secs(4),
        command_timeout: Duration::from_millis(500),
    }
}

/// A gateway's part of the cluster.
struct TestNode {
    redis: Arc<Redis>,
    heard: Arc<Heard>,
    runtime: Option<Runtime>,
    stopped: Option<mpsc::Sender<()>>,
}

/// What a node's follower was told.
#[derive(Default)]
struct Heard {
    taken: Mutex<Vec<LeaseId>>,
    asked: Mutex<Vec<(UserId, Question)>>,
    told: Mutex<Vec<Value>>,
    posted: Mutex<Vec<Value>>,
    caught_up: Mutex<usize>,
}

impl Follower for Heard {
    fn taken(&self, _: &UserId, lease: LeaseId, _: u64) {
        self.taken.lock().unwrap().push(lease);
    }

    fn asked(&self, user: &UserId, question: Question) {
        self.asked.lock().unwrap().push((user.clone(), question));
    }

    fn told(&self, _: Incarnation, what: Value) {
        self.told.lock().unwrap().push(what);
    }

    fn health(&self, _: Health) {}

    fn posted(&self, note: Value) -> Answer<()> {
        self.posted.lock().unwrap().push(note);
        Answer::Now(())
    }

    fn caught_up(&self) {
        *self.caught_up.lock().unwrap() += 1;
    }
}

impl Heard {
    fn posted(&self) -> MutexGuard<'_, Vec<Value>> {
        self.posted.lock().unwrap()
    }

    fn caught_up(&self) -> usize {
        *self.caught_up.lock().unwrap()
    }

    fn taken(&self) -> BTreeSet<LeaseId> {
        self.taken.lock().unwrap().iter().copied().collect()
    }
}

impl TestNode {
    fn start(settings: config::Redis) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let introduction = Introduction { name: "node".to_owned(), ..Introduction::default() };
        let redis = Arc::new(runtime.block_on(Redis::start(settings, introduction)).unwrap());
        let heard = Arc::new(Heard::default());
        redis.follow(Arc::clone(&heard) as Arc<dyn Follower>);
        let node = Self { redis, heard, runtime: Some(runtime), stopped: None };
        until("it admits, or Redis is away", || node.is_settled() || !node.is_healthy());
        node
    }

    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(answer)
    }

    fn claim(&self, user: &str, limit: u32) -> Claim {
        let facts = Facts { thread: ThreadId::parse("thread").unwrap(), standing: Standing::Plain };
        Claim { lease: self.redis.new_lease(), user: UserId::parse(user).unwrap(), facts, limit }
    }

    fn acquire(&self, claim: &Claim) -> Outcome {
        self.wait(self.redis.acquire(claim.clone(), &[]).wait())
    }

    /// Asks for so many places at once; the leases that were granted.
    fn hold(&self, user: &str, limit: u32, count: usize) -> Vec<LeaseId> {
        let claims: Vec<Claim> = (0..count).map(|_| self.claim(user, limit)).collect();
        let all = join_all(claims.iter().map(|claim| self.redis.acquire(claim.clone(), &[]).wait()));
        let outcomes = self.wait(all);
        let granted = claims.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::Granted { .. }));
        granted.map(|(claim, _)| claim.lease).collect()
    }

    /// As SIGSTOP: its sockets stay open, and nothing of it runs.
    fn stop(&mut self) {
        let (go_on, stopped) = mpsc::channel();
        self.stopped = Some(go_on);
        let (is_stopped, stands_still) = mpsc::channel();
        self.runtime.as_ref().unwrap().spawn(async move {
            is_stopped.send(()).unwrap();
            let _ = stopped.recv();
        });
        stands_still.recv().unwrap();
    }

    /// As SIGCONT.
    fn go_on(&mut self) {
        self.stopped = None;
    }

    /// As SIGKILL: its sockets close, and nobody is told anything.
    fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    /// Whether all nodes that it knows have said what they hold.
    fn is_settled(&self) -> bool {
        self.redis.shared.state.borrow().settled == state::Settled::Yes
    }

    fn is_healthy(&self) -> bool {
        self.redis.health() == Health::Healthy
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.stopped = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENT, "it never was so: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    begun.elapsed()
}

/// The leases of a user as Redis has them.
fn held(server: &Server, user: &str) -> BTreeSet<LeaseId> {
    let told = server.command(&["ZRANGE", &format!("t:u:{{{user}}}:held"), "0", "-1"]);
    told.lines().map(|line| line.parse().unwrap()).collect()
}

fn is_fenced(server: &Server, user: &str, lease: LeaseId) -> bool {
    !server.command(&["ZSCORE", &format!("t:u:{{{user}}}:fence"), &lease.to_string()]).is_empty()
}

fn holders(outcome: Outcome) -> Vec<Holder> {
    match outcome {
        Outcome::Denied { holders } => holders,
        other => panic!("{other:?} is no denial"),
    }
}
