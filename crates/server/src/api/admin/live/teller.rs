//! Tells one console what there is to tell, as long as it may hear it.
//!
//! ```text
//!  history --a new sample-->  sample  (or skipped)
//!  beat, 250 ms ----------->  decisions since the last ones, if there is room for them
//!       every fourth ------>  ping, alerts that changed; still allowed, still there?
//! ```
//!
//! Nothing in here waits for a lock of the gate: decisions are fetched beside it, so that a node whose gate hangs is shown as
//! such.

use std::future::pending;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::wire::millis;
use lychgate_core::explain::Filter;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::super::Control;
use super::super::access::Proven;
use super::super::decisions::{Start, find};
use super::console::{Console, Signs};
use super::reel::Reel;
use super::{close, send};
use crate::close::{Close, Closing};
use crate::config::Role;
use crate::driver::Driver;
use crate::outbox::{Outbox, Sent};
use crate::telemetry::history::EVERY;
use crate::wire::admin::{Live, Told};

/// How often it is looked for decisions.
const BEAT: Duration = Duration::from_millis(250);

/// Beats between two looks at everything else.
const BEATS_PER_LOOK: u32 = 4;

/// Decisions of one frame.
const MAX_DECISIONS: usize = 200;

/// Room that has to be in the outbox before decisions are fetched for it.
const ROOM_FOR_DECISIONS: usize = 16 * 1_024;

/// Whom it tells, and how far it has come.
pub(super) struct Teller {
    control: Arc<Control>,
    outbox: Arc<Outbox>,
    signs: Arc<Signs>,
    gone: CancellationToken,
    proven: Proven,
    role: Role,
    reel: Reel,
    /// The number of the last decision that was looked at.
    decided: u64,
    looking: Option<JoinHandle<Option<Page>>>,
    alerts: watch::Receiver<u64>,
    beats: u32,
    last_beat: Instant,
}

/// Decisions, where to go on, and how many were missed.
type Page = (Vec<Told>, u64, u64);

impl Teller {
    pub(super) fn new(control: Arc<Control>, outbox: Arc<Outbox>, to: &Console, who: (Proven, Role)) -> Self {
        let (signs, gone) = (Arc::clone(&to.signs), to.gone.clone());
        let mut alerts = control.views.board.listen();
        // They are told at the beginning, whether one has changed or not.
        alerts.mark_changed();
        let ((proven, role), decided, last_beat) = (who, control.driver.last_decision(), Instant::now());
        Self {
            control,
            outbox,
            signs,
            gone,
            proven,
            role,
            reel: Reel::default(),
            decided,
            looking: None,
            alerts,
            beats: 0,
            last_beat,
        }
    }

    /// Tells until the console is gone, or is sent away.
    pub(super) async fn run(mut self) {
        let mut samples = self.control.views.history.listen();
        samples.mark_unchanged();
        self.greet();
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (gone, ends) = (self.gone.clone(), self.control.views.ends.clone());
        loop {
            let sent_away = tokio::select! {
                biased;
                () = gone.cancelled() => return,
                () = ends.cancelled() => Some(Close::Draining.closing()),
                page = fetched(&mut self.looking) => {
                    self.tell_decisions(page);
                    None
                }
                Ok(()) = samples.changed() => {
                    self.reel.tell(&self.control.views.history, &self.outbox);
                    None
                }
                _ = beats.tick() => self.beat().break_value(),
            };
            if let Some(closing) = sent_away {
                tracing::debug!(operator = %self.proven.who(), reason = closing.reason, "a console is closed");
                return close(&self.outbox, &closing);
            }
        }
    }

    /// The first frame: who he is, where he is, and what was.
    fn greet(&mut self) {
        let samples = self.reel.begin(&self.control.views.history);
        let operator = self.proven.who().to_string();
        tracing::debug!(operator, role = self.role.as_str(), "a console came");
        let hello = Live::Hello {
            operator: &operator,
            role: self.role.as_str(),
            node: (self.control.views.name)(),
            every: millis(EVERY),
            history: samples.iter().map(AsRef::as_ref).collect(),
        };
        send(&self.outbox, &hello);
    }

    fn beat(&mut self) -> ControlFlow<Closing> {
        let now = Instant::now();
        let elapsed = now.duration_since(std::mem::replace(&mut self.last_beat, now));
        let (is_lost, ping_is_due) = {
            let mut signs = self.signs.lock();
            (signs.pass(elapsed), signs.ping_is_due())
        };
        if let Some(close) = is_lost {
            return ControlFlow::Break(close.closing());
        }
        if ping_is_due && self.outbox.ping() == lychgate_core::PingOutcome::Written {
            self.signs.lock().on_ping_written();
        }
        self.look_for_decisions();
        self.beats += 1;
        match self.beats.is_multiple_of(BEATS_PER_LOOK) || self.beats == 1 {
            true => self.look_at_the_rest(),
            false => ControlFlow::Continue(()),
        }
    }

    fn look_at_the_rest(&mut self) -> ControlFlow<Closing> {
        match self.control.access.still(&self.proven) {
            Err(denied) => return ControlFlow::Break(denied.closing()),
            // He comes back at once, and is told what he may do now.
            Ok(role) if role != self.role => return ControlFlow::Break(Close::Retry.closing()),
            Ok(_) => {}
        }
        if self.alerts.has_changed().unwrap_or(false) {
            self.alerts.mark_unchanged();
            if send(&self.outbox, &Live::Alerts { alerts: self.control.views.board.alerts() }) == Sent::Full {
                self.alerts.mark_changed();
            }
        }
        ControlFlow::Continue(())
    }

    fn look_for_decisions(&mut self) {
        let has_room = self.outbox.room() >= ROOM_FOR_DECISIONS;
        if self.looking.is_none() && has_room && self.control.driver.last_decision() != self.decided {
            let (control, after) = (Arc::clone(&self.control), self.decided);
            self.looking = Some(tokio::spawn(async move {
                let filter = Filter { interesting: true, ..Filter::default() };
                let look = move |driver: &Driver| {
                    let from = Start::After { epoch: driver.epoch(), sequence: after };
                    find(driver, from, MAX_DECISIONS, filter, None)
                };
                control.look(look).await.ok()
            }));
        }
    }

    /// What does not fit is fetched again when it does.
    fn tell_decisions(&mut self, page: Option<Page>) {
        let Some((decisions, next, missed)) = page else { return };
        let is_told = decisions.is_empty() && missed == 0
            || send(&self.outbox, &Live::Decisions { decisions, missed }) == Sent::Accepted;
        if is_told {
            self.decided = next;
        }
    }
}

impl Drop for Teller {
    /// However it ended: a console that nobody tells anything any more must not look as if nothing happened.
    fn drop(&mut self) {
        // A no-op after any other close.
        close(&self.outbox, &Close::Retry.closing());
    }
}

/// What was looked for, once it is found; never, while nobody looks. Dropping this future loses nothing.
async fn fetched(looking: &mut Option<JoinHandle<Option<Page>>>) -> Option<Page> {
    match looking {
        Some(look) => {
            let page = look.await.ok().flatten();
            *looking = None;
            page
        }
        None => pending().await,
    }
}
