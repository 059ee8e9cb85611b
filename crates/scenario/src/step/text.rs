//! A step as one line of text, and back.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use lychgate_core::{BreakerState, End, Heartbeat, Pressure, ReclaimStep};

use super::{Expectation, Step, Tab, Thread, TokenPlan, Way};

/// Why a line is no step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepError {
    /// There is no such step.
    UnknownStep(String),
    /// The line ends before this.
    Missing(&'static str),
    /// This word is not what stands here.
    Malformed {
        /// What it should have been.
        wanted: &'static str,
        /// What it was.
        word: String,
    },
    /// The line goes on after its end.
    TooLong(String),
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownStep(word) => write!(f, "there is no step `{word}`"),
            Self::Missing(wanted) => write!(f, "it ends before {wanted}"),
            Self::Malformed { wanted, word } => write!(f, "`{word}` is not {wanted}"),
            Self::TooLong(word) => write!(f, "`{word}` is one word too many"),
        }
    }
}

impl std::error::Error for StepError {}

const USER: &str = "a user such as u0";
const OWNER: &str = "a user such as u0, or `node`";
const CLIENT: &str = "a tab such as c3";
const THREAD: &str = "a thread such as t5 or new5";
const DURATION: &str = "a time such as 200ms or 10s";
const NUMBER: &str = "a number";
const END: &str = "`clean` or `lost`";
const WAY: &str = "`prev`, `fresh` or `stolen`";
const TOKEN_PLAN: &str = "`plan` and its name, or nothing";
const LEVEL: &str = "a band: `ok`, `watch`, `warn`, `high` or `full`";
const DOOR: &str = "`open` or `closed`";
const RECLAIM_STEP: &str = "`probe` or `close`";
const STATE: &str = "`closed`, `open` or `probing`";

