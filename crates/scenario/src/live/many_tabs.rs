//! Tabs that come, go, reload and show the same thread, the way people really use a browser.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::time::{Instant, interval};

use super::attend::Attended;
use super::talk::{answer, open};
use super::{Scene, progress};
use crate::client::{Open, Trouble};
use crate::report::Outcome;

/// The limit of the default plan.
const LIMIT: usize = 20;

/// Tabs that are opened and left without a word; three times the limit.
const ABANDONED: usize = 60;

pub(super) async fn play(scene: &Scene) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("many-tabs");
    let bar = progress(outcome.plan(), 4);
    macro_rules! step {
        ($promise:literal, $step:ident) => {
            bar.set_message($promise);
            if let Err(error) = $step(scene, &mut outcome).await {
                outcome.broke(format!("{}: {error:#}", $promise));
            }
            bar.inc(1);
        };
    }
    step!("eight tabs in two seconds, three of them closed", eight_tabs_in_two_seconds);
    step!("eight tabs of one thread see one stream", eight_tabs_of_one_thread);
    step!("a reload at the limit takes no second slot", reloads_at_the_limit);
    step!("tabs that were abandoned lock nobody out", abandoned_tabs);
    bar.finish_and_clear();
    Ok(outcome)
}

async fn eight_tabs_in_two_seconds(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("tabs")?;
    let mut pace = interval(Duration::from_millis(250));
    let mut tabs = Vec::new();
    for n in 0..8 {
        pace.tick().await;
        let (mut client, _) = user.connect().await?;
        open(outcome, &mut client, &format!("t{n}")).await?;
        match n {
            2 => client.close(1000).await?,
            4 => client.reset()?,
            6 => drop(client),
            _ => tabs.push(Attended::new(client)),
        }
    }
    ensure!(tabs.len() == 5, "five tabs stay");
    none_was_closed(tabs, outcome).await
}

async fn eight_tabs_of_one_thread(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("tabs")?;
    let mut tabs = Vec::new();
    for _ in 0..8 {
        let (mut client, _) = user.connect().await?;
        let used = open(outcome, &mut client, "one").await?.limits.used;
        ensure!(used == 1, "eight tabs of one thread take {used} slots");
        tabs.push(client);
    }
    tabs[3].run("one", "r1", "hello").await?;
    let mut seen = Vec::new();
    for client in &mut tabs {
        seen.push(answer(client, "one", 0).await?);
    }
    for (n, transcript) in seen.iter().enumerate() {
        ensure!(*transcript == seen[0], "tab {n} saw {:?}, the first {:?}", transcript.kinds(), seen[0].kinds());
    }
    Ok(())
}

/// Twenty living tabs are reloaded one after the other; every other one while its old socket is still open.
async fn reloads_at_the_limit(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("tabs")?;
    let mut tabs = Vec::new();
    for n in 0..LIMIT {
        let (mut client, welcome) = user.connect().await?;
        open(outcome, &mut client, &format!("t{n}")).await?;
        tabs.push((Attended::new(client), welcome.connection));
    }
    let mut reloaded = Vec::new();
    for (n, (attended, prev)) in tabs.into_iter().enumerate() {
        let old = attended.recall().await?;
        let old = old.client.with_context(|| format!("tab {n} was gone before its reload: {:?}", old.ended))?;
        let old = if n % 2 == 0 { Some(old) } else { None };
        let (mut client, welcome) = user.replace(Some(&prev)).await?;
        ensure!(welcome.limits.used == LIMIT, "a reload changed {LIMIT} sessions to {}", welcome.limits.used);
        let used = open(outcome, &mut client, &format!("t{n}")).await?.limits.used;
        ensure!(used == LIMIT, "a reload changed {LIMIT} sessions to {used}");
        if let Some(mut old) = old {
            match old.until(crate::client::PATIENCE, |frame| frame.opened().map(drop)).await {
                Err(Trouble::Ended(ended)) if ended.code == Some(4510) => {}
                other => bail!("the socket before the reload ended with {other:?}, not with 4510"),
            }
        }
        reloaded.push(Attended::new(client));
    }
    none_was_closed(reloaded, outcome).await
}

/// Each tab is left without a close, as by a browser that is killed: the next one never waits for it.
async fn abandoned_tabs(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("tabs")?;
    for n in 0..ABANDONED {
        let (mut client, _) = user.connect().await?;
        let started = Instant::now();
        let opened = client.open(Open { thread: Some(&format!("t{n}")), ..Open::default() }).await;
        match opened {
            Ok(opened) => {
                outcome.admitted(started.elapsed());
                ensure!(opened.limits.used <= opened.limits.limit, "over the limit: {:?}", opened.limits);
            }
            Err(trouble) => outcome.refused(&trouble),
        }
        if n % 2 == 0 {
            client.reset()?;
        }
    }
    Ok(())
}

async fn none_was_closed(tabs: Vec<Attended>, outcome: &mut Outcome) -> anyhow::Result<()> {
    for attended in tabs {
        let recalled = attended.recall().await?;
        if let Some(closed) = recalled.closed().next() {
            outcome.wrongly_evicted(&format!("{}: {}", closed.thread, closed.reason));
        } else if let Some(ended) = &recalled.ended {
            outcome.wrongly_evicted(ended);
        }
        if let Some(client) = recalled.client {
            client.close(1000).await?;
        }
    }
    Ok(())
}
