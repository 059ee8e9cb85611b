//! A driver with its reaper and its clock, as the threads of one schedule.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use lychgate_core::{ConnectionId, LimitSpec, Limits, SessionContext, UserId};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::{self, JoinHandle};

use super::super::reaper::{Report, Watch};
use super::super::vigil::Vigil;
use super::super::{ConnectionBounds, Driver, Greeting, lock};
use super::ledger::Ledger;
use super::tab::Tab;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::scheduled::Clock;

/// Turns that anybody waits for anything; a schedule that needs more hangs.
pub(super) const PATIENCE: usize = 20_000;

/// What differs from story to story.
pub(super) struct Setting {
    /// Sessions per user.
    pub(super) sessions: usize,
    /// More of them for a while, where every session has a run.
    pub(super) reserve: usize,
    pub(super) bounds: ConnectionBounds,
    /// Whether now and then nobody runs for a while.
    pub(super) freezes: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self { sessions: 2, reserve: 0, bounds: ConnectionBounds { per_address: 100, per_node: 100 }, freezes: false }
    }
}

/// The node of a schedule.
pub(super) struct Node {
    pub(super) driver: Arc<Driver>,
    pub(super) ledger: Arc<Ledger>,
    limits: Limits,
    quiet: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    reaper: JoinHandle<()>,
    time: JoinHandle<()>,
}

impl Node {
    pub(super) fn start(setting: Setting) -> Arc<Self> {
        let millis = Duration::from_millis;
        let spec = LimitSpec {
            max_sessions_per_user: setting.sessions,
            reserve_sessions: setting.reserve,
            // Shorter than the reaper sleeps when nobody rings: a lost ring is a late release.
            linger: millis(100),
            ping_interval: millis(600),
            ping_answer: millis(200),
            probe_deadline: millis(100),
            probe_gap: millis(40),
            ladder_deadline: millis(300),
            write_stall: millis(600),
            close_confirm: millis(200),
            reclaim_interval: millis(500),
            ..LimitSpec::default()
        };
        let ledger = Arc::new(Ledger::default());
        let greeting = Greeting { ping_interval: spec.ping_interval, window: 512 };
        let limits = Limits::new(spec).unwrap();
        let driver = Driver::new(limits.clone(), setting.bounds, greeting, ledger.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let vigil = Arc::new(Vigil::new(driver.origin, STUCK_AFTER));
        let watch = Watch { driver: driver.clone(), stop: stop.clone(), vigil: vigil.clone() };
        let reaper = thread::spawn(move || {
            watch.run(&|report| {
                assert!(report != Report::RuntimeStuck, "a frozen process was told as a stuck runtime (R30)");
            })
        });
        let quiet = Arc::new(AtomicBool::new(false));
        let time = thread::spawn({
            let (driver, ledger, quiet, stop) = (driver.clone(), ledger.clone(), quiet.clone(), stop.clone());
            let freezes = if setting.freezes { 3 } else { 0 };
            move || Time { driver, ledger, quiet, stop, vigil, freezes }.pass()
        });
        Arc::new(Self { driver, ledger, limits, quiet, stop, reaper, time })
    }

    /// Runs a part of the story on a thread of its own.
    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        part: impl FnOnce(&Arc<Self>) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let node = self.clone();
        thread::spawn(move || part(&node))
    }

