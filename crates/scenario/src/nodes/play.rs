//! One fault, from three nodes that agree to three nodes that agree again.

use std::path::Path;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use super::crowd::{Crowd, Phase};
use super::fault::Fault;
use super::history::{Rules, What, around, judge, text};
use super::report::Row;
use super::stage::{Journal, LEASE, LIMIT, NODES, RESERVE, Stage};

/// Stories of broken promises that are told; further ones are counted.
const TOLD: usize = 2;

/// Plays a fault. What the nodes did wrong stands in the row.
///
/// # Errors
/// When it could not be played to its end: something did not start, or the nodes never agreed again.
pub(super) async fn play(fault: Fault, name: &str, program: &Path, histories: Option<&Path>) -> anyhow::Result<Row> {
    let mut stage = Stage::start(program, Journal::Memory, LEASE).await?;
    let crowd = Crowd::gather(&mut stage, fault as u64)?;
    let rules = Rules { nodes: NODES, limit: LIMIT, reserve: RESERVE, never_full: crowd.never_full() };
    let mut row = Row::new(name);
    let played = act(fault, &mut stage, crowd, &mut row).await;
    let entries = stage.diary.entries();
    if let Some(directory) = histories {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join(format!("{name}.txt")), text(&entries))?;
    }
    let verdict = judge(&entries, &rules);
    for breach in verdict.breaches.iter().take(TOLD) {
        row.broke(around(&entries, breach));
    }
    if let Some(more) = verdict.breaches.len().checked_sub(TOLD).filter(|more| *more > 0) {
        row.broke(format!("and {more} more"));
    }
    row.saw(&verdict);
    if let Err(stuck) = played {
        row.broke(format!("it could not be played to its end: {stuck:#}"));
        return Ok(row);
    }
    stage.stop().await?.into_iter().for_each(|sentence| row.broke(sentence));
    Ok(row)
}

async fn act(fault: Fault, stage: &mut Stage, crowd: Crowd, row: &mut Row) -> anyhow::Result<()> {
    crowd.gets_in().await.context("before the fault")?;
    stage.diary.note(What::Faulty);
    let begun = Instant::now();
    fault.begin(stage).await?;
    sleep(fault.lasts()).await;
    fault.end(stage).await?;
    let ended = Instant::now();
    row.lasted(ended - begun);
    stage.together().await.context("after the fault")?;
    crowd.turn(Phase::Rest);
    stage.agreed().await.context("after the fault")?;
    row.healed(ended.elapsed());
    stage.diary.note(What::Healed);
    crowd.turn(Phase::Play);
    crowd.gets_in().await.context("when it is healed")?;
    crowd.leave().await;
    stage.agreed().await.context("when everybody has left")
}
