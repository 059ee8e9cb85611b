//! A full node, scraped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::ensure;
use lychgate::driver::Registration;
use lychgate::telemetry::history::Seen;
use lychgate::telemetry::{History, Population};
use lychgate_scenario::report::{Latency, milliseconds, plain_table};

use super::node::Node;

/// Between two questions of a user while others scrape.
const QUESTIONS: u32 = 20_000;

/// Many users with many sessions each.
pub(super) struct Crowd {
    node: Node,
    here: Vec<Registration>,
}

impl Crowd {
    pub(super) fn gather(node: Node, connections: u32, sessions: u32) -> anyhow::Result<Self> {
        let mut here = Vec::with_capacity(connections as usize);
        for n in 0..connections {
            let registration = node.connect(n)?;
            for thread in 0..sessions {
                node.open(&registration, &format!("thread-{thread}"))?;
            }
            here.push(registration);
        }
        let census = node.driver.census();
        let meant = (connections as usize, connections as usize * sessions as usize);
        ensure!((census.connections, census.sessions) == meant, "{meant:?} were meant, counted are {census:?}");
        Ok(Self { node, here })
    }

    /// What a scrape does beside HTTP: count, and write down.
    fn scrape(&self) -> String {
        let (explained_bytes, explained_dropped) = self.node.driver.explained();
        let population = Population {
            census: self.node.driver.census(),
            open_node_breakers: self.node.driver.open_node_breakers(),
            explained_bytes,
            explained_dropped,
            ..Population::default()
        };
        self.node.metrics.encode(&population)
    }

    pub(super) fn scrapes(&self, count: u32) -> anyhow::Result<String> {
        let mut whole = Latency::new();
        let mut counting = Latency::new();
        let mut sampling = Latency::new();
        let history = History::default();
        let mut bytes = 0;
        for _ in 0..count {
            let begun = Instant::now();
            bytes = self.scrape().len();
            whole.record(begun.elapsed());
            let begun = Instant::now();
            std::hint::black_box(self.node.driver.census());
            counting.record(begun.elapsed());
            let text = self.scrape();
            let census = self.node.driver.census();
            let begun = Instant::now();
            let now = self.node.driver.now().since(lychgate_core::Time::ZERO);
            history.take(&Seen { unix_ms: 0, now, text: &text, census: &census, breakers: Vec::new() });
            sampling.record(begun.elapsed());
        }
        let (alone, beside) = (self.questions(false), self.questions(true));
        let census = self.node.driver.census();
        let title = format!("{} sessions of {} connections", census.sessions, census.connections);
        let mut table = plain_table(&[&title, "p50 ms", "p99 ms", "longest ms"]);
        let rows = [
            (format!("a scrape, {bytes} bytes"), whole),
            ("of it, counting".to_owned(), counting),
            ("a sample of the history, made of a scrape".to_owned(), sampling),
            ("a user is heard, nobody scrapes".to_owned(), alone),
            ("a user is heard while scrape follows scrape".to_owned(), beside),
        ];
        for (name, took) in rows {
            let quantile = |share| milliseconds(took.quantile(share));
            table.add_row([name, quantile(0.5), quantile(0.99), milliseconds(took.longest())]);
        }
        Ok(format!("{table}\n"))
    }

    /// How long users wait for the lock that a census takes.
    fn questions(&self, is_scraped: bool) -> Latency {
        let is_over = AtomicBool::new(false);
        let mut took = Latency::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while is_scraped && !is_over.load(Ordering::Relaxed) {
                    self.scrape();
                }
            });
            for (_, registration) in (0..QUESTIONS).zip(self.here.iter().cycle()) {
                let begun = Instant::now();
                registration.heard(lychgate_core::Sign::Data);
                took.record(begun.elapsed());
            }
            is_over.store(true, Ordering::Relaxed);
        });
        took
    }
}
