//! Whether a console is there still: it answers a ping with a word, and takes what it is sent.
//!
//! Time passes here only while we ourselves run, in steps that are bounded, and silence counts from a ping that was really
//! written (hazards R7 and R30). An answer to a protocol ping is no word: browsers give it for frozen pages, too (hazard R9).

use std::time::Duration;

use lychgate_core::WriteProgress;

use super::Patience;
use crate::close::Close;

/// The most that one step of ours counts: whatever is beyond it, we were late and not the console.
const LONGEST_STEP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Vitals {
    patience: Patience,
    /// Since the oldest ping that was written and not answered.
    unanswered: Option<Duration>,
    /// Since the kernel took nothing while something waited.
    stalled: Option<Duration>,
    /// Since the last ping was due.
    since_ping: Duration,
}

impl Vitals {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, unanswered: None, stalled: None, since_ping: Duration::ZERO }
    }

    pub(super) fn on_word(&mut self) {
        self.unanswered = None;
    }

    pub(super) fn on_ping_written(&mut self) {
        self.unanswered.get_or_insert(Duration::ZERO);
    }

    pub(super) fn on_write(&mut self, progress: WriteProgress) {
        match progress {
            WriteProgress::Blocked => {
                self.stalled.get_or_insert(Duration::ZERO);
            }
            WriteProgress::Moved => self.stalled = self.stalled.map(|_| Duration::ZERO),
            WriteProgress::Cleared => self.stalled = None,
        }
    }

    /// Lets time pass; answers why the console is to be closed, if it is.
    pub(super) fn pass(&mut self, elapsed: Duration) -> Option<Close> {
        let step = elapsed.min(LONGEST_STEP);
        self.since_ping += step;
        let lasts = |since: &mut Option<Duration>, within: Duration| {
            since.as_mut().is_some_and(|since| {
                *since += step;
                *since >= within
            })
        };
        let is_slow = lasts(&mut self.stalled, self.patience.take_within);
        let is_silent = lasts(&mut self.unanswered, self.patience.answer_within);
        match (is_slow, is_silent) {
            (true, _) => Some(Close::Slow),
            (false, true) => Some(Close::Unresponsive),
            (false, false) => None,
        }
    }

    /// Whether a ping is due; says so once.
    pub(super) fn ping_is_due(&mut self) -> bool {
        let is_due = self.since_ping >= self.patience.ping_every;
        if is_due {
            self.since_ping = Duration::ZERO;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn vitals() -> Vitals {
        let patience = Patience { ping_every: 20 * SECOND, answer_within: 30 * SECOND, take_within: 30 * SECOND };
        Vitals::new(patience)
    }

    /// Lets so many seconds pass, with a ping whenever one is due; answers after how many it was given up, and why.
    fn pass(vitals: &mut Vitals, seconds: u64) -> Option<(u64, Close)> {
        (1..=seconds).find_map(|second| {
            if vitals.ping_is_due() {
                vitals.on_ping_written();
            }
            vitals.pass(SECOND).map(|close| (second, close))
        })
    }

    #[test]
    fn a_console_that_answers_stays_and_one_that_does_not_is_asked_twice() {
        let mut vitals = vitals();
        for _ in 0..10 {
            assert_eq!(pass(&mut vitals, 21), None);
            vitals.on_word();
        }
        let (second, close) = pass(&mut vitals, 60).unwrap();
        assert_eq!(close, Close::Unresponsive);
        assert!((30..=50).contains(&second), "{second}");
    }

    #[test]
    fn nobody_is_silent_who_was_not_asked_and_a_stall_of_ours_is_no_silence() {
        let mut vitals = vitals();
        assert!((0..100).all(|_| vitals.pass(SECOND).is_none()), "no ping was written");
        vitals.on_ping_written();
        assert_eq!(vitals.pass(3_600 * SECOND), None, "we slept, not the console");
        vitals.on_word();
        assert_eq!(pass(&mut vitals, 19), None);
    }

    #[test]
    fn whoever_takes_nothing_is_slow_and_whoever_takes_a_little_is_not() {
        let mut vitals = vitals();
        vitals.on_write(WriteProgress::Blocked);
        for _ in 0..10 {
            assert!((0..29).all(|_| vitals.pass(SECOND).is_none()));
            vitals.on_write(WriteProgress::Moved);
        }
        vitals.on_write(WriteProgress::Cleared);
        assert!((0..100).all(|_| vitals.pass(SECOND).is_none()));
        vitals.on_write(WriteProgress::Blocked);
        vitals.on_write(WriteProgress::Blocked);
        assert_eq!((0..30).find_map(|_| vitals.pass(SECOND)), Some(Close::Slow));
    }
}
