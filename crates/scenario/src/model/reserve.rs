//! The reserve, as its rule reads: it takes newcomers for a window from its first one on, and may open again when its
//! user has been back at his limit for as long as a window.

use std::time::Duration;

use lychgate_core::Time;

/// A reserve that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    opened: Time,
    back_since: Option<Time>,
}

impl Reserve {
    /// The first newcomer was admitted into it.
    #[must_use]
    pub fn open(now: Time) -> Self {
        Self { opened: now, back_since: None }
    }

    /// Whether it takes newcomers.
    #[must_use]
    pub fn is_open(&self, now: Time, window: Duration) -> bool {
        now.since(self.opened) < window
    }

    /// Whether it may open anew.
    #[must_use]
    pub fn is_over(&self, now: Time, window: Duration) -> bool {
        !self.is_open(now, window) && self.back_since.is_some_and(|since| now.since(since) >= window)
    }

    /// A turn ended with the user above his limit, or not.
    pub fn note(&mut self, is_above: bool, now: Time) {
        match is_above {
            true => self.back_since = None,
            false => _ = self.back_since.get_or_insert(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn it_takes_newcomers_for_one_window_and_opens_again_one_window_after_its_user_came_back() {
        let mut reserve = Reserve::open(at(0));
        reserve.note(true, at(0));
        assert!(reserve.is_open(at(59), WINDOW) && !reserve.is_open(at(60), WINDOW));
        assert!(!reserve.is_over(at(500), WINDOW));
        reserve.note(false, at(500));
        reserve.note(false, at(530));
        assert!(!reserve.is_over(at(559), WINDOW) && reserve.is_over(at(560), WINDOW));
    }
}
