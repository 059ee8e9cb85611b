//! The journals side by side, in this process: many streams that append one event at a time.
//!
//! ```text
//! stream (a task, a thread of its own) --event is due--> append --acknowledged--> next       follower counts
//! ```
//!
//! First the loop is open: an event is due when it is due, and its time counts from then, so that a journal that stalls
//! is charged for every event that had to wait. Then it is closed: every stream appends as soon as it may.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use lychgate::config::{Durability, Journal as Config, JournalKind};
use lychgate::journal::memory::Memory;
use lychgate::journal::sqlite::Sqlite;
use lychgate::journal::{Entry, Follower, Journal};
use lychgate::wire::event::Event;
use lychgate_core::{SessionKey, ThreadId, UserId};
use lychgate_scenario::report::{Latency, milliseconds, plain_table};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::memory;

/// Events of one answer, between its start and its end.
const ANSWER: u32 = 200;

/// Before anything is recorded.
const WARM_UP: Duration = Duration::from_secs(2);

/// Threads at rest before the first look at memory, at least, and how many are opened.
const FIRST_IDLE: u32 = 10_000;
const LOOKS: u32 = 2_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Streams at once, each a thread of a user of its own.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    streams: u32,
    /// Events per second, over all streams, while the loop is open.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Seconds that are recorded of every journal while the loop is open; a third of it while it is closed.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Threads at rest whose memory is measured; 0 leaves it out.
    #[arg(long, default_value_t = 100_000)]
    idle_threads: u32,
    /// Where the files go; removed afterwards.
    #[arg(long, default_value = "target/bench-journal")]
    directory: PathBuf,
}

/// Which journal.
#[derive(Clone, Copy)]
enum Kind {
    Memory,
    Sqlite(Durability),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite(Durability::Normal) => "sqlite normal",
            Self::Sqlite(Durability::Full) => "sqlite full",
        }
    }
}

/// A journal, and how many transactions it has made.
struct Subject {
    journal: Arc<dyn Journal>,
    sqlite: Option<Arc<Sqlite>>,
}

impl Subject {
    fn open(kind: Kind, directory: &Path) -> anyhow::Result<Self> {
        let config = Config { directory: directory.to_owned(), ..Config::default() };
        let subject = match kind {
            Kind::Memory => {
                let journal = Memory::new(&Config { kind: JournalKind::Memory, ..config }, "bench");
                Self { journal: Arc::new(journal), sqlite: None }
            }
            Kind::Sqlite(durability) => {
                let journal = Arc::new(Sqlite::open(&Config { durability, ..config }, "bench")?);
                Self { journal: Arc::clone(&journal) as Arc<dyn Journal>, sqlite: Some(journal) }
            }
        };
        Ok(subject)
    }

    fn commits(&self) -> Option<u64> {
        self.sqlite.as_ref().map(|sqlite| sqlite.commits())
    }
}

#[derive(Default)]
struct Told(AtomicU64);

impl Follower for Told {
    fn appended(&self, _: &SessionKey, entries: &[Entry]) {
        self.0.fetch_add(entries.len() as u64, Ordering::Relaxed);
    }
}

/// What was measured of one journal.
struct Measured {
    name: &'static str,
    open: Latency,
    open_rate: f64,
    open_commits: Option<f64>,
    closed: Latency,
    closed_rate: f64,
    closed_commits: Option<f64>,
    refused: u64,
}

pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    let directory = Directory::new(&args.directory)?;
    // First: what other measurements leave in the allocator is not these threads'.
    if args.idle_threads > 0 {
        idle(args.idle_threads, &directory.0.join("idle")).await?;
    }
    let mut all = Vec::new();
    for kind in [Kind::Memory, Kind::Sqlite(Durability::Normal), Kind::Sqlite(Durability::Full)] {
        all.push(one(kind, &directory.0.join(kind.name().replace(' ', "-")), args).await?);
    }
    print(args, &all);
    Ok(())
}

/// Files of a measurement, which go with it.
struct Directory(PathBuf);

impl Directory {
    fn new(path: &Path) -> anyhow::Result<Self> {
        // Never one that holds something else: all of it is removed.
        let path = path.join(std::process::id().to_string());
        std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} could not be removed: {error}", self.0.display());
        }
    }
}

