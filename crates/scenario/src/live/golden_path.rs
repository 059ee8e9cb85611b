//! A chat as it should be, one promise after the other, each with a user of its own.

use anyhow::{Context as _, bail, ensure};
use indicatif::ProgressBar;
use tokio::time::{Instant, timeout};

use super::Scene;
use super::talk::{answer, continue_answer, next_event, open, refusal};
use crate::client::transcript::{Transcript, ends_run};
use crate::client::{Open, PATIENCE};
use crate::report::Outcome;

mod edges;

use edges::{
    bad_tokens_are_turned_away, every_identity_works, mistakes_are_answered, slots_come_back_at_once,
    users_are_kept_apart,
};

/// A question with so many words that the demo agent is still answering when we cut the line.
const LONG_QUESTION: &str = "tell me at length why a gate that lets the living in has to know the dead ones first, and what \
    it does with those who neither speak nor leave, for as long as there are others who want to come in after them";

/// The demo agent begins an answer to this and then falls silent.
const STALLING_QUESTION: &str = "please stall";

/// Steps that are played; for the progress bar.
const STEPS: u64 = 11;

pub(super) async fn play(scene: &Scene, bar: &ProgressBar) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("golden-path");
    bar.set_length(STEPS);
    macro_rules! step {
        ($promise:literal, $step:ident) => {
            bar.set_message($promise);
            if let Err(error) = $step(scene, &mut outcome).await {
                outcome.broke(format!("{}: {error:#}", $promise));
            }
            bar.inc(1);
        };
    }
    step!("every tab of a thread sees the same answer", every_tab_sees_the_answer);
    step!("a run that is sent twice runs once", a_repeated_run_runs_once);
    step!("after a cut nothing is lost and nothing comes twice", resumes_after_a_cut);
    step!("a client of another epoch is reset", another_epoch_is_reset);
    step!("stop ends a run as cancelled", stop_cancels);
    step!("a second run is told busy", second_run_is_busy);
    step!("mistakes are answered in words", mistakes_are_answered);
    step!("users are kept apart", users_are_kept_apart);
    step!("a bad token is told so and closed with 4501", bad_tokens_are_turned_away);
    step!("leave and close give the slot back at once", slots_come_back_at_once);
    step!("every way to bring a token and every legal user id works", every_identity_works);
    Ok(outcome)
}

async fn every_tab_sees_the_answer(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("golden")?;
    let (mut first, welcome) = user.connect().await?;
    ensure!(welcome.user == user.name, "hello names {}, not {}", welcome.user, user.name);
    ensure!(welcome.ping > 0 && welcome.window > 0, "hello promises no pings or no window");
    ensure!(welcome.limits.used == 0, "a new user already holds {} sessions", welcome.limits.used);
    let opened = open(outcome, &mut first, "t1").await?;
    ensure!(opened.reset && opened.messages.is_empty() && opened.head == 0, "a new thread is not empty: {opened:?}");
    ensure!(opened.limits.used == 1, "one thread takes {} slots", opened.limits.used);
    let (mut second, _) = user.connect().await?;
    let also = open(outcome, &mut second, "t1").await?;
    ensure!(also.limits.used == 1, "a second tab of the same thread took a slot of its own");
    ensure!(also.epoch == opened.epoch, "two tabs of one thread see two epochs");

    first.run("t1", "r1", "hello").await?;
    let (one, two) = (answer(&mut first, "t1", 0).await?, answer(&mut second, "t1", 0).await?);
    ensure!(one == two, "one tab saw {:?}, the other {:?}", one.kinds(), two.kinds());
    ensure!(one.kinds().first() == Some(&"RUN_STARTED"), "the stream begins with {:?}", one.kinds().first());
    ensure!(one.kinds().last() == Some(&"RUN_FINISHED"), "the stream ends with {:?}", one.kinds().last());
    ensure!(!one.text().is_empty(), "the answer has no text");

    let (mut third, _) = user.connect().await?;
    let later = open(outcome, &mut third, "t1").await?;
    let roles: Vec<_> = later.messages.iter().map(|message| message.role.as_str()).collect();
    let followed =
        if later.after < later.head { answer(&mut third, "t1", later.after).await?.text() } else { String::new() };
    let said = later.messages.last().and_then(|message| message.content.clone()).unwrap_or_default() + &followed;
    ensure!(said.contains(&one.text()), "a tab that came later was told {roles:?} and misses the answer");
    Ok(())
}

