//! One fault, from three nodes that agree to three nodes that agree again.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use super::cast::Cast;
use super::fault::Fault;
use super::history::{Rules, What, around, busy_since, judge, text};
use super::reader::lacking;
use super::report::Row;
use super::stage::{LEASE, LIMIT, NODES, RESERVE, Stage};
use super::tab::Phase;

/// Stretches in which no fault hides Redis. A machine that is too busy may: then the nodes do what is promised for a Redis that
/// does not answer, and say so.
#[derive(Default)]
struct Calm {
    /// When the stretch began, and how often nodes had gone by their own counts before.
    began: (Duration, u32),
    /// Stretches in which they did, by when each began; and how often they did.
    broken: Vec<Duration>,
    alone: u32,
}

impl Calm {
    fn begins(&mut self, at: Duration, stage: &Stage) {
        self.began = (at, stage.times_alone());
    }

    fn ends(&mut self, stage: &Stage) {
        let (at, before) = self.began;
        let alone = stage.times_alone() - before;
        if alone > 0 {
            self.broken.push(at);
            self.alone += alone;
        }
    }
}

/// Stories of broken promises that are told; further ones are counted.
const TOLD: usize = 2;

/// Plays a fault. What the nodes did wrong stands in the row.
///
/// # Errors
/// When it could not be played to its end: something did not start, or the nodes never agreed again.
pub(super) async fn play(fault: Fault, name: &str, program: &Path, histories: Option<&Path>) -> anyhow::Result<Row> {
    let mut stage = Stage::start(program, fault.redis(), fault.who().journal(), LEASE).await?;
    let cast = Cast::gather(&mut stage, fault.who(), fault as u64)?;
    let rules = Rules { nodes: NODES, limit: LIMIT, reserve: RESERVE, never_full: cast.never_full() };
    let mut row = Row::new(name);
    let mut calm = Calm::default();
    let played = act(fault, &mut stage, cast, &mut row, &mut calm).await;
    if calm.alone > 0 {
        row.noted(format!(
            "the machine was too busy for nodes to hear of Redis in time, outside the fault, so often: {}",
            calm.alone
        ));
    }
    let entries = busy_since(stage.diary.entries(), &calm.broken);
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
    let told = stage.stop().await?.into_iter();
    // A journal in Redis calls it an error when Redis is away, and here it was.
    let is_news = |sentence: &String| !(fault.hides_redis() && sentence.contains("lychgate::journal::redis::"));
    told.filter(is_news).for_each(|sentence| row.broke(sentence));
    Ok(row)
}

async fn act(fault: Fault, stage: &mut Stage, cast: Cast, row: &mut Row, calm: &mut Calm) -> anyhow::Result<()> {
    calm.begins(Duration::ZERO, stage);
    cast.goes_on().await.context("before the fault")?;
    calm.ends(stage);
    calm.begins(stage.diary.note(if fault.hides_redis() { What::Faulty } else { What::Begun }), stage);
    let begun = Instant::now();
    fault.begin(stage).await?;
    sleep(fault.lasts()).await;
    fault.end(stage).await?;
    let ended = Instant::now();
    row.lasted(ended - begun);
    stage.together().await.context("after the fault")?;
    cast.turn(Phase::Rest);
    stage.agreed().await.context("after the fault")?;
    row.healed(ended.elapsed());
    if !fault.hides_redis() {
        calm.ends(stage);
    }
    calm.begins(stage.diary.note(What::Healed), stage);
    cast.turn(Phase::Play);
    cast.goes_on().await.context("when it is healed")?;
    cast.turn(Phase::Rest);
    stage.diary.note(What::Over);
    stage.agreed().await.context("before everybody leaves")?;
    calm.ends(stage);
    let chats = cast.leave().await;
    stage.agreed().await.context("when everybody has left")?;
    if let Some(chats) = chats {
        row.lost(lacking(&chats).await?);
        let lost: usize = chats.iter().map(|(_, heard)| heard.lost()).sum();
        if lost > 0 {
            row.noted(format!("{lost} answers were known to the former master alone, and went with it"));
        }
    }
    Ok(())
}