async fn one(kind: Kind, directory: &Path, args: &Args) -> anyhow::Result<Measured> {
    let subject = Subject::open(kind, directory)?;
    let told = Arc::new(Told::default());
    subject.journal.follow(Arc::clone(&told) as Arc<dyn Follower>);
    let seconds = Duration::from_secs(args.seconds);
    let gap = Duration::from_secs(1).mul_f64(f64::from(args.streams) / f64::from(args.rate));
    let open = streams(&subject, args.streams, Some(gap), seconds).await?;
    let closed = streams(&subject, args.streams, None, seconds / 3).await?;
    let appended = open.appended + closed.appended;
    anyhow::ensure!(told.0.load(Ordering::Relaxed) == appended, "the follower was not told of every event");
    subject.journal.close().await?;
    let per_second = |count: u64, lasted: Duration| count as f64 / lasted.as_secs_f64();
    Ok(Measured {
        name: kind.name(),
        open_rate: per_second(open.latency.count(), seconds),
        open_commits: open.commits.map(|commits| per_second(commits, seconds)),
        open: open.latency,
        closed_rate: per_second(closed.latency.count(), seconds / 3),
        closed_commits: closed.commits.map(|commits| per_second(commits, seconds / 3)),
        closed: closed.latency,
        refused: open.refused + closed.refused,
    })
}

/// What all streams have seen, from the end of the warm-up on; `appended` counts the warm-up too.
#[derive(Default)]
struct Seen {
    latency: Latency,
    appended: u64,
    refused: u64,
    commits: Option<u64>,
}

async fn streams(subject: &Subject, streams: u32, gap: Option<Duration>, lasts: Duration) -> anyhow::Result<Seen> {
    let begin = Instant::now() + Duration::from_millis(100);
    let window = (begin + WARM_UP, begin + WARM_UP + lasts);
    let mut tasks = JoinSet::new();
    for number in 0..streams {
        let journal = Arc::clone(&subject.journal);
        // Spread over the gap: streams that begin as one would measure how many there are.
        let first = begin + gap.unwrap_or_default().mul_f64(f64::from(number) / f64::from(streams));
        tasks.spawn(stream(journal, number, first, gap, window));
    }
    sleep_until(window.0).await;
    let before = subject.commits();
    sleep_until(window.1).await;
    let commits = subject.commits().zip(before).map(|(after, before)| after - before);
    let mut all = Seen { commits, ..Seen::default() };
    while let Some(seen) = tasks.join_next().await {
        let seen = seen??;
        all.latency.absorb(&seen.latency);
        all.appended += seen.appended;
        all.refused += seen.refused;
    }
    Ok(all)
}

async fn stream(
    journal: Arc<dyn Journal>,
    number: u32,
    first: Instant,
    gap: Option<Duration>,
    window: (Instant, Instant),
) -> anyhow::Result<Seen> {
    let key = SessionKey::new(UserId::parse(&format!("user {number}"))?, ThreadId::parse("bench")?);
    let mut seen = Seen::default();
    let mut due = first;
    let phase = if gap.is_some() { "open" } else { "closed" };
    for (run, place) in (0_u64..).flat_map(|run| (0..ANSWER + 2).map(move |place| (run, place))) {
        match gap {
            Some(gap) => {
                sleep_until(due).await;
                due += gap;
            }
            None => due = Instant::now(),
        }
        let asked = gap.map_or(due, |gap| due - gap);
        let is_over = asked >= window.1;
        // At the end a run is cut short, so that none is left open for the next phase.
        let place = if is_over { ANSWER + 1 } else { place };
        let event = event(place, &format!("{phase}-{run}"));
        match journal.append(&key, vec![event]).await {
            Ok(_) => seen.appended += 1,
            Err(_) => seen.refused += 1,
        }
        if is_over {
            break;
        }
        if asked >= window.0 {
            seen.latency.record(asked.elapsed());
        }
    }
    Ok(seen)
}

