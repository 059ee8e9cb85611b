//! What it costs to count together, measured and told; nothing is judged by it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::{Instant, sleep};

use super::proxy::{self, Proxy};
use super::redis::{Line, Redis};
use super::stage::{Journal, LIMIT, NODES, Stage};
use super::store::Kind;
use crate::client::Open;
use crate::live::attend::Attended;
use crate::live::gateway::Gateway;
use crate::report::{Latency, milliseconds};

/// The default of `cluster.node_lease`.
const LEASE: &str = "10s";

/// A killed node leaves the table a beat after its lease at the latest; a busy machine takes longer.
const GONE_WITHIN: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Admissions of each kind.
const SAMPLES: usize = 200;

/// How long a killed node's place is missed: by a newcomer who needs it, and until it is free by itself.
///
/// # Errors
/// When a node does not start, or does not do what is measured.
pub(super) async fn killed(program: &Path) -> anyhow::Result<String> {
    let mut stage = Stage::start(program, Kind::Alone, Journal::Memory, LEASE).await?;
    let (there, here) = (NODES - 1, 0);
    let person = stage.person("killed")?;
    let mut held = Vec::new();
    for n in 0..LIMIT {
        let (mut client, _) = person.at(there).connect().await?;
        client.open(Open { thread: Some(&format!("t{n}")), ..Open::default() }).await?;
        held.push(Attended::new(client));
    }
    let (mut newcomer, _) = person.at(here).connect().await?;
    let begun = Instant::now();
    stage.kill_node(there).await?;
    let killed = Instant::now();
    newcomer.open(Open { thread: Some("new"), ..Open::default() }).await?;
    let needed = killed.elapsed();
    loop {
        let left = stage.redis.ask(&["HLEN", &stage.redis.key("{cluster}:nodes")]).await?;
        if left == [(NODES - 1).to_string()] {
            break;
        }
        ensure!(begun.elapsed() < GONE_WITHIN, "the killed node is still in the table after {GONE_WITHIN:?}");
        sleep(LOOK_EVERY).await;
    }
    let (needed, by_itself) = (needed.as_secs_f64(), begun.elapsed().as_secs_f64());
    stage.start_node_again(there).await?;
    stage.stop().await?;
    Ok(format!(
        "a place of a killed node, node lease {LEASE}: {needed:.2} s after the kill when a newcomer needs it, {by_itself:.2} s by itself"
    ))
}

/// What an admission through Redis takes longer than one by a gateway alone, in round trips to that Redis, which is so far
/// away: nothing for one on the same machine.
///
/// # Errors
/// When a gateway does not start or admit.
pub(super) async fn admission(program: &Path, away: Duration) -> anyhow::Result<String> {
    let redis = Redis::start().await?;
    let proxy = Proxy::start(redis.address()).await?;
    proxy.set(proxy::Line::Slow(away / 2));
    let there = if away.is_zero() { redis.address() } else { proxy.address() };
    let url = format!("redis://{there}");
    let alone = Gateway::start(Some(program), &[]).await?;
    let node = [("LYCHGATE__CLUSTER__KIND", "redis"), ("LYCHGATE__CLUSTER__URL", url.as_str())];
    let node = Gateway::start(Some(program), &node).await?;
    let mut line = Line::open(there).await?;
    let [mut by_itself, mut together, mut trip] = [Latency::new(), Latency::new(), Latency::new()];
    // A node that starts waits until all others may have seen it; that is not what is asked.
    admit(&node).await?;
    for _ in 0..SAMPLES {
        let begun = Instant::now();
        line.ask(&["PING"]).await?;
        trip.record(begun.elapsed());
        by_itself.record(admit(&alone).await?);
        together.record(admit(&node).await?);
    }
    for gateway in [alone, node] {
        gateway.stop().await?;
    }
    let line = match away.is_zero() {
        true => "Redis on this machine".to_owned(),
        false => format!("Redis behind a line of {away:?}"),
    };
    let [alone, together, trip] = [by_itself, together, trip].map(|it| it.quantile(0.5));
    let more = together.saturating_sub(alone).as_secs_f64() / trip.as_secs_f64();
    Ok(format!(
        "an admission at p50, {line}: {} ms by a gateway alone, {} ms through Redis, which is {more:.1} round trips of {} ms more",
        milliseconds(alone),
        milliseconds(together),
        milliseconds(trip)
    ))
}

/// The first session of somebody who is connected already.
async fn admit(gateway: &Gateway) -> anyhow::Result<Duration> {
    let (mut client, _) = gateway.scene().user("measured")?.connect().await?;
    let begun = Instant::now();
    client.open(Open { thread: Some("t"), ..Open::default() }).await.context("an admission that is measured")?;
    let took = begun.elapsed();
    client.close(1000).await?;
    Ok(took)
}
