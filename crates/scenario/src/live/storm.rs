//! 500 users open 25 threads each, each on a socket of its own, all at the same moment: a cold start after an outage.
//!
//! ```text
//! connect all --> hello all --> |start| open all at once --> every one `opened`, 5 per user evicted for room
//!                                                        --> |stop| leave, close --> nothing is left
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Scene, User, metrics};
use crate::client::{Client, Ended, Open, PATIENCE, Trouble};
use crate::report::Outcome;

/// Users.
const USERS: usize = 500;

/// Opens of each user, each on a socket of its own.
const OPENS: usize = 25;

/// The limit of the default plan.
const LIMIT: usize = 20;

/// Why a session ends that made room for a newer one.
const EVICTED: &str = "evicted";

/// Sockets that are being connected at a time: the storm is one of opens, not of the kernel's accept queue.
const CONNECTING: usize = 256;

/// Between two looks at the gauge while the storm lasts.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Of the second that a probe takes, the second ping leaves its client 600 ms: one that was late for half of them cannot
/// be sure to have answered.
const TOO_LATE: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Phase {
    Gathering,
    Open,
    Leave,
}

/// What became of one open.
#[derive(Debug)]
struct Fate {
    user: usize,
    opened: Result<Duration, Trouble>,
    /// It was admitted and told so, and closed later.
    evicted: bool,
    over_limit: usize,
}

pub(super) async fn play(scene: &Scene, bar: &ProgressBar) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("storm");
    bar.set_length((USERS * OPENS) as u64);
    let (phase, phases) = watch::channel(Phase::Gathering);
    let (gathered, answered) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let dialling = Arc::new(Semaphore::new(CONNECTING));
    let mut tabs = JoinSet::new();
    for user in 0..USERS {
        let name = scene.user("storm")?;
        for n in 0..OPENS {
            let tab = Tab {
                user,
                name: name.clone(),
                thread: format!("t{n}"),
                phases: phases.clone(),
                gathered: Arc::clone(&gathered),
                answered: Arc::clone(&answered),
            };
            tabs.spawn(tab.live(Arc::clone(&dialling)));
        }
    }
    wait_for_all(&gathered, "connecting", bar).await?;
    let gauge = watch_gauge(scene).await?;
    bar.set_position(0);
    let lateness = Lateness::watch();
    phase.send(Phase::Open)?;
    wait_for_all(&answered, "opening", bar).await?;
    let late = lateness.longest();
    let most = match gauge {
        Some((watcher, before)) => {
            // A watcher that ended early says why itself.
            let _ = watcher.stop.send(());
            Some(watcher.task.await??.saturating_sub(before))
        }
        None => None,
    };
    bar.set_message("leaving");
    phase.send(Phase::Leave)?;
    judge(&mut outcome, tabs.join_all().await, most, late);
    Ok(outcome)
}

fn judge(outcome: &mut Outcome, fates: Vec<Fate>, most: Option<u64>, late: Duration) {
    let mut admitted = [0_usize; USERS];
    let mut evicted = [0_usize; USERS];
    let (mut untold, mut excused) = (0_usize, 0_usize);
    for fate in fates {
        match fate.opened {
            Ok(after) => {
                outcome.admitted(after);
                admitted[fate.user] += 1;
                evicted[fate.user] += usize::from(fate.evicted);
            }
            // More live tabs than slots: this one had its slot, and a newer one has it now.
            Err(Trouble::Closed(closed)) if closed.reason == EVICTED => {
                outcome.admitted_untold();
                admitted[fate.user] += 1;
                evicted[fate.user] += 1;
                untold += 1;
            }
            // It was silent for a whole probe, because we were: the gateway is right to call that dead.
            Err(Trouble::Ended(Ended { code: None, .. })) if late >= TOO_LATE => excused += 1,
            Err(trouble) => outcome.refused(&trouble),
        }
        if fate.over_limit > 0 {
            outcome.broke(format!("a frame said that the limit is exceeded by {}", fate.over_limit));
        }
    }
    if untold > 0 {
        outcome.note(format!(
            "{untold} opens lost their slot to a newer open of the same user before `opened` was written: `closed` was \
             their answer"
        ));
    }
    if excused > 0 {
        outcome.note(format!(
            "{excused} opens are not counted: this program was itself {late:?} late, so that their clients could not \
             answer a probe in time; try again on a machine that does less"
        ));
    }
    for (user, (admitted, evicted)) in admitted.into_iter().zip(evicted).enumerate() {
        // Every admission beyond the limit costs exactly one live session; one more would be one too many.
        let needed = admitted.saturating_sub(LIMIT);
        (needed..evicted).for_each(|_| {
            outcome.wrongly_evicted(&format!(
                "user {user} had {admitted} opens and lost {evicted} sessions, not {needed}"
            ));
        });
    }
    if let Some(most) = most
        && most > (USERS * LIMIT) as u64
    {
        outcome.broke(format!("the gauge showed {most} sessions; {USERS} users may hold {}", USERS * LIMIT));
    }
}

