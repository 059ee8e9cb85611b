//! Twenty sessions of one user fall silent at once, and he asks for another: the failure that this gateway exists to end.
//!
//! ```text
//! 20 held, answering --SIGSTOP--> 20 zombies that look alive --the user connects, opens--> admitted
//! 19 held + 1 live   --SIGSTOP--> 19 zombies                 --the user connects, opens--> admitted, the live one stays
//! 20 held            --SIGSTOP--> 20 zombies                 --20 opens at once----------> all admitted, none evicts another
//! 20 held            --SIGSTOP, 80 s--> found by heartbeat   --the user connects, opens--> admitted without a probe
//! 20 held            --RST------> 20 lingering               --the user opens------------> admitted without a probe
//! ```

use std::time::Duration;

use anyhow::{Context as _, ensure};
use indicatif::ProgressBar;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::attend::Attended;
use super::hold::{Holder, Order};
use super::talk::open;
use super::{Scene, User};
use crate::client::frame::Frame;
use crate::client::{Client, Mishap, Open, PATIENCE};
use crate::report::Outcome;

/// Three heartbeats of 20 s and a tenth, and the 10 s in which the last may be answered.
const HEARTBEAT_KNOWS: Duration = Duration::from_secs(80);

/// The limit of the default plan.
const LIMIT: usize = 20;

pub(super) async fn play(scene: &Scene, rounds: u32, bar: &ProgressBar) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("twenty-zombies (SIGSTOP)");
    bar.set_length(u64::from(rounds) * 2 + 1);
    for _ in 0..rounds {
        bar.set_message("all twenty are silent");
        outcome.absorb(one_more(scene, 0).await?);
        bar.inc(1);
        bar.set_message("nineteen are silent, one lives");
        outcome.absorb(one_more(scene, 1).await?);
        bar.inc(1);
    }
    bar.set_message("twenty come back at once");
    outcome.absorb(all_come_back(scene).await?);
    Ok(outcome)
}

/// The death of all twenty is known before anybody asks: nobody is probed, nobody waits. Most rounds abandon twenty tabs,
/// whose sessions are known to be bare at once; one more lets twenty fall silent until the heartbeat has found them.
pub(super) async fn play_known(scene: &Scene, rounds: u32, bar: &ProgressBar) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("twenty-zombies (known)");
    bar.set_length(u64::from(rounds) + 1);
    bar.set_message("all twenty are silent until the heartbeat finds them");
    outcome.absorb(found_by_heartbeat(scene).await?);
    bar.inc(1);
    bar.set_message("twenty tabs are lost at once");
    for _ in 0..rounds {
        outcome.absorb(lost_at_once(scene).await?);
        bar.inc(1);
    }
    Ok(outcome)
}

async fn found_by_heartbeat(scene: &Scene) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("twenty-zombies (known)");
    let user = scene.user("zombies")?;
    let holder = hold(scene, &user, LIMIT).await?;
    holder.silence().await?;
    sleep(HEARTBEAT_KNOWS).await;
    let (mut newcomer, welcome) = user.connect().await?;
    if welcome.limits.used != 0 {
        outcome.broke(format!("{} of {LIMIT} dead sessions were not found by their heartbeat", welcome.limits.used));
    }
    // An admission that breaks its promise is in the outcome already.
    let _ = open(&mut outcome, &mut newcomer, "one-more").await;
    holder.end().await?;
    Ok(outcome)
}

async fn lost_at_once(scene: &Scene) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("twenty-zombies (known)");
    let user = scene.user("zombies")?;
    let mut tabs = Vec::new();
    for n in 0..LIMIT {
        let (mut client, _) = user.connect().await?;
        client.open(Open { thread: Some(&format!("lost-{n}")), ..Open::default() }).await?;
        tabs.push(client);
    }
    for client in tabs {
        client.reset()?;
    }
    // The trip that this takes is what the gateway has to notice the first of those ends; it needs no more than one.
    let (mut newcomer, _) = user.connect().await?;
    // An admission that breaks its promise is in the outcome already. How many are held after it is no promise: the
    // background takes lingering sessions too, down to its watermark.
    let _ = open(&mut outcome, &mut newcomer, "one-more").await;
    newcomer.close(1000).await?;
    Ok(outcome)
}

