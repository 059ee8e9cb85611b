//! Round trips through run and demo agent, at a fixed rate.
//!
//! ```text
//! pacer (a thread) --due time--> one task per connection: run -> RUN_STARTED -> first words -> RUN_FINISHED
//! ```
//!
//! The loop is open: a run is due when it is due, whether or not the one before it is finished, and its time counts from
//! when it was due. A gateway that stalls for a second is charged for every run that had to wait, not for one.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lychgate_scenario::client::transcript::ends_run;
use lychgate_scenario::client::{Client, Open, PATIENCE, Trouble};
use lychgate_scenario::live::Scene;
use lychgate_scenario::live::gateway::Gateway;
use lychgate_scenario::report::{Latency, milliseconds, plain_table};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The thread of every user.
const THREAD: &str = "runs";

/// Runs of one connection that may be due and not yet sent; beyond it a run is given up and counted.
const DUE_AT_MOST: usize = 4_096;

/// Before anything is recorded.
const WARM_UP: Duration = Duration::from_secs(2);

/// How long the closed loop at the end looks for the highest rate.
const FLAT_OUT: Duration = Duration::from_secs(5);

/// The demo agent as fast as it can, and only the gateway's warnings.
const SETTINGS: [(&str, &str); 2] =
    [("LYCHGATE__AGENTS__DEMO__DELAY", "0s"), ("LYCHGATE__LOG__LEVEL", "warn,lychgate::app=info")];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runs per second, over all connections.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Connections, each a user of its own with one thread.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Seconds that are recorded.
    #[arg(long, default_value_t = 12)]
    seconds: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self { rate: 2_000, connections: 200, seconds: 12 }
    }
}

/// What was measured, of one connection or of all.
#[derive(Debug, Default)]
struct Measured {
    accepted: Latency,
    first_words: Latency,
    finished: Latency,
    events: u64,
    failed: u64,
    failure: Option<String>,
}

/// When the stages of one run were reached.
struct Stages {
    accepted: Instant,
    first_words: Instant,
    finished: Instant,
    events: u64,
}

pub(crate) async fn measure(binary: Option<&Path>, args: &Args) -> anyhow::Result<()> {
    let gateway = Gateway::start(binary, &SETTINGS).await?;
    println!("{}", gateway.describe().await?);
    let scene = gateway.scene();
    let clients = connect(&scene, args.connections).await?;
    let begin = Instant::now();
    let (paced, pace, clients) = open_loop(clients, args).await?;
    let took = begin.elapsed().saturating_sub(WARM_UP);
    print_paced(args, &paced, &pace, took);
    let (flat_out, took) = closed_loop(clients).await?;
    println!(
        "highest rate, {} connections that each start a run when the last one ended: {:.0} runs per second \
         ({:.0} events per second), p50 {} ms, p99 {} ms\n",
        args.connections,
        flat_out.finished.count() as f64 / took.as_secs_f64(),
        flat_out.events as f64 / took.as_secs_f64(),
        milliseconds(flat_out.finished.quantile(0.5)),
        milliseconds(flat_out.finished.quantile(0.99)),
    );
    gateway.stop().await?;
    Ok(())
}

fn print_paced(args: &Args, paced: &Measured, pace: &Pace, took: Duration) {
    let title = format!("{} runs per second, {} connections", args.rate, args.connections);
    let mut table = plain_table(&[&title, "p50 ms", "p99 ms", "p99.9 ms", "max ms"]);
    let given_up = pace.given_up;
    let stages = [
        ("the machine alone: due to a thread awake", &pace.late),
        ("due to RUN_STARTED", &paced.accepted),
        ("due to the first words", &paced.first_words),
        ("due to RUN_FINISHED", &paced.finished),
    ];
    for (stage, latency) in stages {
        let quantile = |q| milliseconds(latency.quantile(q));
        table.add_row([
            stage.to_owned(),
            quantile(0.5),
            quantile(0.99),
            quantile(0.999),
            milliseconds(latency.longest()),
        ]);
    }
    println!("{table}");
    println!(
        "{} runs recorded ({:.0} per second, {:.1} events each), {} failed, {given_up} given up{}",
        paced.finished.count(),
        paced.finished.count() as f64 / took.as_secs_f64(),
        paced.events as f64 / paced.finished.count().max(1) as f64,
        paced.failed,
        paced.failure.as_ref().map(|why| format!("; first failure: {why}")).unwrap_or_default(),
    );
}

async fn connect(scene: &Scene, connections: u32) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let (mut client, _) = scene.user("runs")?.connect().await?;
        client.open(Open { thread: Some(THREAD), ..Open::default() }).await?;
        clients.push(client);
    }
    Ok(clients)
}

