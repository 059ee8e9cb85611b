//! 500 users open 25 threads each, each on a socket of its own, all at the same moment: a cold start after an outage.
//!
//! ```text
//! connect all --> hello all --> |start| open all at once --> every one `opened`, 5 per user evicted for room
//!                                                        --> |stop| leave, close --> nothing is left
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Scene, User, metrics};
use crate::client::{Client, Ended, Mishap, Open, PATIENCE};
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

/// Of so many opens one may be cut off because we were late. More is no hiccup of ours, whatever the clock says.
const ONE_EXCUSED_IN: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum StormPhase {
    Gathering,
    Open,
    Leave,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Instant,
    to: Instant,
}

impl Span {
    fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// What became of one open.
#[derive(Debug)]
struct Fate {
    user: usize,
    /// From when its open was sent to when its fate was known; none where no open was ever sent.
    pending: Option<Span>,
    opened: Result<Duration, Mishap>,
    /// It was admitted and told so, and closed later.
    evicted: bool,
    over_limit: usize,
}

pub(super) async fn play(scene: &Scene, bar: &ProgressBar) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("storm");
    bar.set_length((USERS * OPENS) as u64);
    let (phase, phases) = watch::channel(StormPhase::Gathering);
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
    phase.send(StormPhase::Open)?;
    wait_for_all(&answered, "opening", bar).await?;
    let late = lateness.spans();
    let most = match gauge {
        Some((watcher, before)) => {
            // A watcher that ended early says why itself.
            let _ = watcher.stop.send(());
            Some(watcher.task.await??.saturating_sub(before))
        }
        None => None,
    };
    bar.set_message("leaving");
    phase.send(StormPhase::Leave)?;
    judge(&mut outcome, tabs.join_all().await, most, &late);
    Ok(outcome)
}

