//! Failed attempts, few of them told: neither the log nor the disk is for whoever guesses.
//!
//! Nobody is locked out for them. A key that is right is right however many wrong ones came before (hazard R20).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Attempts that are told in one window.
const TOLD: u32 = 5;

const WINDOW: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Window {
    began: Instant,
    told: u32,
    untold: u64,
}

/// Decides which failed attempts are told.
#[derive(Debug)]
pub(super) struct Attempts(Mutex<Window>);

impl Attempts {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Window { began: Instant::now(), told: 0, untold: 0 }))
    }

    /// How many before this one were not told, if this one is to be told.
    pub(super) fn tell(&self) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.began.elapsed() >= WINDOW {
            window.began = Instant::now();
            window.told = 0;
        }
        match window.told < TOLD {
            true => {
                window.told += 1;
                Some(std::mem::take(&mut window.untold))
            }
            false => {
                window.untold += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_told_a_few_times_and_then_counted() {
        let attempts = Attempts::new();
        let told = (0..1_000).filter(|_| attempts.tell().is_some()).count();
        assert_eq!(told, TOLD as usize);
        tokio::time::advance(WINDOW).await;
        assert_eq!(attempts.tell(), Some(995));
        assert_eq!(attempts.tell(), Some(0));
    }
}
