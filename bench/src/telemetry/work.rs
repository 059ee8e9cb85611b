//! Runs, with eyes and without, in turns: what counting and logging take of the throughput.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use lychgate::run::StartRun;
use lychgate_core::{RunId, SessionKey, Sign};
use lychgate_scenario::report::plain_table;
use serde_json::json;

use super::node::{Eyes, Node};
use crate::cpu;
use crate::nowhere::Nowhere;

/// Users who ask at a time.
const USERS: u32 = 64;

/// Runs after which a user moves on to a new thread: one that grows without end would be what is measured.
const RUNS_OF_A_THREAD: u32 = 8;

const KINDS: [(Eyes, &str); 3] = [(Eyes::Off, "off"), (Eyes::Metrics, "metrics"), (Eyes::All, "metrics and log lines")];

/// What a round cost.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    wall: Duration,
}

pub(super) async fn compare(rounds: u32, runs: u32) -> anyhow::Result<String> {
    let mut costs: [Vec<Cost>; KINDS.len()] = Default::default();
    // The first round warms up and counts for nothing.
    for round in 0..=rounds {
        for (kind, (eyes, _)) in KINDS.iter().enumerate() {
            let cost = round_of(*eyes, runs).await?;
            if round > 0 {
                costs[kind].push(cost);
            }
        }
    }
    let mut table = plain_table(&["runs, by median of the rounds", "runs/s", "processor µs a run", "over off"]);
    let medians: Vec<_> = costs.iter().map(|costs| (median(costs, |it| it.wall), median(costs, |it| it.cpu))).collect();
    let off = medians[0].1.as_secs_f64();
    for ((_, name), (wall, cpu)) in KINDS.iter().zip(&medians) {
        let each = cpu.as_secs_f64() / f64::from(runs);
        let more = (cpu.as_secs_f64() / off - 1.0) * 100.0;
        let rate = f64::from(runs) / wall.as_secs_f64();
        table.add_row([
            (*name).to_owned(),
            format!("{rate:.0}"),
            format!("{:.2}", each * 1e6),
            format!("{more:+.1} %"),
        ]);
    }
    Ok(format!("{table}\n"))
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> Duration) -> Duration {
    let mut sorted: Vec<_> = costs.iter().map(of).collect();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// `runs` runs: each is asked for by a user who is heard, answered by the demo agent, journalled, and sent to his tab. Now
/// and then he opens another thread, and at his limit the oldest one makes room.
async fn round_of(eyes: Eyes, runs: u32) -> anyhow::Result<Cost> {
    let (node, mut ended) = Node::with_ends(eyes, 4, USERS as usize)?;
    let users: Vec<_> = (0..USERS).map(|n| node.connect(n)).collect::<Result<_, _>>()?;
    let own = std::process::id();
    let (cpu, begun) = (cpu::of_process(own)?, Instant::now());
    // One run of each user at a time: the next one is asked for when the last one has ended.
    let mut turns = vec![0; users.len()];
    let mut left = runs;
    let mut ask = |place: usize| -> anyhow::Result<()> {
        let (user, turn) = (&users[place], turns[place]);
        turns[place] += 1;
        user.heard(Sign::Data);
        if node.eyes != Eyes::Off {
            node.metrics.on_sent(8, 1_024);
        }
        let key = node.open(user, &format!("thread-{}", turn / RUNS_OF_A_THREAD))?;
        start(&node, key, turn)
    };
    for place in 0..users.len().min(runs as usize) {
        ask(place)?;
        left -= 1;
    }
    for _ in 0..runs {
        let key = ended.recv().await.context("every run ends")?;
        if left > 0 {
            left -= 1;
            ask(place_of(&key).context("a user of ours")?)?;
        }
    }
    Ok(Cost { cpu: cpu::of_process(own)?.saturating_sub(cpu), wall: begun.elapsed() })
}

/// The number that [`Node::connect`] gave the user.
fn place_of(key: &SessionKey) -> Option<usize> {
    key.user().as_str().rsplit_once(':')?.1.parse().ok()
}

fn start(node: &Node, key: SessionKey, number: u32) -> anyhow::Result<()> {
    let message = json!({ "id": format!("m{number}"), "role": "user", "content": "What do the eyes cost?" });
    node.runs.start(StartRun {
        key,
        plan: None,
        agents: None,
        run: RunId::parse(&format!("r{number}"))?,
        input: serde_json::from_value(json!({ "messages": [message] }))?,
        agent: None,
        reply: std::sync::Arc::new(Nowhere),
        trace: None,
    });
    Ok(())
}