/// Reads a time: a whole number and `us`, `ms` or `s`.
pub(crate) fn duration_from_text(word: &str) -> Option<Duration> {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u32 = digits.parse().ok()?;
    let number = u64::from(number);
    match &word[digits.len()..] {
        "us" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

/// Writes a time in the largest unit that loses nothing down to microseconds.
pub(crate) fn duration_to_text(duration: Duration) -> String {
    let micros = duration.as_micros();
    match () {
        () if micros.is_multiple_of(1_000_000) => format!("{}s", micros / 1_000_000),
        () if micros.is_multiple_of(1_000) => format!("{}ms", micros / 1_000),
        () => format!("{micros}us"),
    }
}

struct Words<'a>(SplitWhitespace<'a>);

impl<'a> Words<'a> {
    fn word(&mut self, wanted: &'static str) -> Result<&'a str, StepError> {
        self.0.next().ok_or(StepError::Missing(wanted))
    }

    fn read<T>(&mut self, wanted: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T, StepError> {
        let word = self.word(wanted)?;
        parse(word).ok_or_else(|| StepError::Malformed { wanted, word: word.to_owned() })
    }

    fn user(&mut self) -> Result<u32, StepError> {
        self.read(USER, |word| numbered(word, "u"))
    }

    fn breaker_owner(&mut self) -> Result<Option<u32>, StepError> {
        self.read(OWNER, |word| if word == "node" { Some(None) } else { numbered(word, "u").map(Some) })
    }

    fn tab(&mut self) -> Result<Tab, StepError> {
        Ok(Tab { user: self.user()?, number: self.read(CLIENT, |word| numbered(word, "c"))? })
    }

    fn thread(&mut self) -> Result<Thread, StepError> {
        self.read(THREAD, |word| {
            numbered(word, "t").map(Thread::Named).or_else(|| numbered(word, "new").map(Thread::New))
        })
    }

    fn duration(&mut self) -> Result<Duration, StepError> {
        self.read(DURATION, duration_from_text)
    }

    fn number(&mut self) -> Result<u32, StepError> {
        self.read(NUMBER, |word| word.parse().ok())
    }

    fn end(&mut self) -> Result<End, StepError> {
        self.read(END, |word| match word {
            "clean" => Some(End::ClientClosed),
            "lost" => Some(End::Lost),
            _ => None,
        })
    }

    fn way(&mut self) -> Result<Way, StepError> {
        match self.word(WAY)? {
            "prev" => Ok(Way::Prev),
            "fresh" => Ok(Way::Fresh),
            "stolen" => Ok(Way::Stolen(self.tab()?)),
            other => Err(StepError::Malformed { wanted: WAY, word: other.to_owned() }),
        }
    }

    fn heartbeat(&mut self) -> Heartbeat {
        match self.0.clone().next() {
            Some("app") => {
                self.0.next();
                Heartbeat::Application
            }
            Some(_) | None => Heartbeat::Protocol,
        }
    }

    fn token_plan(&mut self) -> Result<TokenPlan, StepError> {
        match self.0.next() {
            None => Ok(None),
            Some("plan") => Ok(Some(self.word("the name of a plan")?.into())),
            Some(other) => Err(StepError::Malformed { wanted: TOKEN_PLAN, word: other.to_owned() }),
        }
    }

    /// One of a closed list, by the word that stands for it in logs and on the wire.
    fn one_of<T: Copy>(
        &mut self,
        wanted: &'static str,
        all: &[T],
        word: fn(T) -> &'static str,
    ) -> Result<T, StepError> {
        self.read(wanted, |said| all.iter().copied().find(|it| word(*it) == said))
    }

    fn finish(mut self, step: Step) -> Result<Step, StepError> {
        match self.0.next() {
            None => Ok(step),
            Some(word) => Err(StepError::TooLong(word.to_owned())),
        }
    }
}

/// The number behind a prefix; digits alone, so that `+5` is not read as 5.
fn numbered(word: &str, prefix: &str) -> Option<u32> {
    let digits = word.strip_prefix(prefix)?;
    match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse().ok(),
        false => None,
    }
}

impl FromStr for Step {
    type Err = StepError;

    /// Reads one line, as `Display` writes it.
    fn from_str(line: &str) -> Result<Self, StepError> {
        let mut words = Words(line.split_whitespace());
        let verb = words.word("a step")?;
        let step = match verb {
            "open-tab" => Self::OpenTab {
                tab: words.tab()?,
                thread: words.thread()?,
                heartbeat: words.heartbeat(),
                plan: words.token_plan()?,
            },
            "open-thread" => Self::OpenThread { tab: words.tab()?, thread: words.thread()? },
            "close-tab" => Self::CloseTab { tab: words.tab()?, end: words.end()? },
            "go-silent" => Self::GoSilent(words.tab()?),
            "freeze" => Self::Freeze(words.tab()?),
            "wake-up" => Self::WakeUp(words.tab()?),
            "stop-reading" => Self::StopReading(words.tab()?),
            "read-some" => Self::ReadSome(words.tab()?),
            "read-again" => Self::ReadAgain(words.tab()?),
            "reconnect" => Self::Reconnect { tab: words.tab()?, way: words.way()? },
            "leave" => Self::Leave { tab: words.tab()?, thread: words.thread()? },
            "prompt" => Self::Prompt { user: words.user()?, thread: words.thread()? },
            "run-ends" => Self::RunEnds { user: words.user()?, thread: words.thread()? },
            "look" => Self::Look(words.tab()?),
            "stall-runtime" => Self::StallRuntime(words.duration()?),
            "close-fails" => Self::CloseFails(words.tab()?),
            "close-hangs" => Self::CloseHangs(words.tab()?),
            "expire" => Self::Expire { tab: words.tab()?, after: words.duration()? },
            "renew" => Self::Renew { tab: words.tab()?, plan: words.token_plan()? },
            "pings-fail" => Self::PingsFail(words.tab()?),
            "expel" => Self::Expel(words.tab()?),
            "drain" => Self::Drain(words.duration()?),
            "advance" => Self::Advance(words.duration()?),
            "expect" => Self::Expect(expectation(&mut words)?),
            unknown => return Err(StepError::UnknownStep(unknown.to_owned())),
        };
        words.finish(step)
    }
}

const LEVELS: [Pressure; 5] = [Pressure::Ok, Pressure::Watch, Pressure::Warn, Pressure::High, Pressure::Full];
const RECLAIM_STEPS: [ReclaimStep; 2] = [ReclaimStep::Probe, ReclaimStep::Close];
const STATES: [BreakerState; 3] = [BreakerState::Closed, BreakerState::Open, BreakerState::Probing];

fn door(is_open: bool) -> &'static str {
    match is_open {
        true => "open",
        false => "closed",
    }
}

fn expectation(words: &mut Words<'_>) -> Result<Expectation, StepError> {
    const WHAT: &str = "one of `sessions`, `open`, `not-open`, `queued`, `told`, `reserve`, `breaker`, `waited`, \
                        `evicted`, `forced` and `refused`";
    match words.word(WHAT)? {
        "sessions" => Ok(Expectation::Sessions { user: words.user()?, count: words.number()? }),
        "open" => Ok(Expectation::Open { tab: words.tab()?, thread: words.thread()? }),
        "not-open" => Ok(Expectation::NotOpen { tab: words.tab()?, thread: words.thread()? }),
        "queued" => Ok(Expectation::Queued { tab: words.tab()?, thread: words.thread()?, position: words.number()? }),
        "told" => Ok(Expectation::Told { tab: words.tab()?, level: words.one_of(LEVEL, &LEVELS, Pressure::as_str)? }),
        "reserve" => {
            Ok(Expectation::Reserve { user: words.user()?, is_open: words.one_of(DOOR, &[true, false], door)? })
        }
        "breaker" => Ok(Expectation::Breaker {
            user: words.breaker_owner()?,
            step: words.one_of(RECLAIM_STEP, &RECLAIM_STEPS, ReclaimStep::as_str)?,
            state: words.one_of(STATE, &STATES, BreakerState::as_str)?,
        }),
        "waited" => Ok(Expectation::Waited(words.duration()?)),
        "evicted" => Ok(Expectation::Evicted(words.number()?)),
        "forced" => Ok(Expectation::Forced(words.number()?)),
        "refused" => Ok(Expectation::Refused(words.number()?)),
        other => Err(StepError::Malformed { wanted: WHAT, word: other.to_owned() }),
    }
}

impl fmt::Display for Tab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u{} c{}", self.user, self.number)
    }
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(number) => write!(f, "t{number}"),
            Self::New(number) => write!(f, "new{number}"),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prev => f.write_str("prev"),
            Self::Fresh => f.write_str("fresh"),
            Self::Stolen(tab) => write!(f, "stolen {tab}"),
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sessions { user, count } => write!(f, "sessions u{user} {count}"),
            Self::Open { tab, thread } => write!(f, "open {tab} {thread}"),
            Self::NotOpen { tab, thread } => write!(f, "not-open {tab} {thread}"),
            Self::Queued { tab, thread, position } => write!(f, "queued {tab} {thread} {position}"),
            Self::Told { tab, level } => write!(f, "told {tab} {}", level.as_str()),
            Self::Reserve { user, is_open } => write!(f, "reserve u{user} {}", door(*is_open)),
            Self::Breaker { user, step, state } => {
                let owner = user.map_or_else(|| "node".to_owned(), |user| format!("u{user}"));
                write!(f, "breaker {owner} {} {}", step.as_str(), state.as_str())
            }
            Self::Waited(most) => write!(f, "waited {}", duration_to_text(*most)),
            Self::Evicted(count) => write!(f, "evicted {count}"),
            Self::Forced(count) => write!(f, "forced {count}"),
            Self::Refused(count) => write!(f, "refused {count}"),
        }
    }
}

