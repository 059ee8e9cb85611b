//! The closed lists of words that labels are made of. Those that belong to a type of the core come from it.

use lychgate_core::{AdmissionPath, EvictReason, PingOutcome, ReclaimLevel};

/// The words of all values of a type, which has them in `ALL`, each with an `as_str`.
macro_rules! words_of {
    ($type:ty) => {{
        const WORDS: [&str; <$type>::ALL.len()] = {
            let mut words = [""; <$type>::ALL.len()];
            let mut index = 0;
            while index < words.len() {
                words[index] = <$type>::ALL[index].as_str();
                index += 1;
            }
            words
        };
        &WORDS
    }};
}
pub(super) use words_of;

/// The words of a type, and one more.
const fn and_one<const N: usize, const M: usize>(words: &[&'static str; N], one: &'static str) -> [&'static str; M] {
    let mut all = [one; M];
    let mut index = 0;
    while index < N {
        all[index] = words[index];
        index += 1;
    }
    all
}

/// An open that got no session.
pub(super) const REFUSED: &str = "refused";
/// A connection that nobody closed but its own end.
pub(super) const BY_ITSELF: &str = "ended_by_itself";
/// What a limit in shadow mode would have done, where nobody could have been evicted.
pub(super) const WAIT: &str = "wait";

pub(super) const PATHS: [&str; AdmissionPath::ALL.len() + 1] = and_one(words_of!(AdmissionPath), REFUSED);
pub(super) const DISCONNECTS: [&str; EvictReason::ALL.len() + 1] = and_one(words_of!(EvictReason), BY_ITSELF);
pub(super) const SHADOW_VERDICTS: [&str; ReclaimLevel::ALL.len() + 1] = and_one(words_of!(ReclaimLevel), WAIT);
/// What the user of a reclaimed session is told.
pub(super) const EVICTION_REASONS: [&str; 3] =
    [EvictReason::Unresponsive.as_str(), EvictReason::Slow.as_str(), EvictReason::MadeRoom.as_str()];
pub(super) const SCOPES: [&str; 2] = ["user", "node"];
pub(super) const LOGINS: [&str; 2] = ["done", "failed"];
pub(super) const PINGS: [&str; 3] = [ping(PingOutcome::Written), ping(PingOutcome::Queued), ping(PingOutcome::Failed)];
/// Those of `AuthError::as_str`; a test of that room holds the two together.
pub const AUTH_FAILURES: [&str; 20] = [
    "malformed",
    "too_long",
    "unsigned",
    "wrong_algorithm",
    "bad_signature",
    "unknown_key",
    "keys_pending",
    "revoked",
    "just_revoked",
    "token_in_query",
    "unknown_extension",
    "expired",
    "not_yet_valid",
    "wrong_audience",
    "wrong_issuer",
    "missing_claim",
    "bad_subject",
    "bad_ticket",
    "foreign_page",
    "logged_out",
];

pub(super) const fn ping(outcome: PingOutcome) -> &'static str {
    match outcome {
        PingOutcome::Written => "written",
        PingOutcome::Queued => "queued",
        PingOutcome::Failed => "failed",
    }
}

/// An enum of outcomes with their words.
macro_rules! outcomes {
    ($(#[$doc:meta])* $name:ident { $($(#[$says:meta])* $outcome:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$says])* $outcome,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$outcome),+];

            /// The word in metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$outcome => $word,)+ }
            }
        }
    };
}

outcomes! {
    /// What became of an append.
    AppendOutcome {
        /// It is as durable as configured.
        Done = "done",
        /// The journal took nothing: it is full, or its medium failed.
        Unavailable = "unavailable",
        /// The thread was deleted meanwhile.
        Gone = "gone",
    }
}

outcomes! {
    /// What became of an agent's answer.
    AgentOutcome {
        /// It was finished.
        Done = "done",
        /// The agent itself said that it failed.
        Error = "error",
        /// It did not begin, or not go on, in time.
        Timeout = "timeout",
        /// It could not be reached, or was not asked because its breaker is open.
        Unavailable = "unavailable",
        /// As many runs as it may have were in flight.
        Busy = "busy",
        /// It ended in the middle, or could not be understood, or refused us.
        Failed = "failed",
        /// Nobody waited for the rest: the run was stopped, or ended from our side.
        Stopped = "stopped",
    }
}

outcomes! {
    /// How a run ended.
    RunOutcome {
        /// Its agent finished.
        Finished = "finished",
        /// Its agent failed.
        Failed = "failed",
        /// Its user stopped it.
        Stopped = "stopped",
        /// Nobody had read along for too long.
        Detached = "detached",
        /// The gateway stopped.
        GatewayStopping = "gateway_stopping",
        /// The journal took no more of it.
        JournalFailed = "journal_failed",
    }
}

outcomes! {
    /// What became of an acquire of a lease.
    AcquireOutcome {
        /// The place is held.
        Granted = "granted",
        /// Every place is held by others, who live.
        Denied = "denied",
        /// Nobody could be asked in time: this node's own count decides.
        Unknown = "unknown",
        /// The lease was over before.
        Taken = "taken",
    }
}

outcomes! {
    /// What became of a question to another node.
    QuestionOutcome {
        /// It answered.
        Reports = "reports",
        /// It did not, within a second.
        Silence = "silence",
        /// The question did not leave this node, or no answer could come back.
        NotAsked = "not_asked",
    }
}

/// Why a log line was not written.
pub(super) const UNWRITTEN: [&str; 2] = ["left_out", "lost"];
/// What becomes of a span.
pub(super) const SPANS: [&str; 3] = ["delivered", "dropped", "failed"];
pub(super) const APPENDS: [&str; AppendOutcome::ALL.len()] = *words_of!(AppendOutcome);
pub(super) const ACQUIRES: [&str; AcquireOutcome::ALL.len()] = *words_of!(AcquireOutcome);
pub(super) const QUESTIONS: [&str; QuestionOutcome::ALL.len()] = *words_of!(QuestionOutcome);
pub(super) const AGENT_OUTCOMES: [&str; AgentOutcome::ALL.len()] = *words_of!(AgentOutcome);
pub(super) const RUN_OUTCOMES: [&str; RunOutcome::ALL.len()] = *words_of!(RunOutcome);

/// How far ahead the limits of users are looked for: those of [`lychgate_core::WITHIN`].
pub(super) const HORIZONS: [&str; lychgate_core::WITHIN.len()] = {
    let [(_, short), (_, middle), (_, long)] = lychgate_core::WITHIN;
    [short, middle, long]
};

/// What a rule does, whether it does it, and what becomes of it.
pub(super) const REMEDIES: [&str; 5] = ["reclaim", "lend_limit", "shed", "drain", "restart_agent_breaker"];
pub(super) const REMEDY_MODES: [&str; 2] = ["dry_run", "on"];
pub(super) const REMEDY_OUTCOMES: [&str; 4] = ["done", "failed", "told", "held"];
