//! A plain OS thread that lets deadlines pass, so that a stalled async runtime cannot stop reclaim (cause C5), and that
//! measures how late it and the runtime are, so that a stalled server never blames its clients (hazards R7, R30).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use lychgate_core::{Input, Time};

use super::vigil::{OnDuty, Vigil};
use super::{Driver, Shard, come_back_after, lock};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};

/// The longest sleep: a freeze of the process is noticed after at most so long.
const LONGEST_SLEEP: Duration = Duration::from_millis(250);

/// How often the runtime shows that it runs.
const BEAT: Duration = Duration::from_millis(100);

/// A runtime that is so late at every beat, for so long, has more to do than it can: who comes new is sent away for a
/// while. One bad moment is none, and nobody pays for it.
const LATE: Duration = Duration::from_secs(1);
const LATE_FOR: Duration = Duration::from_secs(5);

/// Below this, being late is the ordinary jitter of a scheduler and is credited to nobody.
const TOLERANCE: Duration = Duration::from_millis(100);

/// When the thread means to wake, and the bell that wakes it earlier.
#[derive(Debug)]
pub(super) struct Alarm {
    planned: AtomicU64,
    /// When it has to have woken at the latest; whoever runs later than that has been frozen with it. While it is awake
    /// this lies ahead, and `planned` behind: its own changes of deadlines must not ring for it.
    expected: AtomicU64,
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Default for Alarm {
    fn default() -> Self {
        Self {
            planned: AtomicU64::new(u64::MAX),
            expected: AtomicU64::new(u64::MAX),
            rung: Mutex::new(false),
            bell: Condvar::new(),
        }
    }
}

impl Alarm {
    /// Wakes the thread if it would sleep past `deadline`.
    pub(super) fn not_after(&self, deadline: Time) {
        if deadline.as_micros() < self.planned.load(Ordering::Acquire) {
            self.planned.store(deadline.as_micros(), Ordering::Release);
            self.expected.fetch_min(deadline.as_micros(), Ordering::AcqRel);
            self.ring();
        }
    }

    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }

    fn sleep(&self, at_most: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) =
            self.bell.wait_timeout_while(rung, at_most, |rung| !*rung).unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}

impl Driver {
    /// Tells every gate of the time since `since`, in which we, or the runtime that hears the clients, did not run.
    fn credit(&self, since: Time, now: Time) {
        let longest = self.shards.iter().map(|shard| lock(shard).credit(since, now)).max();
        if let Some(lag) = longest.filter(|lag| !lag.is_zero()) {
            tracing::warn!(lag_ms = lag.as_millis(), "stalled: no silence of this time is held against anybody");
        }
    }

    /// Credits one shard, about to judge, with a freeze of the whole process, if the reaper should have woken long ago:
    /// after a freeze the first to run need not be the reaper.
    pub(super) fn credit_overslept(&self, shard: &mut Shard, now: Time) {
        let expected = Time::from_micros(self.alarm.expected.load(Ordering::Acquire));
        if now.since(expected) >= TOLERANCE {
            shard.credit(expected, now);
        }
    }
}

impl Shard {
    /// Credits its gate with what of this time was not credited yet; how much that was. Under the shard's lock, so that
    /// no judgement falls between a stall and its credit.
    fn credit(&mut self, since: Time, now: Time) -> Duration {
        let lag = now.since(since.max(self.credited_until));
        self.credited_until = self.credited_until.max(now);
        if !lag.is_zero() {
            self.gate.handle_input(now, Input::Stalled { lag });
        }
        lag
    }
}

/// How late we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// The thread woke so much later than it meant to.
    pub reaper: Duration,
    /// The async runtime did not run for so long beyond its beat.
    pub runtime: Duration,
}

/// What the thread tells while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A measurement, about four times a second.
    Measured(Lag),
    /// The async runtime has run nothing for longer than `liveness.runtime_stuck_after`; once per episode.
    RuntimeStuck,
}

/// The running thread; dropping it stops it and waits for it.
#[derive(Debug)]
pub struct Reaper {
    driver: Arc<Driver>,
    vigil: Arc<Vigil>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    beat: tokio::task::JoinHandle<()>,
}

impl Reaper {
    /// Starts the thread, and the task on this runtime whose beat it watches. `report` is called on the thread. Without
    /// a beat for `stuck_after` the runtime counts as stuck: the thread says so in the log, once, and again when it is
    /// over.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        driver: Arc<Driver>,
        stuck_after: Duration,
        report: impl Fn(Report) + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let vigil = Arc::new(Vigil::new(driver.origin, stuck_after));
        let watch = Watch { driver: Arc::clone(&driver), stop: Arc::clone(&stop), vigil: Arc::clone(&vigil) };
        let on_duty = OnDuty(Arc::clone(&vigil));
        let run = move || {
            let _on_duty = on_duty;
            watch.run(&report);
        };
        let thread = std::thread::Builder::new().name("reaper".to_owned()).spawn(run)?;
        let beat = tokio::spawn(show_beat(Arc::clone(&driver), Arc::clone(&vigil)));
        Ok(Self { driver, vigil, stop, thread: Some(thread), beat })
    }

    /// What is known of the thread and of the runtime; it outlives the reaper, and then says that it is gone.
    #[must_use]
    pub fn vigil(&self) -> Arc<Vigil> {
        Arc::clone(&self.vigil)
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.beat.abort();
        self.stop.store(true, Ordering::Release);
        self.driver.alarm.ring();
        if let Some(thread) = self.thread.take() {
            // A panic in it has been told when it happened.
            let _ = thread.join();
        }
    }
}

