//! A node with 5,000 clients and 200 runs in flight is told to stop: everybody is told when to come back, evenly over the
//! drain; runs finish or end with a reason; what was given is there after the restart.
//!
//! ```text
//! 250 users x 20 tabs, 200 runs --SIGTERM--> notices, closes 4001, exit 0 --start, same ports and data-->
//!     the 200 resume behind their last event, and the log continues to the end of their run
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use indicatif::ProgressBar;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::User;
use super::folder::Folder;
use super::gateway::Gateway;
use super::login::Provider;
use super::talk::{continue_answer, next_event};
use crate::client::frame::{Frame, Notice};
use crate::client::transcript::{Transcript, ends_run};
use crate::client::{Client, Mishap, Open};
use crate::report::Outcome;

const USERS: usize = 250;
const TABS: usize = 20;
const RUNS: usize = 200;

/// Every fourth run never ends by itself; the others take as long as so many words do, 80 ms each: all are in flight when
/// the drain begins, and end before it does.
const STALLS: usize = 4;
const WORDS: usize = 55;

/// Handshakes at a time, so that the crowd gathers without being a storm.
const AT_ONCE: usize = 64;

/// The drain timeout of the production profile, which this plan leaves alone, and what the end may take beyond it.
const DRAIN: Duration = Duration::from_secs(10);
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// In a tenth of the drain come back at most so many times as many as on average: a busy machine is late, a storm is more.
const UNEVEN: usize = 3;

pub(super) async fn play(
    binary: Option<&Path>,
    provider: Option<&Provider>,
    bar: &ProgressBar,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("drain");
    let data = Folder::new();
    let directory = data.path().to_string_lossy();
    let settings = [
        ("LYCHGATE__JOURNAL__KIND", "sqlite"),
        ("LYCHGATE__JOURNAL__DIRECTORY", &*directory),
        ("LYCHGATE__AGENTS__DEMO__DELAY", "80ms"),
    ];
    let gateway = Gateway::start_for(binary, &settings, provider).await?;
    bar.set_length((USERS * TABS) as u64);
    bar.set_message("5,000 clients come");
    let mut tabs = gather(&gateway, &mut outcome, bar).await?;
    bar.set_message("200 runs begin");
    for (n, tab) in tabs.iter_mut().take(RUNS).enumerate() {
        tab.ask(n % STALLS == 0).await?;
    }
    bar.set_message("the node drains");
    let begin = Instant::now();
    gateway.tell_to_stop()?;
    let mut leaving = JoinSet::new();
    for tab in tabs {
        leaving.spawn(timeout(ENDS_WITHIN, tab.leave(begin)));
    }
    let mut gone = Vec::new();
    while let Some(left) = leaving.join_next().await {
        match left?.context("the drain never reached a client").and_then(|left| left) {
            Ok(left) => gone.push(left),
            Err(lost) => outcome.broke(format!("{lost:#}")),
        }
    }
    judge(&mut outcome, &gone);
    let (gateway, status) = gateway.start_again().await?;
    if !status.success() {
        outcome.broke(format!("told to stop, it ended with {status}"));
    }
    bar.set_message("readers of answers come back");
    for left in gone {
        if let Err(lost) = left.resumes().await {
            outcome.broke(format!("{lost:#}"));
        }
    }
    outcome.absorb(gateway.stop().await?);
    Ok(outcome)
}

async fn gather(gateway: &Gateway, outcome: &mut Outcome, bar: &ProgressBar) -> anyhow::Result<Vec<Tab>> {
    let scene = gateway.scene();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut coming = JoinSet::new();
    for _ in 0..USERS {
        let user = scene.user("drained")?;
        for n in 0..TABS {
            coming.spawn(Tab::come(user.clone(), format!("t{n}"), Arc::clone(&turns), bar.clone()));
        }
    }
    let mut tabs = Vec::new();
    for came in coming.join_all().await {
        match came {
            Ok((tab, after)) => {
                outcome.admitted(after);
                tabs.push(tab);
            }
            Err(mishap) => outcome.refused(&mishap),
        }
    }
    Ok(tabs)
}

/// One tab of one user.
struct Tab {
    user: User,
    thread: String,
    epoch: String,
    client: Client,
    seen: Transcript,
    run: Option<Run>,
}

#[derive(Clone, Copy)]
struct Run {
    stalls: bool,
}

impl Tab {
    async fn come(
        user: User,
        thread: String,
        turns: Arc<Semaphore>,
        bar: ProgressBar,
    ) -> Result<(Self, Duration), Mishap> {
        let _turn = turns.acquire().await;
        let started = Instant::now();
        let (mut client, _) = user.connect().await?;
        let opened = client.open(Open { thread: Some(&thread), ..Open::default() }).await?;
        bar.inc(1);
        let seen = Transcript::new(opened.after);
        Ok((Self { user, thread, epoch: opened.epoch, client, seen, run: None }, started.elapsed()))
    }

