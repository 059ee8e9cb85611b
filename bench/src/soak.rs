//! Whether what watches a gateway grows with what it has seen: storms of ever new users, for minutes, and its memory
//! after each.
//!
//! ```text
//! storm -> all leave -> memory settles -> PSS, less the record of decisions --> one row; again, with other users
//! ```
//!
//! The record of decisions is meant to fill its budget and says itself how much it takes: it is subtracted. What is left
//! after the first storm is what the allocator keeps; a leak would add to it with every storm, since no user of one
//! storm is a user of another.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lychgate_scenario::live::catalogue::Written;
use lychgate_scenario::live::gateway::Gateway;
use lychgate_scenario::live::{self, metrics};
use lychgate_scenario::report::{Outcome, plain_table};
use tokio::time::Instant;

use crate::memory::{self, Pss};

/// Log lines are written as in production: they are part of what is watched here.
const SETTINGS: [(&str, &str); 2] = [("LYCHGATE__LOG__LEVEL", "info"), ("LYCHGATE__LOG__FORMAT", "json")];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For how long storms go on.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    minutes: u32,
}

/// What one storm left.
struct Row {
    after: Duration,
    admissions: f64,
    pss: Pss,
    explained: f64,
}

impl Row {
    /// Without the record of decisions.
    fn watched(&self) -> f64 {
        self.pss.anonymous as f64 - self.explained
    }
}

pub(crate) async fn measure(binary: Option<&Path>, args: &Args) -> anyhow::Result<()> {
    let gateway = Gateway::start(binary, &SETTINGS).await?;
    println!("{}", gateway.describe().await?);
    let process = gateway.process()?;
    let admin = gateway.scene().admin().context("our own gateway has an admin listener")?;
    let began = Instant::now();
    let mut rows = vec![look(admin, process, Duration::ZERO).await?];
    while began.elapsed() < Duration::from_secs(60) * args.minutes {
        let outcomes = live::run(&[Written::Storm], gateway.scene(), 1).await?;
        ensure!(outcomes.iter().all(Outcome::is_kept), "a storm broke a promise: {outcomes:?}");
        rows.push(look(admin, process, began.elapsed()).await?);
    }
    gateway.stop().await?;
    println!("{}", table(&rows));
    println!("{}\n", growth(&rows));
    Ok(())
}

async fn look(admin: metrics::Admin, process: u32, after: Duration) -> anyhow::Result<Row> {
    let pss = memory::settled(process).await?;
    let scrape = admin.scrape().await?;
    let explained = scrape.sum("lychgate_explain_bytes").context("lychgate_explain_bytes is gone")?;
    let admissions = scrape.sum("lychgate_admissions_total").context("lychgate_admissions_total is gone")?;
    Ok(Row { after, admissions, pss, explained })
}

fn table(rows: &[Row]) -> String {
    let mut table =
        plain_table(&["seconds", "admissions", "PSS anonymous KiB", "record of decisions KiB", "without it KiB"]);
    let kib = |bytes: f64| format!("{:.0}", bytes / 1024.0);
    for row in rows {
        table.add_row([
            row.after.as_secs().to_string(),
            format!("{:.0}", row.admissions),
            kib(row.pss.anonymous as f64),
            kib(row.explained),
            kib(row.watched()),
        ]);
    }
    table.to_string()
}

/// The later half alone: by then the allocator holds what a storm needs at once.
fn growth(rows: &[Row]) -> String {
    let later = &rows[rows.len() / 2..];
    let points: Vec<_> = later.iter().map(|row| (row.admissions, row.watched())).collect();
    match memory::slope(&points) {
        Some(slope) => format!("over the later half: {slope:+.1} bytes per admission, the record of decisions apart"),
        None => "too few storms for a slope: give it more --minutes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(admissions: f64, anonymous: u64, explained: f64) -> Row {
        Row { after: Duration::ZERO, admissions, pss: Pss { anonymous, total: anonymous }, explained }
    }

    #[test]
    fn what_grows_with_the_record_of_decisions_alone_is_no_growth() {
        let rows = [row(0.0, 10, 0.0), row(9.0, 900, 0.0), row(10.0, 1_000, 100.0), row(20.0, 1_100, 200.0)];
        assert!(growth(&rows).contains("+0.0 bytes"), "{}", growth(&rows));
        let leak = [row(0.0, 10, 0.0), row(9.0, 900, 0.0), row(10.0, 1_000, 0.0), row(20.0, 1_100, 0.0)];
        assert!(growth(&leak).contains("+10.0 bytes"), "{}", growth(&leak));
    }
}