fn judge(outcome: &mut Outcome, fates: Vec<Fate>, most: Option<u64>, late: &[Span]) {
    let mut admitted = [0_usize; USERS];
    let mut evicted = [0_usize; USERS];
    let (mut untold, mut excused) = (0_usize, 0_usize);
    let attempts = fates.len();
    for fate in fates {
        let we_were_late = fate.pending.is_some_and(|pending| late.iter().any(|span| span.overlaps(pending)));
        match fate.opened {
            Ok(after) => {
                outcome.admitted(after);
                admitted[fate.user] += 1;
                evicted[fate.user] += usize::from(fate.evicted);
            }
            // More live tabs than slots: this one had its slot, and a newer one has it now.
            Err(Mishap::Closed(closed)) if closed.reason == EVICTED => {
                outcome.admitted_untold();
                admitted[fate.user] += 1;
                evicted[fate.user] += 1;
                untold += 1;
            }
            // It was silent for a whole probe, because we were: the gateway is right to call that dead.
            Err(Mishap::Ended(Ended { code: None, .. })) if we_were_late => {
                outcome.excused();
                excused += 1;
            }
            Err(mishap) => outcome.refused(&mishap),
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
            "{excused} opens of {attempts} were cut off while this program was itself late by {TOO_LATE:?} or more, so \
             that their clients could not answer a probe in time: they are neither admitted nor refused"
        ));
    }
    if excused > attempts / ONE_EXCUSED_IN {
        outcome.broke(format!(
            "{excused} opens were cut off while we were late; of {attempts} one in {ONE_EXCUSED_IN} is excused"
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

/// When this program itself was late. All clients live in it: while it does not run, none of them answers.
struct Lateness {
    spans: Arc<Mutex<Vec<Span>>>,
    task: JoinHandle<()>,
}

impl Lateness {
    fn watch() -> Self {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&spans);
        let task = tokio::spawn(async move {
            loop {
                let due = Instant::now() + LOOK_EVERY;
                sleep_until(due).await;
                if due.elapsed() >= TOO_LATE {
                    // Each takes as long as it says, and the storm ends within the deadlines of its clients: they are few.
                    let span = Span { from: due, to: Instant::now() };
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(span);
                }
            }
        });
        Self { spans, task }
    }

    fn spans(self) -> Vec<Span> {
        self.task.abort();
        std::mem::take(&mut self.spans.lock().unwrap_or_else(PoisonError::into_inner))
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
    phases: watch::Receiver<StormPhase>,
    gathered: Arc<Semaphore>,
    answered: Arc<Semaphore>,
}

impl Tab {
    async fn live(mut self, dialling: Arc<Semaphore>) -> Fate {
        let connected = match dialling.acquire().await {
            Ok(_permit) => self.name.connect().await,
            Err(_) => Err(Mishap::Mute(PATIENCE)),
        };
        self.gathered.add_permits(1);
        let mut client = match connected {
            Ok((client, _)) => client,
            Err(mishap) => {
                self.answered.add_permits(1);
                return self.fate(Err(mishap));
            }
        };
        let mut fate = self.open(&mut client).await;
        self.answered.add_permits(1);
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

    async fn open(&mut self, client: &mut Client) -> Fate {
        if let Err(mishap) = until_phase(client, &mut self.phases, StormPhase::Open).await {
            return self.fate(Err(mishap));
        }
        let from = Instant::now();
        if let Err(mishap) = client.ask_open(Open { thread: Some(&self.thread), ..Open::default() }).await {
            return self.fate(Err(mishap));
        }
        let opened = client.opened(Some(&self.thread)).await;
        let to = Instant::now();
        Fate { pending: Some(Span { from, to }), ..self.fate(opened.map(|_| to - from)) }
    }

    /// Of one whose open was not sent.
    fn fate(&self, opened: Result<Duration, Mishap>) -> Fate {
        Fate { user: self.user, pending: None, opened, evicted: false, over_limit: 0 }
    }
}

/// Answers pings until everybody is in; whether the session was ended before that.
async fn stay(client: &mut Client, phases: &mut watch::Receiver<StormPhase>) -> bool {
    until_phase(client, phases, StormPhase::Leave).await.is_err()
}

/// Reads until a phase begins; an end of the session or of the socket comes first where it does.
async fn until_phase(
    client: &mut Client,
    phases: &mut watch::Receiver<StormPhase>,
    phase: StormPhase,
) -> Result<(), Mishap> {
    loop {
        tokio::select! {
            reached = phases.wait_for(|now| *now >= phase) => {
                return reached.map(drop).map_err(|_| Mishap::Mute(PATIENCE));
            }
            frame = client.next() => if let Some(closed) = frame?.closed() {
                return Err(Mishap::Closed(Box::new(closed.clone())));
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn span(began: Instant, from: u32, to: u32) -> Span {
        Span { from: began + MS * from, to: began + MS * to }
    }

    fn lost(pending: Option<Span>) -> Fate {
        let opened = Err(Mishap::Ended(Ended::default()));
        Fate { user: 0, pending, opened, evicted: false, over_limit: 0 }
    }

    /// 1,000 opens, of which these were cut off while we were late from 100 ms to 900 ms.
    fn judged(cut_off: &[Option<(u32, u32)>]) -> Outcome {
        let began = Instant::now();
        let pending = |it: &Option<(u32, u32)>| lost(it.map(|(from, to)| span(began, from, to)));
        let opened = |n| Fate { user: n / LIMIT, opened: Ok(MS), ..lost(None) };
        let fates = cut_off.iter().map(pending).chain((cut_off.len()..1_000).map(opened));
        let mut outcome = Outcome::new("storm");
        judge(&mut outcome, fates.collect(), None, &[span(began, 100, 900)]);
        outcome
    }

    #[test]
    fn an_open_that_is_cut_off_while_we_were_late_is_excused_and_still_counted() {
        let outcome = judged(&[Some((0, 200))]);
        assert!(outcome.is_kept() && outcome.sentences()[0].contains("1 opens of 1000"), "{:?}", outcome.sentences());
        let row = crate::report::table(&[outcome]);
        assert!(row.contains("|     1000 |      999 |       0 |"), "{row}");
    }

    #[test]
    fn an_open_that_is_cut_off_before_or_after_we_were_late_is_a_refusal() {
        assert!(!judged(&[Some((0, 90))]).is_kept());
        assert!(!judged(&[Some((901, 950))]).is_kept());
    }

    #[test]
    fn a_client_that_is_cut_off_before_it_asks_is_never_excused() {
        assert!(!judged(&[None]).is_kept());
    }

    #[test]
    fn more_than_one_excuse_in_a_thousand_breaks_the_promise() {
        let outcome = judged(&[Some((0, 200)), Some((150, 300))]);
        assert!(outcome.sentences()[0].contains("one in 1000 is excused"), "{:?}", outcome.sentences());
    }

    #[test]
    fn a_session_more_than_the_limit_needs_was_wrongly_evicted() {
        let fate = |evicted| Fate { opened: Ok(Duration::ZERO), evicted, ..lost(None) };
        let mut outcome = Outcome::new("storm");
        judge(&mut outcome, (0..=LIMIT).map(|n| fate(n < 2)).collect(), None, &[]);
        assert!(outcome.sentences()[0].contains("lost 2 sessions, not 1"), "{:?}", outcome.sentences());
    }
}
