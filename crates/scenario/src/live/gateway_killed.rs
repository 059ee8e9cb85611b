//! The gateway's process is killed while clients hold sessions and runs are in flight, and started again: everybody comes
//! back at once, nobody is refused, nothing of before holds a slot, and nothing that was acknowledged is lost.
//!
//! ```text
//! 4 users x 20 tabs, a run each --SIGKILL--> every socket ends --start, same ports and data--> 80 tabs reconnect at once
//!                --> 20 of 20 each, all admitted, none evicts another
//!                --> each resumes behind its last event, sees its run end with `gateway_restarted`, and asks again
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use indicatif::ProgressBar;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::attend::Attended;
use super::folder::Folder;
use super::gateway::Gateway;
use super::login::Provider;
use super::scene::Remains;
use super::talk::{continue_answer, next_event};
use super::{Scene, User};
use crate::client::frame::Opened;
use crate::client::transcript::Transcript;
use crate::client::{Client, Mishap, Open};
use crate::report::Outcome;

/// The limit of the default plan, and the users.
const LIMIT: usize = 20;
const USERS: usize = 4;

/// A killed process' sockets end at once.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn play(
    binary: Option<&Path>,
    provider: Option<&Provider>,
    bar: &ProgressBar,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("restart-with-orphans (killed)");
    bar.set_length(3);
    let data = Folder::new();
    let directory = data.path().to_string_lossy();
    let journal = [
        ("LYCHGATE__JOURNAL__KIND", "sqlite"),
        ("LYCHGATE__JOURNAL__DIRECTORY", &*directory),
        ("LYCHGATE__JOURNAL__DURABILITY", "full"),
    ];
    let gateway = Gateway::start_for(binary, &journal, provider).await?;
    let scene = gateway.scene();
    bar.set_message("sessions are held, runs are in flight");
    let mut tabs = Vec::new();
    for _ in 0..USERS {
        let user = scene.user("orphans")?;
        for n in 0..LIMIT {
            let (mut client, welcome) = user.connect().await?;
            let thread = format!("t{n}");
            let opened = client.open(Open { thread: Some(&thread), ..Open::default() }).await?;
            client.run(&thread, &format!("r{n}"), "please stall").await?;
            let mut seen = Transcript::new(opened.after);
            seen.take(&next_event(&mut client, &thread).await?).map_err(anyhow::Error::msg)?;
            tabs.push(Tab {
                user: user.clone(),
                thread,
                prev: welcome.connection,
                epoch: opened.epoch,
                seen,
                client: Some(client),
            });
        }
    }
    bar.inc(1);
    bar.set_message("the gateway is killed");
    let gateway = gateway.crash().await?;
    bar.inc(1);
    bar.set_message("everybody comes back");
    let mut coming = JoinSet::new();
    for tab in tabs {
        coming.spawn(tab.come_back());
    }
    let mut resumed = JoinSet::new();
    for came in coming.join_all().await {
        match came {
            Ok(back_again) => {
                outcome.admitted(back_again.after);
                resumed.spawn(back_again.goes_on());
            }
            Err(mishap) => outcome.refused(&mishap),
        }
    }
    let mut back = Vec::new();
    for client in resumed.join_all().await {
        match client {
            Ok(client) => back.push(Attended::new(client)),
            Err(lost) => outcome.broke(format!("{lost:#}")),
        }
    }
    settle(&mut outcome, back, &scene, &gateway).await?;
    outcome.absorb(gateway.stop().await?);
    bar.inc(1);
    Ok(outcome)
}

/// Nobody was evicted by a neighbour, and all that is held is what came back.
async fn settle(outcome: &mut Outcome, back: Vec<Attended>, scene: &Scene, gateway: &Gateway) -> anyhow::Result<()> {
    let held = back.len() as u64;
    let counted = gateway.scene().taken().await?.context("a gateway of our own has an admin listener")?.sessions;
    if counted != held {
        outcome.broke(format!("{held} sessions came back, the gateway counts {counted}"));
    }
    for attended in back {
        let recalled = attended.recall().await?;
        if let Some(closed) = recalled.closed().next() {
            outcome.wrongly_evicted(&format!("{} was closed: {}", closed.thread, closed.reason));
        } else if let Some(ended) = &recalled.ended {
            outcome.wrongly_evicted(ended);
        }
        if let Some(client) = recalled.client {
            client.reset()?;
        }
    }
    outcome.leaked(scene.settle(super::Taken { sessions: 0, connections: 0 }, Remains::Ended).await?);
    Ok(())
}

struct Tab {
    user: User,
    thread: String,
    prev: String,
    epoch: String,
    /// What it was given before the gateway was killed.
    seen: Transcript,
    client: Option<Client>,
}

impl Tab {
    /// Notices that its socket ended, and comes back naming it, which the new process has never heard of.
    async fn come_back(mut self) -> Result<BackAgain, Mishap> {
        if let Some(mut client) = self.client.take() {
            let end = async {
                while let Ok(frame) = client.next().await {
                    if let Some(event) = frame.event_of(&self.thread) {
                        self.seen.take(event).map_err(Mishap::Protocol)?;
                    }
                }
                Ok::<_, Mishap>(())
            };
            timeout(ENDS_WITHIN, end).await.map_err(|_| Mishap::Mute(ENDS_WITHIN))??;
        }
        let (mut client, _) = self.user.replace(Some(&self.prev)).await?;
        let started = Instant::now();
        let resume = Some((self.seen.at(), self.epoch.as_str()));
        let opened = client.open(Open { thread: Some(&self.thread), resume, ..Open::default() }).await?;
        Ok(BackAgain { after: started.elapsed(), tab: self, opened, client })
    }
}

/// A tab whose thread is open again.
struct BackAgain {
    tab: Tab,
    opened: Opened,
    client: Client,
    after: Duration,
}

impl BackAgain {
    /// The log is the one of before: it continues behind what the tab has, the run has an end, and the next one works.
    async fn goes_on(mut self) -> anyhow::Result<Client> {
        let Tab { thread, epoch, mut seen, .. } = self.tab;
        ensure!(!self.opened.reset, "{thread} was reset: what it had until {} is lost", seen.at());
        ensure!(self.opened.epoch == epoch, "{thread} has another log after the restart");
        continue_answer(&mut self.client, &thread, &mut seen).await?;
        ensure!(seen.kinds().last() == Some(&"RUN_ERROR"), "the run of {thread} goes on as {:?}", seen.kinds());
        self.client.run(&thread, "after", "hello").await?;
        continue_answer(&mut self.client, &thread, &mut seen).await?;
        ensure!(seen.kinds().last() == Some(&"RUN_FINISHED"), "{thread} takes no run: {:?}", seen.kinds());
        Ok(self.client)
    }
}
