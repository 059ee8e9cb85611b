//! Gates that are broken on purpose: the harness is worth what it catches.
//!
//! ```text
//!   world --Input--> distort --> gate --> garble --Output--> oracle, world
//!                                 |          ^
//!                    other limits +          +-- teller: bands as the true limits have them
//! ```
//!
//! A mutant is the gate itself behind a layer that bends what goes in and what comes out, or with other limits than those
//! that the oracle holds it to. So no line of the gate exists for the sake of a test.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use lychgate_core::{ConnectionId, Foresight, Gate, Input, LimitSpec, Output, Plans, SessionKey, Time, UserId};

use crate::oracle::Rule;
use crate::plan::Plan;
use crate::sim::world::Subject;

mod distort;
mod garble;
pub mod page;
mod teller;

use teller::Teller;

macro_rules! faults {
    ($($name:ident breaks $rule:ident: $says:literal),* $(,)?) => {
        /// What is wrong with a gate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = concat!("It ", $says, ".")] $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The fault in words.
            #[must_use]
            pub fn says(self) -> &'static str {
                match self {
                    $(Self::$name => $says,)*
                }
            }

            /// The promise that it breaks first of all.
            #[must_use]
            pub fn breaks(self) -> Rule {
                match self {
                    $(Self::$name => Rule::$rule,)*
                }
            }

            /// Its name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

faults! {
    AdmitsAboveTheLimit breaks Limit: "takes one session too many",
    SkipsTheRecount breaks Count: "keeps a counter instead of recounting, and the counter drifted",
    ChecksBeforeEvicting breaks Refusal: "looks at the limit before it evicts, and refuses who is at it",
    ForgetsARelease breaks Count: "does not say that a session ended",
    ReleasesTwice breaks Pairing: "says twice that a session ended",
    LosesAnOpen breaks Answer: "never answers an open that found its user at his limit",
    CountsWritesAsLife breaks LiveBeforeDead: "takes what it writes for a sign of life (R8)",
    CountsEveryPongAsLife breaks LiveBeforeDead: "takes the pongs of a frozen page for a sign of life (R9)",
    IsDeaf breaks Verdict: "hears nobody",
    IgnoresItsOwnStall breaks Verdict: "holds its own lag against its peers (R30)",
    IgnoresExpiry breaks Found: "does not close a socket when its token expires",
    ForgetsRuns breaks Protection: "does not know which sessions have a run in flight",
    IgnoresPins breaks Protection: "does not protect the sessions that the plan pins",
    ForgetsLooks breaks Protection: "does not notice that a person uses a session, and takes over another one than the stalest",
    TakesOverThoughOneIsIdle breaks Protection: "takes a run for in flight that has ended, and takes over a busy session before the idle one",
    TakesOverTooEarly breaks Queue: "takes a protected session over before the queue's deadline",
    ServesTheLastFirst breaks Queue: "serves the queue from its end",
    TellsNoPosition breaks Queue: "does not tell who waits his position",
    TellsAPositionOnce breaks Queue: "does not tell it again when it changes",
    QueuesWithoutBound breaks Queue: "lets any number wait",
    ForgetsAWaiter breaks Answer: "forgets who was told to wait",
    ServesTheDeparted breaks Close: "keeps the place of a socket that is gone, and serves it",
    ExtendsTheReserve breaks Reserve: "extends the reserve's window for those who come into it",
    OpensTheReserveAgain breaks Reserve: "opens the reserve again as soon as its window is over",
    EvictsThoughNever breaks Policy: "takes live sessions though force is `never`",
    EvictsInShadow breaks Policy: "evicts though the limit only tells",
    IgnoresPlans breaks Limit: "gives everybody the same limits, whatever the token says",
    EvictsWhenALimitFalls breaks LiveBeforeDead: "evicts at once when a token lowers the limit",
    ReclaimsBelowTheMark breaks Background: "reclaims in the background below 60 %",
    ReclaimsTooLate breaks Background: "reclaims in the background only when the user is at his limit",
    SeesEveryLimit breaks Background: "reclaims one band early though the limit is not in sight",
    ForeseesNothing breaks Expectation: "does not look ahead, and reclaims no earlier though the limit is in sight",
    BreakerRefuses breaks Refusal: "refuses while a breaker is open",
    BreakerNeverOpens breaks Expectation: "never opens a breaker",
    BreakerNeverCloses breaks Expectation: "never closes a breaker",
    ClosesPolitelyForEver breaks Breaker: "waits for another close handshake though its breaker is open",
    GuessesLockouts breaks Lockout: "infers from the path of an admission whether a lockout was prevented",
    ClosesTwice breaks Close: "closes each socket twice",
    TakesOverStrangers breaks Takeover: "lets anybody take over anybody's socket",
    IgnoresPrev breaks Takeover: "ignores `prev`",
    BlamesTheLoser breaks Takeover: "does not tell the loser of a takeover that he lost it (R5)",
    LingersAfterGoodbye breaks Pairing: "keeps a session for its linger though its user said goodbye",
    NeverLingers breaks Linger: "lets a session go as soon as its socket is lost",
    EvictsInSilence breaks Told: "does not tell a tab that its session was taken",
    TellsNoBand breaks Told: "does not tell a user that he comes near his limit",
    MixesUsersUp breaks Privacy: "tells one user of another's session",
    SpinsOnADeadline breaks Timer: "says that a time is due, and does nothing about it",
}

/// A broken gate, or with no fault a whole one.
#[derive(Debug)]
pub struct Mutant {
    gate: Gate,
    fault: Option<Fault>,
    now: Time,
    /// Every connection, for faults that need a stranger.
    seen: Vec<(UserId, ConnectionId)>,
    /// What is said beside what the gate says.
    extra: VecDeque<Output>,
    /// What goes in before the next input.
    injected: Vec<Input>,
    /// An open that somebody else passes.
    held_back: Option<Input>,
    /// Opens that were told a position, by connection and reference.
    queued: BTreeSet<(ConnectionId, Option<Box<str>>)>,
    /// The position that is told now was told to the same open before.
    tells_again: bool,
    /// Every open that was answered, the last one last.
    opened: Vec<(SessionKey, ConnectionId)>,
    /// A session goes because a limit fell.
    falls: bool,
    breaker_is_open: bool,
    teller: Option<Teller>,
}

impl Mutant {
    /// A gate for a plan. `truth` are the limits that the oracle holds it to.
    #[must_use]
    pub fn new(plan: &Plan, truth: Plans, fault: Option<Fault>) -> Self {
        let mut bent = Plan { everybody: plan.everybody.clone(), named: plan.named.clone(), ..Plan::new(plan.seed) };
        let specs = std::iter::once(&mut bent.everybody).chain(bent.named.iter_mut().map(|(_, spec)| spec));
        specs.for_each(|spec| bend(spec, fault));
        let is_bent = bent.everybody != plan.everybody || bent.named != plan.named;
        // The bands and the numbers that a bent gate tells would give it away before its fault shows.
        let teller = (is_bent || fault == Some(Fault::IgnoresPlans)).then(|| Teller::new(truth.clone()));
        Self {
            gate: Gate::new(bent.plans().unwrap_or(truth), plan.seed),
            fault,
            now: Time::ZERO,
            seen: Vec::new(),
            extra: VecDeque::new(),
            injected: Vec::new(),
            held_back: None,
            queued: BTreeSet::new(),
            tells_again: false,
            opened: Vec::new(),
            falls: false,
            breaker_is_open: false,
            teller,
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn feed(&mut self, input: Input) {
        if let Some(teller) = &mut self.teller {
            teller.input(&input);
        }
        if let Some(input) = self.distort(input) {
            self.gate.handle_input(self.now, input);
        }
    }

    fn feed_injected(&mut self) {
        for input in std::mem::take(&mut self.injected) {
            self.gate.handle_input(self.now, input);
        }
    }
}

/// The limits of a mutant, where the fault lies in them.
fn bend(spec: &mut LimitSpec, fault: Option<Fault>) {
    match fault {
        Some(Fault::AdmitsAboveTheLimit) => spec.max_sessions_per_user += 1,
        Some(Fault::NeverLingers) => spec.linger = Duration::ZERO,
        Some(Fault::IgnoresPins) => spec.pinned_sessions = 0,
        Some(Fault::TakesOverTooEarly) => spec.queue_deadline = spec.queue_deadline.mul_f64(0.75),
        Some(Fault::QueuesWithoutBound) => spec.max_waiting_opens_per_user = usize::MAX,
        Some(Fault::ExtendsTheReserve) => spec.reserve_window *= 2,
        Some(Fault::OpensTheReserveAgain) => spec.reserve_window /= 2,
        Some(Fault::EvictsThoughNever) => spec.force = lychgate_core::Force::Evict,
        Some(Fault::EvictsInShadow) => spec.mode = lychgate_core::Mode::Enforce,
        Some(Fault::ReclaimsBelowTheMark) => (spec.watch_percent, spec.warn_percent) = (1, 1),
        // Whatever moved upwards once is in sight for ever.
        Some(Fault::SeesEveryLimit) => {
            let horizon = Duration::from_secs(u64::from(u32::MAX));
            spec.forecast = Some(Foresight { horizon, min_samples: 0, ..Foresight::default() });
        }
        Some(Fault::ForeseesNothing) => spec.forecast = None,
        Some(Fault::ReclaimsTooLate) => (spec.warn_percent, spec.high_percent) = (100, 100),
        Some(_) | None => {}
    }
}

impl Subject for Mutant {
    fn handle_input(&mut self, now: Time, input: Input) {
        self.now = now;
        self.falls = false;
        self.feed_injected();
        if let Input::Connect { user, connection, .. } = &input {
            self.seen.push((user.clone(), *connection));
        }
        if let Some(input) = self.hold_back(input) {
            self.feed(input);
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        self.now = now;
        self.falls = false;
        self.feed_injected();
        if let Some(passed) = self.held_back.take() {
            self.feed(passed);
        }
        self.gate.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(extra) = self.extra.pop_front() {
                return Some(extra);
            }
            match self.gate.poll_output() {
                Some(output) => {
                    if let Some(output) = self.say(output) {
                        return Some(output);
                    }
                }
                None => {
                    let tells = self.teller.as_mut().map(|teller| teller.tell(self.now, &self.gate));
                    self.extra.extend(tells.into_iter().flatten());
                    return self.extra.pop_front();
                }
            }
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        match self.is(Fault::SpinsOnADeadline) {
            true => self.gate.poll_timeout().map(|_| self.now),
            false => self.gate.poll_timeout(),
        }
    }

    fn session_count(&self, user: &UserId) -> usize {
        self.gate.session_count(user) + usize::from(self.is(Fault::SkipsTheRecount))
    }
}