async fn open_loop(clients: Vec<Client>, args: &Args) -> anyhow::Result<(Measured, Pace, Vec<Client>)> {
    let mut lanes = Vec::new();
    let mut tasks = JoinSet::new();
    let recorded_from = Instant::now() + WARM_UP;
    for client in clients {
        let (lane, due) = mpsc::channel(DUE_AT_MOST);
        lanes.push(lane);
        tasks.spawn(keep_pace(client, due, recorded_from));
    }
    let (rate, lasts) = (args.rate, WARM_UP + Duration::from_secs(args.seconds));
    // A thread, because a timer of the runtime has a grain of a millisecond: more than what is measured.
    let pacer = thread::Builder::new().name("pacer".to_owned()).spawn(move || pace(&lanes, rate, lasts))?;
    let (mut all, mut clients) = (Measured::default(), Vec::new());
    for (measured, client) in tasks.join_all().await {
        all.absorb(measured);
        clients.push(client);
    }
    let pace = pacer.join().ok().context("the pacer panicked")?;
    Ok((all, pace, clients))
}

/// What the pacer saw.
#[derive(Default)]
struct Pace {
    /// How late the machine woke it, long before a byte was sent: what no gateway could be faster than.
    late: Latency,
    /// Runs that could not be said to be due.
    given_up: u64,
}

/// Says to one lane after the other that a run is due.
fn pace(lanes: &[mpsc::Sender<Instant>], rate: u32, lasts: Duration) -> Pace {
    let begin = Instant::now();
    let mut seen = Pace::default();
    for (n, lane) in (0_u32..).zip(lanes.iter().cycle()) {
        let offset = Duration::from_secs_f64(f64::from(n) / f64::from(rate));
        if offset >= lasts {
            break;
        }
        let due = begin + offset;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if offset >= WARM_UP {
            seen.late.record(due.elapsed());
        }
        seen.given_up += u64::from(lane.try_send(due).is_err());
    }
    seen
}

async fn keep_pace(mut client: Client, mut due: mpsc::Receiver<Instant>, recorded_from: Instant) -> (Measured, Client) {
    let mut measured = Measured::default();
    let mut n = 0_u64;
    while let Some(due) = due.recv().await {
        n += 1;
        let stages = run(&mut client, &format!("paced-{n}")).await;
        if due >= recorded_from {
            measured.record(due, stages);
        }
    }
    (measured, client)
}

async fn closed_loop(clients: Vec<Client>) -> anyhow::Result<(Measured, Duration)> {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move {
            let mut measured = Measured::default();
            let mut n = 0_u64;
            while begin.elapsed() < FLAT_OUT {
                n += 1;
                let due = Instant::now();
                let stages = run(&mut client, &format!("flat-out-{n}")).await;
                let failed = stages.is_err();
                measured.record(due, stages);
                if failed {
                    break;
                }
            }
            measured
        });
    }
    let mut all = Measured::default();
    tasks.join_all().await.into_iter().for_each(|measured| all.absorb(measured));
    Ok((all, begin.elapsed()))
}

async fn run(client: &mut Client, run: &str) -> Result<Stages, Trouble> {
    client.run(THREAD, run, "ping").await?;
    let (mut accepted, mut first_words, mut events) = (None, None, 0);
    loop {
        let next = client.until(PATIENCE, |frame| {
            let refused = frame.refusal().map(|refused| Err(Trouble::Refused(Box::new(refused.clone()))));
            refused.or_else(|| frame.event_of(THREAD).map(|event| Ok(event.agui())))
        });
        let agui = next.await??;
        let now = Instant::now();
        events += 1;
        match agui.kind.as_str() {
            "RUN_STARTED" => accepted = Some(now),
            "TEXT_MESSAGE_CONTENT" => first_words = first_words.or(Some(now)),
            _ => {}
        }
        if ends_run(&agui) {
            return Ok(Stages {
                accepted: accepted.unwrap_or(now),
                first_words: first_words.unwrap_or(now),
                finished: now,
                events,
            });
        }
    }
}

impl Measured {
    fn record(&mut self, due: Instant, stages: Result<Stages, Trouble>) {
        match stages {
            Ok(stages) => {
                self.accepted.record(stages.accepted - due);
                self.first_words.record(stages.first_words - due);
                self.finished.record(stages.finished - due);
                self.events += stages.events;
            }
            Err(trouble) => {
                self.failed += 1;
                self.failure.get_or_insert_with(|| trouble.to_string());
            }
        }
    }

    fn absorb(&mut self, other: Self) {
        self.accepted.absorb(&other.accepted);
        self.first_words.absorb(&other.first_words);
        self.finished.absorb(&other.finished);
        self.events += other.events;
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
    }
}