/// How late this program itself was. All clients live in it: while it does not run, none of them answers.
struct Lateness {
    longest: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Lateness {
    fn watch() -> Self {
        let longest = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&longest);
        let task = tokio::spawn(async move {
            loop {
                let due = Instant::now() + LOOK_EVERY;
                sleep_until(due).await;
                let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                seen.fetch_max(micros, Ordering::Relaxed);
            }
        });
        Self { longest, task }
    }

    fn longest(self) -> Duration {
        self.task.abort();
        Duration::from_micros(self.longest.load(Ordering::Relaxed))
    }
}

struct Watcher {
    stop: tokio::sync::oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<u64>>,
}

/// Looks at the gateway's own count all through the storm: the most that it ever showed, and what it showed before.
async fn watch_gauge(scene: &Scene) -> anyhow::Result<Option<(Watcher, u64)>> {
    let (Some(admin), Some(before)) = (scene.admin(), scene.taken().await?) else {
        return Ok(None);
    };
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut most = 0;
        loop {
            let now = admin.scrape().await?.sum(metrics::SESSIONS).context("the gauge is gone")? as u64;
            most = most.max(now);
            tokio::select! {
                _ = &mut stopped => return Ok(most),
                () = sleep(LOOK_EVERY) => {}
            }
        }
    });
    Ok(Some((Watcher { stop, task }, before.sessions)))
}

async fn wait_for_all(done: &Semaphore, doing: &'static str, bar: &ProgressBar) -> anyhow::Result<()> {
    bar.set_message(doing);
    for _ in 0..USERS * OPENS {
        // Every task reports within its own deadlines, whatever the gateway does.
        done.acquire().await?.forget();
        bar.inc(1);
    }
    Ok(())
}

struct Tab {
    user: usize,
    name: User,
    thread: String,
    phases: watch::Receiver<Phase>,
    gathered: Arc<Semaphore>,
    answered: Arc<Semaphore>,
}

impl Tab {
    async fn live(mut self, dialling: Arc<Semaphore>) -> Fate {
        let connected = match dialling.acquire().await {
            Ok(_permit) => self.name.connect().await,
            Err(_) => Err(Trouble::Mute(PATIENCE)),
        };
        self.gathered.add_permits(1);
        let mut client = match connected {
            Ok((client, _)) => client,
            Err(trouble) => {
                self.answered.add_permits(1);
                return self.fate(Err(trouble));
            }
        };
        let opened = self.open(&mut client).await;
        self.answered.add_permits(1);
        let mut fate = self.fate(opened);
        if fate.opened.is_ok() {
            fate.evicted = stay(&mut client, &mut self.phases).await;
        }
        fate.over_limit = client.seen().over_limit;
        if !fate.evicted {
            // What the gateway does with a goodbye is judged by what is left over afterwards.
            let _ = client.close(1000).await;
        }
        fate
    }

    async fn open(&mut self, client: &mut Client) -> Result<Duration, Trouble> {
        until_phase(client, &mut self.phases, Phase::Open).await?;
        let started = Instant::now();
        client.open(Open { thread: Some(&self.thread), ..Open::default() }).await?;
        Ok(started.elapsed())
    }

    fn fate(&self, opened: Result<Duration, Trouble>) -> Fate {
        Fate { user: self.user, opened, evicted: false, over_limit: 0 }
    }
}

/// Answers pings until everybody is in; whether the session was ended before that.
async fn stay(client: &mut Client, phases: &mut watch::Receiver<Phase>) -> bool {
    until_phase(client, phases, Phase::Leave).await.is_err()
}

/// Reads until a phase begins; an end of the session or of the socket comes first where it does.
async fn until_phase(client: &mut Client, phases: &mut watch::Receiver<Phase>, phase: Phase) -> Result<(), Trouble> {
    loop {
        tokio::select! {
            reached = phases.wait_for(|now| *now >= phase) => {
                return reached.map(drop).map_err(|_| Trouble::Mute(PATIENCE));
            }
            frame = client.next() => if let Some(closed) = frame?.closed() {
                return Err(Trouble::Closed(Box::new(closed.clone())));
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Fate {
        Fate { user: 0, opened: Err(Trouble::Ended(Ended::default())), evicted: false, over_limit: 0 }
    }

    #[test]
    fn an_open_that_is_cut_off_is_a_refusal() {
        let mut outcome = Outcome::new("storm");
        judge(&mut outcome, vec![lost()], None, Duration::from_millis(20));
        assert!(!outcome.is_kept());
    }

    #[test]
    fn an_open_whose_client_could_not_answer_because_of_us_is_told_and_not_counted() {
        let mut outcome = Outcome::new("storm");
        judge(&mut outcome, vec![lost()], None, Duration::from_millis(900));
        assert!(outcome.is_kept() && outcome.sentences()[0].contains("1 opens are not counted"));
    }

    #[test]
    fn a_session_more_than_the_limit_needs_was_wrongly_evicted() {
        let fate = |evicted| Fate { user: 0, opened: Ok(Duration::ZERO), evicted, over_limit: 0 };
        let mut outcome = Outcome::new("storm");
        judge(&mut outcome, (0..=LIMIT).map(|n| fate(n < 2)).collect(), None, Duration::ZERO);
        assert!(outcome.sentences()[0].contains("lost 2 sessions, not 1"), "{:?}", outcome.sentences());
    }
}
