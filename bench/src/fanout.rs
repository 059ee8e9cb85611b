//! One stream to many tabs: encoded once, however many there are.
//!
//! ```text
//! in this process:  journal --append--> sessions --the same frame--> 1, 10, ... outboxes on real sockets --> drained
//!                                                                     allocations of the appending thread, per event
//! a whole gateway:  backend --pieces--> gateway --lychgate.v1--> tabs     processor time of the gateway, per delivery
//! ```

mod hall;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lychgate_scenario::client::transcript::ends_run;
use lychgate_scenario::client::{Client, Mishap, Open};
use lychgate_scenario::live::gateway::Gateway;
use lychgate_scenario::report::plain_table;
use tokio::task::JoinSet;

use self::hall::Hall;
use crate::backend::{Backend, Pace};
use crate::cpu;

/// The thread of everybody.
const THREAD: &str = "fanout";

/// Events that are appended to each hall.
const EVENTS: u32 = 500;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tabs of one thread, at most.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tabs: u32,
    /// Pieces of text per second that the backend streams through a whole gateway.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// Seconds that it streams.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

impl Default for Args {
    fn default() -> Self {
        Self { tabs: 1_000, rate: 50, seconds: 10 }
    }
}

pub(crate) async fn measure(binary: Option<&Path>, args: &Args) -> anyhow::Result<()> {
    let steps: Vec<u32> = [1, 10, 100, 1_000, 10_000].into_iter().filter(|tabs| *tabs < args.tabs).collect();
    let steps = [steps, vec![args.tabs]].concat();
    let mut table = plain_table(&[
        "one stream, in this process",
        "allocations per event",
        "CPU us per event",
        "CPU us per delivery",
        "deliveries per CPU second",
    ]);
    for tabs in &steps {
        let tabs = *tabs;
        let seen = std::thread::spawn(move || Hall::measure(tabs, EVENTS)).join().ok().context("it panicked")??;
        let cpu = seen.cpu.as_secs_f64() / f64::from(EVENTS);
        table.add_row([
            format!("{tabs} tabs"),
            format!("{:.2}", seen.allocations as f64 / f64::from(EVENTS)),
            format!("{:.1}", cpu * 1e6),
            format!("{:.2}", cpu * 1e6 / f64::from(tabs)),
            format!("{:.0}", f64::from(tabs) / cpu),
        ]);
    }
    println!("{table}\n");

    let mut table = plain_table(&[
        "one stream, a whole gateway",
        "events per tab",
        "deliveries per second",
        "gateway CPU us per delivery",
        "gateway CPU %",
    ]);
    for tabs in steps {
        let streamed = Streamed::measure(binary, args, tabs).await?;
        let (took, cpu) = (streamed.took.as_secs_f64(), streamed.cpu.as_secs_f64());
        table.add_row([
            format!("{tabs} tabs"),
            format!("{:.0} of {}", streamed.deliveries as f64 / f64::from(tabs), streamed.events),
            format!("{:.0}", streamed.deliveries as f64 / took),
            format!("{:.2}", cpu * 1e6 / streamed.deliveries as f64),
            format!("{:.0}", cpu * 100.0 / took),
        ]);
    }
    println!("{table}\n");
    Ok(())
}

/// One answer through a whole gateway to so many tabs.
struct Streamed {
    /// Events in the log.
    events: u64,
    /// Events that all tabs received together; fewer than tabs times events where somebody was behind and got joined ones.
    deliveries: u64,
    took: Duration,
    cpu: Duration,
}

impl Streamed {
    async fn measure(binary: Option<&Path>, args: &Args, tabs: u32) -> anyhow::Result<Self> {
        let pace = Pace { pieces: args.rate * args.seconds, every: Duration::from_secs(1) / args.rate };
        let backend = Backend::start(pace).await?;
        let (tabs_text, mut settings) = (tabs.max(8).to_string(), backend.settings());
        settings.push(("LYCHGATE__LIMITS__MAX_CONNECTIONS_PER_SESSION", &tabs_text));
        settings.push(("LYCHGATE__LIMITS__MAX_CONNECTIONS_PER_USER", &tabs_text));
        settings.push(("LYCHGATE__SERVER__MAX_CONNECTIONS_PER_ADDRESS", &tabs_text));
        let gateway = Gateway::start(binary, &settings).await?;
        let user = gateway.scene().user("fanout")?;
        let mut clients = Vec::new();
        for _ in 0..tabs {
            let (mut client, _) = user.connect().await?;
            client.open(Open { thread: Some(THREAD), ..Open::default() }).await?;
            clients.push(client);
        }
        let process = gateway.process()?;
        let (before, begin) = (cpu::of_process(process)?, Instant::now());
        clients[0].run(THREAD, "r1", "go on").await?;
        let mut tasks = JoinSet::new();
        for client in clients {
            tasks.spawn(hear_out(client));
        }
        let mut streamed = Self { events: 0, deliveries: 0, took: Duration::ZERO, cpu: Duration::ZERO };
        while let Some(heard) = tasks.join_next().await {
            let (events, head) = heard??;
            streamed.deliveries += events;
            streamed.events = head;
        }
        streamed.took = begin.elapsed();
        streamed.cpu = cpu::of_process(process)? - before;
        gateway.stop().await?;
        Ok(streamed)
    }
}

/// Events until the end of the run, and the offset of the last one.
async fn hear_out(mut client: Client) -> Result<(u64, u64), Mishap> {
    let mut events = 0;
    loop {
        let frame = client.next().await?;
        let Some(event) = frame.event_of(THREAD) else { continue };
        events += 1;
        if ends_run(&event.agui()) {
            return Ok((events, event.offset));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_to_a_thousand_tabs_is_encoded_once() {
        lychgate_scenario::live::raise_descriptor_limit();
        let per_event = |tabs| Hall::measure(tabs, 100).unwrap().allocations as f64 / 100.0;
        let (one, thousand) = (per_event(1), per_event(1_000));
        assert!(one >= 1.0, "an event that nobody allocates for was not encoded: {one}");
        assert!(thousand < one + 1.0, "{one} allocations for one tab, {thousand} for a thousand");
    }
}