    /// Begins a run, and waits until it is in the log: from there on it is promised.
    async fn ask(&mut self, stalls: bool) -> anyhow::Result<()> {
        let text = if stalls { "please stall".to_owned() } else { "word ".repeat(WORDS) };
        self.client.run(&self.thread, "r1", &text).await?;
        let event = next_event(&mut self.client, &self.thread).await?;
        self.seen.take(&event).map_err(anyhow::Error::msg)?;
        self.run = Some(Run { stalls });
        Ok(())
    }

    /// Reads until the gateway closes the socket.
    async fn leave(mut self, begin: Instant) -> anyhow::Result<Left> {
        let mut invited = None;
        let mut ended = None;
        let end = loop {
            match self.client.next().await {
                Ok(Frame::Notice(Notice::Reconnect { retry_in, .. })) => {
                    invited = Some(begin.elapsed() + Duration::from_millis(retry_in));
                }
                Ok(frame) => {
                    if let Some(event) = frame.event_of(&self.thread) {
                        let agui = self.seen.take(event).map_err(anyhow::Error::msg)?;
                        ended = ends_run(&agui).then_some(begin.elapsed()).or(ended);
                    }
                }
                Err(Mishap::Ended(end)) => break end,
                Err(other) => return Err(other.into()),
            }
        };
        let closed = begin.elapsed();
        ensure!(end.code == Some(4001), "{} was closed with {:?} {}", self.thread, end.code, end.reason);
        let reason: Value = serde_json::from_str(&end.reason).context("the reason of a close is JSON")?;
        ensure!(reason["reconnect"] == true && reason["retry_in"].is_u64(), "the close says {reason}");
        let invited = invited.with_context(|| format!("{} was closed without a notice", self.thread))?;
        Ok(Left { tab: self, invited, closed, ended })
    }
}

/// A tab whose socket was closed.
struct Left {
    tab: Tab,
    /// When it was asked to come back.
    invited: Duration,
    /// When it was closed.
    closed: Duration,
    /// When its run ended, before that.
    ended: Option<Duration>,
}

impl Left {
    /// Its log goes on behind what it was given, to the end of its run.
    async fn resumes(self) -> anyhow::Result<()> {
        let Self { tab: Tab { user, thread, epoch, mut seen, run, .. }, ended, .. } = self;
        let Some(run) = run else { return Ok(()) };
        let (mut client, _) = user.connect().await?;
        let resume = Some((seen.at(), epoch.as_str()));
        let opened = client.open(Open { thread: Some(&thread), resume, ..Open::default() }).await?;
        ensure!(!opened.reset && opened.epoch == epoch, "{thread} has another log after the drain");
        if ended.is_none() {
            continue_answer(&mut client, &thread, &mut seen).await?;
        }
        let last = seen.kinds().last().copied().unwrap_or_default();
        let expected = if run.stalls { "RUN_ERROR" } else { "RUN_FINISHED" };
        ensure!(last == expected, "the run of {} on {thread} ended as {last}, not as {expected}", user.name);
        client.close(1000).await?;
        Ok(())
    }
}

/// Whether they come back evenly, and nobody was cut off in an answer that had time to end.
fn judge(outcome: &mut Outcome, gone: &[Left]) {
    let came_back = tenths(gone.iter().map(|left| left.invited));
    let closed = tenths(gone.iter().filter(|left| left.tab.run.is_none()).map(|left| left.closed));
    outcome.note(format!("come back per tenth of the {} s of the drain: {came_back:?}", DRAIN.as_secs()));
    outcome.note(format!("closed per tenth: {closed:?}, and {} more when their runs had ended", RUNS));
    let most = gone.len() / 10 * UNEVEN;
    for (what, tenths) in [("come back", came_back), ("are closed", closed)] {
        if let Some(crowd) = tenths.iter().find(|crowd| **crowd > most) {
            outcome.broke(format!("{crowd} of {} {what} within a tenth of the drain", gone.len()));
        }
    }
}

/// How many fall into each tenth of the drain; what is later falls into the last.
fn tenths(times: impl Iterator<Item = Duration>) -> [usize; 10] {
    let mut tenths = [0; 10];
    times.for_each(|at| tenths[((at.as_millis() * 10 / DRAIN.as_millis()) as usize).min(9)] += 1);
    tenths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_counts_its_own_and_the_last_one_the_late() {
        let times = [0, 999, 1_000, 9_999, 60_000].map(Duration::from_millis);
        assert_eq!(tenths(times.into_iter()), [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    }
}