impl Driver {
    /// When somebody new is to come back, because the runtime has been late for too long; none while it keeps up. Whoever
    /// is connected stays: what he has is served, late.
    #[must_use]
    pub fn shed(&self) -> Option<Duration> {
        let lasting = self.late.lasting(self.now())?;
        (lasting >= LATE_FOR).then(|| come_back_after(lasting - LATE_FOR))
    }
}

async fn show_beat(driver: Arc<Driver>, vigil: Arc<Vigil>) {
    let mut every = tokio::time::interval(BEAT);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let now = vigil.now();
        driver.late.measure(now, now.since(vigil.last_beat() + BEAT) >= LATE);
        vigil.show_beat(now);
    }
}

pub(super) struct Watch {
    pub(super) driver: Arc<Driver>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) vigil: Arc<Vigil>,
}

impl Watch {
    pub(super) fn run(&self, report: &dyn Fn(Report)) {
        let mut stuck_since = None;
        let mut rest = Duration::ZERO;
        let mut thawed = Time::ZERO;
        let mut audit_at = Time::ZERO;
        while !self.stop.load(Ordering::Acquire) {
            let asleep_at = self.driver.now();
            let planned = asleep_at + self.pause(asleep_at).max(rest);
            self.driver.alarm.sleep(planned.since(asleep_at));
            self.vigil.show_round();
            let now = self.driver.now();
            let beat = self.vigil.last_beat();
            let lag = Lag { reaper: now.since(planned), runtime: now.since(beat + BEAT) };
            report(Report::Measured(lag));
            // What the whole process stood still is no fault of the runtime's, which has not beaten since.
            if lag.reaper >= TOLERANCE {
                thawed = now;
            }
            stuck_since = self.tell_stuck(stuck_since, now.since((beat + BEAT).max(thawed)), now, report);
            let stalls = [(lag.reaper, planned), (lag.runtime, beat + BEAT)];
            let since = stalls.into_iter().filter(|(lag, _)| *lag >= TOLERANCE).map(|(_, since)| since).min();
            if let Some(since) = since {
                self.driver.credit(since, now);
            }
            // Only now: until everybody is credited, whoever judges has to see that we overslept. And what follows may
            // take a while, which is no stall.
            self.driver.alarm.expected.store((now + LONGEST_SLEEP).as_micros(), Ordering::Release);
            let mut all_passed = self.fire();
            // By the clock and not by the round: a busy node has many rounds, and the audit takes every shard's lock.
            if now >= audit_at {
                audit_at = now + LONGEST_SLEEP;
                all_passed &= self.audit();
            }
            // A deadline that cannot pass stays due, and must not keep the thread spinning.
            rest = if all_passed { Duration::ZERO } else { BEAT };
        }
    }

    /// What looks for broken records must not be ended by one.
    fn audit(&self) -> bool {
        let is_done = catch_unwind(AssertUnwindSafe(|| self.driver.audit())).is_ok();
        if !is_done {
            tracing::error!("an audit panicked: a gate invariant does not hold");
        }
        is_done
    }

    /// Tells the beginning and the end of an episode in which the runtime runs nothing: it cannot tell so itself.
    fn tell_stuck(&self, since: Option<Time>, silence: Duration, now: Time, report: &dyn Fn(Report)) -> Option<Time> {
        match (since, self.vigil.is_stuck(silence)) {
            (None, true) => {
                tracing::error!(
                    stuck_ms = silence.as_millis() as u64,
                    "the async runtime is stuck: nothing is delivered, the node is not ready"
                );
                report(Report::RuntimeStuck);
                Some(now - silence)
            }
            (Some(since), false) => {
                tracing::warn!(stuck_ms = now.since(since).as_millis() as u64, "the async runtime runs again");
                None
            }
            (since @ (None | Some(_)), _) => since,
        }
    }

    /// Until the earliest deadline, at most [`LONGEST_SLEEP`].
    fn pause(&self, now: Time) -> Duration {
        // From here on every new deadline rings; those that stand already are read below.
        let latest = now + LONGEST_SLEEP;
        self.driver.alarm.planned.store(latest.as_micros(), Ordering::Release);
        self.driver.alarm.expected.store(latest.as_micros(), Ordering::Release);
        let deadlines = self.driver.shards.iter().filter_map(|shard| lock(shard).gate.poll_timeout());
        let wake = deadlines.min().unwrap_or(latest).min(latest);
        self.driver.alarm.planned.fetch_min(wake.as_micros(), Ordering::AcqRel);
        self.driver.alarm.expected.fetch_min(wake.as_micros(), Ordering::AcqRel);
        wake.since(now)
    }

    /// Lets deadlines pass; false where a shard's could not.
    fn fire(&self) -> bool {
        let mut all = true;
        for shard in &self.driver.shards {
            let due = lock(shard).gate.poll_timeout().is_some_and(|at| at <= self.driver.now());
            // One broken shard must not end the heartbeats of all the others.
            if due && catch_unwind(AssertUnwindSafe(|| self.driver.change(shard, |_| None))).is_err() {
                tracing::error!("a shard's deadlines could not pass: a gate invariant does not hold");
                all = false;
            }
        }
        all
    }
}