async fn a_repeated_run_runs_once(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("golden")?;
    let (mut client, _) = user.connect().await?;
    open(outcome, &mut client, "t1").await?;
    client.run("t1", "r1", "hello").await?;
    client.run("t1", "r1", "hello").await?;
    let mut transcript = answer(&mut client, "t1", 0).await?;
    client.run("t1", "r1", "hello").await?;
    client.run("t1", "r2", "again").await?;
    // The second run comes after everything that the repeated first one could have caused.
    continue_answer(&mut client, "t1", &mut transcript).await?;
    ensure!(transcript.count("RUN_STARTED") == 2, "two runs, one sent three times: {:?}", transcript.kinds());
    Ok(())
}

async fn resumes_after_a_cut(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("golden")?;
    let (mut witness, _) = user.connect().await?;
    let (mut client, welcome) = user.connect().await?;
    open(outcome, &mut witness, "t1").await?;
    let epoch = open(outcome, &mut client, "t1").await?.epoch;
    client.run("t1", "r1", LONG_QUESTION).await?;
    let mut transcript = Transcript::new(0);
    let mut prev = welcome.connection;
    for cut in ["RST", "FIN", "close 1001", "the newer one"] {
        for _ in 0..4 {
            let event = next_event(&mut client, "t1").await?;
            if ends_run(&transcript.take(&event).map_err(anyhow::Error::msg)?) {
                bail!("the answer was over before {cut}: the plan needs an agent that takes longer");
            }
        }
        let resume = Some((transcript.at(), epoch.as_str()));
        match cut {
            "RST" => client.reset()?,
            "FIN" => client.half_close().await?,
            "close 1001" => client.close(1001).await?,
            _ => {}
        }
        let (mut newer, welcome) = user.replace(Some(&prev)).await?;
        ensure!(welcome.limits.used == 1, "after {cut} the user holds {} sessions", welcome.limits.used);
        let started = Instant::now();
        let opened = newer.open(Open { thread: Some("t1"), resume, ..Open::default() }).await?;
        outcome.admitted(started.elapsed());
        ensure!(!opened.reset && opened.after == transcript.at(), "after {cut} it was not resumed: {opened:?}");
        (client, prev) = (newer, welcome.connection);
    }
    continue_answer(&mut client, "t1", &mut transcript).await?;
    let whole = answer(&mut witness, "t1", 0).await?;
    ensure!(transcript == whole, "cut: {:?}, whole: {:?}", transcript.text(), whole.text());
    Ok(())
}

async fn another_epoch_is_reset(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("golden")?;
    let (mut client, _) = user.connect().await?;
    open(outcome, &mut client, "t1").await?;
    client.run("t1", "r1", "hello").await?;
    answer(&mut client, "t1", 0).await?;
    let opened = client.open(Open { thread: Some("t1"), resume: Some((1, "another")), ..Open::default() }).await?;
    ensure!(opened.reset, "an offset of another epoch was taken for one of this: {opened:?}");
    Ok(())
}

async fn stop_cancels(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("golden")?;
    let (mut client, _) = user.connect().await?;
    open(outcome, &mut client, "t1").await?;
    client.run("t1", "r1", STALLING_QUESTION).await?;
    next_event(&mut client, "t1").await?;
    client.stop("t1", "r1").await?;
    let last = loop {
        let event = timeout(PATIENCE, next_event(&mut client, "t1")).await.context("stop did not end the run")??;
        if ends_run(&event.agui()) {
            break event;
        }
    };
    ensure!(last.agui().kind == "RUN_FINISHED", "a stopped run ended with {}", last.event);
    ensure!(last.event.get().contains("cancel"), "a stopped run does not say that it was cancelled: {}", last.event);
    Ok(())
}

async fn second_run_is_busy(scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
    let user = scene.user("golden")?;
    let (mut client, _) = user.connect().await?;
    open(outcome, &mut client, "t1").await?;
    client.run("t1", "r1", STALLING_QUESTION).await?;
    next_event(&mut client, "t1").await?;
    client.run("t1", "r2", "hello").await?;
    let refused = refusal(&mut client).await?;
    ensure!(refused.code == "busy" && refused.retry_in.is_some(), "a second run was told {refused:?}");
    client.stop("t1", "r1").await?;
    let mut first = Transcript::new(0);
    first.take(&next_event(&mut client, "t1").await?).map_err(anyhow::Error::msg)?;
    Ok(())
}
