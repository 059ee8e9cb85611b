//! How many leases per second one gateway gets from a Redis, beside what `redis-benchmark` gets with the same script:
//!
//! ```text
//! redis-server --port 7777 --save '' & cargo run --release -p lychgate --example leases -- redis://127.0.0.1:7777
//! ```
//!
//! Its keys begin with `leases-example` and expire by themselves.

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lychgate::cluster::redis::{Introduction, Redis};
use lychgate::cluster::{Claim, Cluster, Facts, Outcome, Standing};
use lychgate::config::{self, Config};
use lychgate_core::{ThreadId, UserId};

/// Acquires on their way at once, and clients of the benchmark.
const AT_ONCE: usize = 50;
const ROUNDS: usize = 1_000;
const PREFIX: &str = "leases-example";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let config = Config::from_toml(&format!(
        "auth.jwt.secret = \"a secret that signs nothing, long enough\"\ncluster.kind = \"redis\"\n\
         cluster.prefix = {PREFIX:?}\ncluster.name = {PREFIX:?}\ncluster.url = {address:?}"
    ))?;
    let config::Cluster::Redis(settings) = config.cluster else { return Err("no cluster".into()) };
    let node = Redis::start(settings, Introduction::default()).await?;
    // The first of a cluster waits until others would have shown themselves.
    acquire(&node, "first".to_owned()).await?;
    let mut times = Vec::with_capacity(AT_ONCE * ROUNDS);
    let begun = Instant::now();
    for round in 0..ROUNDS {
        let all = (0..AT_ONCE).map(|at| acquire(&node, format!("u{round}-{at}")));
        for time in join_all(all.collect::<Vec<_>>()).await {
            times.push(time?);
        }
    }
    let ours = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort();
    let [p50, p99] = [50, 99].map(|part| times[times.len() * part / 100]);
    println!("one gateway: {ours:.0} leases/s, p50 {p50:?}, p99 {p99:?}");
    for pipeline in ["1", "16"] {
        let theirs = benchmark(&address, pipeline).await?;
        let part = 100.0 * ours / theirs;
        println!("redis-benchmark -P {pipeline}: {theirs:.0} leases/s; the gateway reaches {part:.0} % of it");
    }
    node.leave().wait().await;
    Ok(())
}

async fn acquire(node: &Redis, user: String) -> Result<Duration, Box<dyn Error>> {
    let facts = Facts { thread: ThreadId::parse("thread")?, standing: Standing::Plain };
    let claim = Claim { lease: node.new_lease(), user: UserId::parse(&user)?, facts, limit: 20 };
    let left = Instant::now();
    match node.acquire(claim, &[]).wait().await {
        Outcome::Granted { .. } => Ok(left.elapsed()),
        other => Err(format!("{other:?} is no lease").into()),
    }
}

/// Its requests per second, with the script that was just run, for users of its own.
async fn benchmark(url: &str, pipeline: &str) -> Result<f64, Box<dyn Error>> {
    let script = concat!(
        include_str!("../src/cluster/redis/lua/prelude.lua"),
        include_str!("../src/cluster/redis/lua/acquire.lua")
    );
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let digest: String = redis::cmd("SCRIPT").arg("LOAD").arg(script).query_async(&mut connection).await?;
    let cluster = format!("{PREFIX}:{{cluster}}");
    let generation: String = redis::cmd("HGET").arg(&[&cluster, "generation"]).query_async(&mut connection).await?;
    let nodes: Vec<String> = redis::cmd("HKEYS").arg(format!("{cluster}:nodes")).query_async(&mut connection).await?;
    let owner = nodes.first().ok_or("this node is not in the table")?;
    let keys = ["held", "facts", "fence"].map(|key| format!("{PREFIX}:u:{{__rand_int__}}:{key}"));
    let [host, port] = url
        .trim_start_matches("redis://")
        .rsplit_once(':')
        .map(|(host, port)| [host.to_owned(), port.to_owned()])
        .ok_or("no port")?;
    let asked = Command::new("redis-benchmark")
        .args([
            "-h",
            &host,
            "-p",
            &port,
            "-n",
            "50000",
            "-c",
            &AT_ONCE.to_string(),
            "-r",
            "1000000000",
            "-P",
            pipeline,
            "--csv",
        ])
        .args(["EVALSHA", &digest, "5"])
        .args(keys)
        .args([&cluster, &format!("{cluster}:node:{owner}"), "__rand_int__", owner, &generation])
        .args([r#"{"thread":"thread"}"#, "20", "user", "0"])
        .output()?;
    let said = String::from_utf8(asked.stdout)?;
    let number = said.lines().last().and_then(|line| line.split("\",\"").nth(1));
    Ok(number.ok_or("redis-benchmark said nothing")?.parse()?)
}