/// The end of a line about a token.
struct ByPlan<'a>(&'a TokenPlan);

impl fmt::Display for ByPlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, " plan {name}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenTab { tab, thread, heartbeat, plan } => {
                let heartbeat = match heartbeat {
                    Heartbeat::Protocol => "",
                    Heartbeat::Application => " app",
                };
                write!(f, "open-tab {tab} {thread}{heartbeat}{}", ByPlan(plan))
            }
            Self::OpenThread { tab, thread } => write!(f, "open-thread {tab} {thread}"),
            Self::CloseTab { tab, end } => match end {
                End::ClientClosed => write!(f, "close-tab {tab} clean"),
                End::Lost => write!(f, "close-tab {tab} lost"),
            },
            Self::GoSilent(tab) => write!(f, "go-silent {tab}"),
            Self::Freeze(tab) => write!(f, "freeze {tab}"),
            Self::WakeUp(tab) => write!(f, "wake-up {tab}"),
            Self::StopReading(tab) => write!(f, "stop-reading {tab}"),
            Self::ReadSome(tab) => write!(f, "read-some {tab}"),
            Self::ReadAgain(tab) => write!(f, "read-again {tab}"),
            Self::Reconnect { tab, way } => write!(f, "reconnect {tab} {way}"),
            Self::Leave { tab, thread } => write!(f, "leave {tab} {thread}"),
            Self::Prompt { user, thread } => write!(f, "prompt u{user} {thread}"),
            Self::RunEnds { user, thread } => write!(f, "run-ends u{user} {thread}"),
            Self::Look(tab) => write!(f, "look {tab}"),
            Self::StallRuntime(lag) => write!(f, "stall-runtime {}", duration_to_text(*lag)),
            Self::CloseFails(tab) => write!(f, "close-fails {tab}"),
            Self::CloseHangs(tab) => write!(f, "close-hangs {tab}"),
            Self::Expire { tab, after } => write!(f, "expire {tab} {}", duration_to_text(*after)),
            Self::Renew { tab, plan } => write!(f, "renew {tab}{}", ByPlan(plan)),
            Self::PingsFail(tab) => write!(f, "pings-fail {tab}"),
            Self::Expel(tab) => write!(f, "expel {tab}"),
            Self::Drain(retry_in) => write!(f, "drain {}", duration_to_text(*retry_in)),
            Self::Advance(by) => write!(f, "advance {}", duration_to_text(*by)),
            Self::Expect(expectation) => write!(f, "expect {expectation}"),
        }
    }
}
