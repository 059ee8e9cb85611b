//! Tells the store what it has to know: places that came free, sessions that were admitted without it, all that is held
//! when it lost its data, and each lease once in three hours so that its keys do not expire.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, sleep};

use super::Shared;
use super::ledger::Job;
use super::link::Link;
use super::scripts::Reply;
use super::state::Term;
use crate::cluster::lease::Trouble;

/// Commands on their way at once at most.
const AT_ONCE: usize = 64;
/// Jobs that are looked up in one go.
const BATCH: usize = 1_024;
/// After something went wrong, so that a store which answers beats and nothing else is not asked without end.
const PAUSE: Duration = Duration::from_millis(250);
/// How often each lease is refreshed; its keys live twice as long.
pub(super) const REFRESH: Duration = Duration::from_secs(3 * 3_600);

/// Works until the task is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut round = Round { begun: Instant::now(), carried: 0.0 };
    loop {
        let (link, term) = shared.linked().await;
        match work(&shared, &link, &term).await {
            Ok(()) => {
                tokio::select! {
                    () = shared.clerk.notified() => {}
                    () = sleep(shared.interval()) => {}
                }
                round.refresh(&shared);
            }
            Err(Stop::Trouble(trouble)) => {
                shared.suspect(trouble);
                sleep(PAUSE).await;
            }
            Err(Stop::Fenced) => {
                let now = Instant::now();
                shared.wake.notify_one();
                shared.beaten_after(now).await;
            }
        }
    }
}

/// Spreads the refreshes of all leases over three hours.
struct Round {
    begun: Instant,
    /// The part of a lease that is left over from the last time.
    carried: f64,
}

impl Round {
    fn refresh(&mut self, shared: &Shared) {
        let mut ledger = shared.ledger();
        let share = self.begun.elapsed().as_secs_f64() / REFRESH.as_secs_f64();
        self.begun = Instant::now();
        let due = self.carried + share * ledger.len() as f64;
        self.carried = due.fract();
        // More than there are: this node was stopped for hours. Once is enough.
        let count = (due as usize).min(ledger.len());
        ledger.refresh(count);
    }
}

/// Why the clerk does not go on.
enum Stop {
    Trouble(Trouble),
    Fenced,
}

async fn work(shared: &Shared, link: &Link, term: &Term) -> Result<(), Stop> {
    loop {
        let (jobs, was_told) = {
            let ledger = shared.ledger();
            (ledger.jobs(BATCH), ledger.is_told())
        };
        if jobs.is_empty() {
            return Ok(());
        }
        let mut done =
            stream::iter(jobs.into_iter().map(|job| tell(shared, link, term, job))).buffer_unordered(AT_ONCE);
        while let Some(done) = done.next().await {
            done?;
        }
        if !was_told && shared.ledger().is_told() {
            // Others wait for it.
            shared.wake.notify_one();
        }
    }
}

async fn tell(shared: &Shared, link: &Link, term: &Term, job: Job) -> Result<(), Stop> {
    match job {
        Job::Release { lease, user } => {
            shared.scripts.release(link, &user, lease).await.map_err(Stop::Trouble)?;
            shared.ledger().released(lease);
        }
        Job::Assert { lease, user, facts } => {
            match shared.scripts.assert(link, term, lease, &user, &facts).await.map_err(Stop::Trouble)? {
                Reply::Granted { .. } => _ = shared.ledger().granted(lease, term.number),
                Reply::Taken { epoch } => shared.taken(lease, epoch),
                Reply::Fenced => return Err(Stop::Fenced),
                Reply::Denied { .. } => return Err(Stop::Trouble(Trouble::Foreign)),
            }
        }
    }
    Ok(())
}