    pub(super) fn connect(self: &Arc<Self>, user: &str, n: u128, prev: Option<(u128, &'static str)>) -> Tab {
        Tab::connect(self.clone(), user, n, prev)
    }

    /// What holds at every moment, looked at shard by shard as the driver itself would.
    pub(super) fn check(&self) {
        self.ledger.check();
        for shard in &self.driver.shards {
            let shard = lock(shard);
            shard.gate.check().expect("the gate's own recount");
            for (user, connection) in shard.gate.connections() {
                assert!(shard.links.contains_key(&connection), "{connection} is counted and cannot be told anything");
                let used = shard.gate.usage(&user).used;
                assert!(used <= self.limits.ceiling(), "{user} holds {used} sessions (I1)");
                // More than were told: what came over by `prev` is told when it is opened.
                assert!(self.ledger.sessions_of(&user) <= used, "{user} was told of sessions that are not there (I6)");
            }
        }
    }

    /// Connections that count.
    pub(super) fn connections(&self) -> usize {
        self.driver.census().connections
    }

    /// Nobody but the reaper does anything while this holds, and it must sleep over no deadline.
    pub(super) fn be_quiet_while(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        self.quiet.store(true, Ordering::SeqCst);
        let mut turns = 0;
        while holds(self) {
            turns += 1;
            assert!(turns < PATIENCE, "{what}: {:?}", self.driver.census());
            thread::yield_now();
        }
        self.quiet.store(false, Ordering::SeqCst);
        self.check();
    }

    /// The last scene: every tab has left, the reaper clears up alone and in time, and the books are closed.
    pub(super) fn end(self: Arc<Self>) {
        let is_held = |node: &Self| node.driver.census() != lychgate_core::Census::default();
        self.be_quiet_while("something is never let go", is_held);
        self.stop.store(true, Ordering::SeqCst);
        self.driver.alarm.ring();
        assert!(self.driver.bounds.is_empty(), "an address holds connections that are gone");
        assert!(self.driver.shards.iter().all(|shard| lock(shard).links.is_empty()), "a link outlives its connection");
        let node = Arc::into_inner(self).expect("every tab has left");
        node.reaper.join().unwrap();
        node.time.join().unwrap();
        node.ledger.check_end();
    }

    pub(super) fn context(&self, user: &UserId, connection: ConnectionId, thread: &str) -> SessionContext {
        let request = lychgate_core::WebSocketRequest {
            user,
            thread: Some(thread),
            client: None,
            connection,
            operation: "open",
            component: "schedules",
            unix_ms: 0,
        };
        SessionContext::from_websocket_request(&request, lychgate_core::Entropy { sequence: 0, random: 0 }).unwrap()
    }
}

/// Shorter than a freeze, which must not be taken for a runtime that is stuck, and longer than the reaper's sleep.
const STUCK_AFTER: Duration = Duration::from_millis(500);

/// Longer than any answer is waited for.
const FREEZE: Duration = Duration::from_millis(700);

/// Where all tabs come from.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// How much later than a deadline the reaper may mean to wake.
const PROMPT: Duration = Duration::from_millis(2);

/// Moves the clock to the reaper's alarm, never past what it has not yet seen; the runtime beats with it. A freeze moves
/// it by much more at once, and no beat is shown.
struct Time {
    driver: Arc<Driver>,
    ledger: Arc<Ledger>,
    quiet: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    vigil: Arc<Vigil>,
    freezes: u32,
}

impl Time {
    fn pass(mut self) {
        while !self.stop.load(Ordering::SeqCst) {
            match Clock::next().filter(|_| thread_rng().gen_ratio(1, 4)) {
                Some(_) if self.freezes > 0 && thread_rng().gen_ratio(1, 20) && !self.quiet.load(Ordering::SeqCst) => {
                    self.freezes -= 1;
                    Clock::pass(Clock::now() + FREEZE);
                }
                Some(until) => self.pass_until(until),
                // Somebody may have been about to sleep when the bell rang.
                None => Clock::pass(Clock::now()),
            }
            thread::yield_now();
        }
    }

    fn pass_until(&self, until: Duration) {
        let deadlines = self.driver.shards.iter().filter_map(|shard| lock(shard).gate.poll_timeout());
        let earliest = deadlines.min().map(|deadline| Duration::from_micros(deadline.as_micros()));
        self.vigil.show_beat(lychgate_core::Time::from_micros(u64::try_from(until.as_micros()).unwrap()));
        // Asked after everything else: while it is quiet, what was read above stands.
        let quiet = self.quiet.load(Ordering::SeqCst);
        // Others ran in between: the reaper may want to wake earlier by now.
        if Clock::next() != Some(until) {
            return;
        }
        if let Some(earliest) = earliest.filter(|earliest| quiet && *earliest + PROMPT < until) {
            self.ledger.breaks(format!("the reaper sleeps from {:?} until {until:?}, over {earliest:?}", Clock::now()));
        }
        Clock::pass(until);
    }
}
