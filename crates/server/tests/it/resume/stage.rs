//! What every story of resuming needs: a journal, a gateway on it, an agent behind it, and chance that can be repeated.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::backend::{Answer, Backend};
use crate::gateway::Gateway;
use crate::gateway::client::run_frame;

/// Set to a number that a failed test printed, this has the tests make the same choices again.
const SEED: &str = "LYCHGATE_RESUME_SEED";

static DIRECTORIES: AtomicU32 = AtomicU32::new(0);

/// Where events are kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Memory,
    /// On disk when it is acknowledged.
    Sqlite,
}

/// The same tests for each kind of journal.
macro_rules! for_each_journal {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name(crate::resume::stage::Kind::Memory).await; })*
        }
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name(crate::resume::stage::Kind::Sqlite).await; })*
        }
    };
}
pub(super) use for_each_journal;

/// A gateway with an agent that says what the test lets it say.
pub(super) struct Stage {
    pub(super) gateway: Gateway,
    pub(super) backend: Backend,
    pub(super) answer: Answer,
    keys: Vec<String>,
    directory: PathBuf,
}

impl Stage {
    /// With these keys beside the usual ones.
    pub(super) async fn start(kind: Kind, answer: Answer, keys: &[&str]) -> Self {
        let name = format!("resume-{}-{}", std::process::id(), DIRECTORIES.fetch_add(1, Ordering::Relaxed));
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir(&directory).unwrap();
        let backend = Backend::start(answer).await;
        let journal = match kind {
            Kind::Memory => vec![r#"journal.kind = "memory""#.to_owned()],
            Kind::Sqlite => vec![
                r#"journal.kind = "sqlite""#.to_owned(),
                r#"journal.durability = "full""#.to_owned(),
                format!("journal.directory = {directory:?}"),
            ],
        };
        let agent = [
            r#"agents.peer.kind = "openai""#.to_owned(),
            r#"agents.peer.model = "m""#.to_owned(),
            format!("agents.peer.base_url = {:?}", backend.url),
        ];
        let keys: Vec<String> =
            journal.into_iter().chain(agent).chain(keys.iter().copied().map(str::to_owned)).collect();
        Self { gateway: serve(&keys).await, backend, answer, keys, directory }
    }

    /// Ends the gateway as the kernel ends a process that takes too much memory, and starts it again on the same log.
    pub(super) async fn kill(&mut self) {
        self.gateway.process.signal(Signal::KILL);
        self.gateway.process.end().await;
        self.gateway = serve(&self.keys).await;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What is left behind lies below target/ and is named after this process.
        let _left = fs::remove_dir_all(&self.directory);
    }
}

async fn serve(keys: &[String]) -> Gateway {
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    Gateway::start(&keys).await
}

/// A run of the agent whose words the test gives out.
pub(super) fn asked(thread: &str, run: &str) -> Value {
    let mut frame = run_frame(thread, run, "count");
    frame["agent"] = json!("peer");
    frame
}

/// A small generator, so that a failing seed can be run again.
pub(super) struct Random(u64);

impl Random {
    /// From the environment, or from the clock; printed, and shown when the test fails.
    pub(super) fn from_environment() -> Self {
        let clock = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() % 1_000_000_007);
        let seed = std::env::var(SEED).ok().map_or_else(|| clock().unwrap(), |seed| seed.parse().unwrap());
        println!("{SEED}={seed} makes these choices again");
        // The generator stands still at zero.
        Self(seed | 1 << 40)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}
