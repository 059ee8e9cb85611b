//! The gateway's process is killed while clients hold sessions and runs are in flight, and started again: everybody comes
//! back at once, nobody is refused, and nothing of before holds a slot.
//!
//! ```text
//! 4 users x 20 tabs, a run each --SIGKILL--> every socket ends --start, same ports--> 80 tabs reconnect at once
//!                                                              --> 20 of 20 each, all admitted, none evicts another
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::attend::Attended;
use super::gateway::Gateway;
use super::{Scene, User};
use crate::client::{Client, Open, Trouble};
use crate::report::Outcome;

/// The limit of the default plan, and the users.
const LIMIT: usize = 20;
const USERS: usize = 4;

/// A killed process' sockets end at once.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn play(binary: Option<&Path>, bar: &ProgressBar) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("restart-with-orphans (killed)");
    bar.set_length(3);
    let gateway = Gateway::start(binary, &[]).await?;
    let scene = gateway.scene();
    bar.set_message("sessions are held, runs are in flight");
    let mut tabs = Vec::new();
    for _ in 0..USERS {
        let user = scene.user("orphans")?;
        for n in 0..LIMIT {
            let (mut client, welcome) = user.connect().await?;
            let thread = format!("t{n}");
            client.open(Open { thread: Some(&thread), ..Open::default() }).await?;
            client.run(&thread, &format!("r{n}"), "please stall").await?;
            tabs.push(Tab { user: user.clone(), thread, prev: welcome.connection, client: Some(client) });
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
    let mut back = Vec::new();
    for came in coming.join_all().await {
        match came {
            Ok((client, after)) => {
                outcome.admitted(after);
                back.push(Attended::new(client));
            }
            Err(trouble) => outcome.refused(&trouble),
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
    outcome.leaked(scene.settle(super::Taken { sessions: 0, connections: 0 }).await?);
    Ok(())
}

struct Tab {
    user: User,
    thread: String,
    prev: String,
    client: Option<Client>,
}

impl Tab {
    /// Notices that its socket ended, and comes back naming it, which the new process has never heard of.
    async fn come_back(mut self) -> Result<(Client, Duration), Trouble> {
        if let Some(mut client) = self.client.take() {
            let end = async { while client.next().await.is_ok() {} };
            timeout(ENDS_WITHIN, end).await.map_err(|_| Trouble::Mute(ENDS_WITHIN))?;
        }
        let (mut client, _) = self.user.replace(Some(&self.prev)).await?;
        let started = Instant::now();
        client.open(Open { thread: Some(&self.thread), ..Open::default() }).await?;
        Ok((client, started.elapsed()))
    }
}