/// One event of an answer, as long as agents send them.
fn event(place: u32, run: &str) -> Event {
    match place {
        0 => {
            let question = json!({"id": format!("u-{run}"), "role": "user", "content": "What is a lychgate?"});
            let input = json!({"messages": [question]});
            Event::build(&json!({"type": "RUN_STARTED", "threadId": "bench", "runId": run, "input": input}))
        }
        place if place <= ANSWER => Event::build(
            &json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": format!("m-{run}"), "delta": "a roofed gate "}),
        ),
        _ => Event::build(&json!({"type": "RUN_FINISHED", "threadId": "bench", "runId": run})),
    }
}

fn print(args: &Args, all: &[Measured]) {
    let rate = |rate: f64| format!("{rate:.0}");
    let commits = |commits: Option<f64>| commits.map_or_else(|| "-".to_owned(), rate);
    let best = all.first().map_or(1.0, |first| first.closed_rate);
    let title = format!("{} streams", args.streams);
    let heads = ["events/s", "commits/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "against memory"];
    let mut table = plain_table(&[&[title.as_str()], heads.as_slice()].concat());
    for measured in all {
        let phases = [
            (
                format!("{}, {} events/s due", measured.name, args.rate),
                &measured.open,
                measured.open_rate,
                measured.open_commits,
            ),
            (format!("{}, flat out", measured.name), &measured.closed, measured.closed_rate, measured.closed_commits),
        ];
        for (index, (phase, latency, events, per_second)) in phases.into_iter().enumerate() {
            table.add_row([
                phase,
                rate(events),
                commits(per_second),
                milliseconds(latency.quantile(0.5)),
                milliseconds(latency.quantile(0.99)),
                milliseconds(latency.quantile(0.999)),
                milliseconds(latency.longest()),
                if index == 0 { String::new() } else { format!("{:.3}", events / best) },
            ]);
        }
    }
    println!("{table}");
    let refused: u64 = all.iter().map(|measured| measured.refused).sum();
    println!("{refused} appends were refused\n");
}

/// Memory of threads that are on disk and nowhere else: anonymous bytes of this process, before and after.
async fn idle(threads: u32, directory: &Path) -> anyhow::Result<()> {
    let subject = Subject::open(Kind::Sqlite(Durability::Normal), directory)?;
    let process = std::process::id();
    // Some before, so that the caches of pages, which have a bound, are full already.
    let some = (threads / 2).max(FIRST_IDLE);
    fill(&subject, 0..some).await?;
    look(&subject, some).await?;
    let before = memory::settled(process).await?;
    fill(&subject, some..some + threads).await?;
    let looks = look(&subject, some + threads).await?;
    let after = memory::settled(process).await?;
    subject.journal.close().await?;
    let grown = after.anonymous as f64 - before.anonymous as f64;
    println!(
        "{threads} more threads at rest: {:.1} MiB before, {:.1} MiB after, {:.1} bytes per thread; \
         a thread among them is opened (snapshot) in {} ms at p50, {} ms at p99\n",
        before.anonymous as f64 / 1_048_576.0,
        after.anonymous as f64 / 1_048_576.0,
        grown / f64::from(threads),
        milliseconds(looks.quantile(0.5)),
        milliseconds(looks.quantile(0.99)),
    );
    Ok(())
}

/// Opens threads here and there, one after the other.
async fn look(subject: &Subject, threads: u32) -> anyhow::Result<Latency> {
    let mut looks = Latency::new();
    for number in (0..threads).step_by((threads / LOOKS).max(1) as usize) {
        let begin = Instant::now();
        let snapshot = subject.journal.snapshot(&idle_key(number)?).await?;
        looks.record(begin.elapsed());
        anyhow::ensure!(snapshot.messages.len() == 2, "a thread at rest has a question and an answer");
    }
    Ok(looks)
}

fn idle_key(number: u32) -> anyhow::Result<SessionKey> {
    Ok(SessionKey::new(UserId::parse(&format!("idle {number}"))?, ThreadId::parse("bench")?))
}

async fn fill(subject: &Subject, threads: std::ops::Range<u32>) -> anyhow::Result<()> {
    for some in threads.collect::<Vec<_>>().chunks(500) {
        let mut tasks = JoinSet::new();
        for number in some {
            let journal = Arc::clone(&subject.journal);
            let key = idle_key(*number)?;
            tasks.spawn(async move {
                let events = [0, 1, 2, ANSWER + 1].map(|place| event(place, "r")).to_vec();
                journal.append(&key, events).await.map(|_| ())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
    }
    Ok(())
}