/// One round: `living` sessions go on answering, the rest falls silent, and one more is asked for.
async fn one_more(scene: &Scene, living: usize) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("twenty-zombies");
    let user = scene.user("zombies")?;
    let mut live = Vec::new();
    for n in 0..living {
        let (mut client, _) = user.connect().await?;
        open(&mut outcome, &mut client, &format!("live-{n}")).await?;
        live.push(Attended::new(client));
    }
    let holder = hold(scene, &user, LIMIT - living).await?;
    holder.silence().await?;

    let (mut newcomer, welcome) = user.connect().await?;
    if welcome.limits.used != LIMIT {
        outcome.broke(format!("{LIMIT} sessions were held, the gateway counts {}", welcome.limits.used));
    }
    let admitted = open(&mut outcome, &mut newcomer, "one-more").await;
    if let Ok(opened) = &admitted
        && opened.limits.used > opened.limits.limit
    {
        outcome.broke(format!("{} sessions are held, {} are allowed", opened.limits.used, opened.limits.limit));
    }
    for (n, attended) in live.into_iter().enumerate() {
        if let Err(error) = still_lives(attended, &format!("live-{n}")).await {
            outcome.wrongly_evicted(&error);
        }
    }
    holder.end().await?;
    Ok(outcome)
}

/// All twenty fall silent and all twenty tabs come back by themselves: each is admitted, and none of them costs another.
async fn all_come_back(scene: &Scene) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("twenty-zombies");
    let user = scene.user("zombies")?;
    let holder = hold(scene, &user, LIMIT).await?;
    holder.silence().await?;
    let mut tasks = JoinSet::new();
    for n in 0..LIMIT {
        let user = user.clone();
        tasks.spawn(async move {
            let thread = format!("back-{n}");
            let came = come_back(&user, &thread).await;
            (thread, came)
        });
    }
    let mut back = Vec::new();
    for (thread, came) in tasks.join_all().await {
        match came {
            Ok((client, after)) => {
                outcome.admitted(after);
                back.push((thread, client));
            }
            Err(mishap) => outcome.refused(&mishap),
        }
    }
    for (thread, attended) in back {
        if let Err(error) = still_lives(attended, &thread).await {
            outcome.wrongly_evicted(&error);
        }
    }
    holder.end().await?;
    Ok(outcome)
}

async fn come_back(user: &User, thread: &str) -> Result<(Attended, Duration), Mishap> {
    let (mut client, _) = user.connect().await?;
    let started = Instant::now();
    client.open(Open { thread: Some(thread), ..Open::default() }).await?;
    let after = started.elapsed();
    Ok((Attended::new(client), after))
}

async fn hold(scene: &Scene, user: &User, sessions: usize) -> anyhow::Result<Holder> {
    let order = Order {
        url: scene.endpoint().url(),
        source: user.caller.source,
        credential: user.caller.credential.clone(),
        threads: (0..sessions).map(|n| format!("held-{n}")).collect(),
    };
    Holder::start(&order).await
}

/// A session lives if nobody closed it and it answers a question that only an open session answers.
async fn still_lives(attended: Attended, thread: &str) -> anyhow::Result<()> {
    let recalled = attended.recall().await?;
    if let Some(closed) = recalled.closed().next() {
        anyhow::bail!("{} was closed: {}", closed.thread, closed.reason);
    }
    let mut client: Client = match (recalled.client, recalled.ended) {
        (Some(client), _) => client,
        (None, ended) => anyhow::bail!("its socket ended: {}", ended.context("a socket that is gone has ended")?),
    };
    // A run is answered on an open thread alone; `open` would just open it again.
    client.run(thread, "still-here", "hello").await?;
    let is_open = client.until(PATIENCE, |frame| match frame {
        Frame::Event(event) => Some(event.thread == thread),
        Frame::Error(_) | Frame::Closed(_) => Some(false),
        Frame::Hello(_) | Frame::Opened(_) | Frame::Notice(_) | Frame::Ping | Frame::Unknown(_) => None,
    });
    ensure!(is_open.await?, "{thread} was no longer open");
    Ok(())
}
