//! When the node will be full, by the same trend as a user's sessions: asked for when the metrics are scraped, kept by no
//! timer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lychgate_core::{Foresight, Time, Trend};

/// Where the load of the node goes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outlook {
    /// After how long the node is full at the present trend; none while that is not in sight.
    pub full_in: Option<Duration>,
    /// The load one horizon ahead, at the present trend: not below 0, and above 1 where more come than there is room for. The
    /// present load where nothing is forecast.
    pub load_ahead: f64,
}

/// The load of the node, as it was when somebody last looked. It makes no difference how often anybody does.
#[derive(Debug, Default)]
pub struct NodeForecast(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    foresight: Option<Foresight>,
    trend: Trend,
    /// In parts of [`WHOLE`].
    held: usize,
}

/// A load of 1: fine enough for one connection of a hundred thousand, and exact as a short float.
const WHOLE: f64 = 1_000_000.0;

impl NodeForecast {
    /// Looks as far ahead as this; not at all with none.
    #[must_use]
    pub fn new(foresight: Option<Foresight>) -> Self {
        Self(Mutex::new(Kept { foresight, ..Kept::default() }))
    }

    /// From now on looks as far ahead as this. What was seen so far stays.
    pub fn renew(&self, foresight: Option<Foresight>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).foresight = foresight;
    }

    /// Notes the load now, 1 being all that the node takes, and looks ahead.
    pub fn look(&self, now: Time, load: f64) -> Outlook {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(foresight) = kept.foresight else { return Outlook { full_in: None, load_ahead: load } };
        let parts = (load * WHOLE).round() as usize;
        if parts != kept.held {
            let change = (kept.held, parts);
            kept.trend.change(now, change, &foresight);
            kept.held = parts;
        }
        let rise = f64::from(kept.trend.rise_ahead(now, &foresight)) / WHOLE;
        Outlook {
            full_in: kept.trend.full_in(now, (parts, WHOLE as usize), &foresight),
            load_ahead: (load + rise).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Time {
        Time::from_micros(secs * 1_000_000)
    }

    #[test]
    fn a_node_that_fills_up_says_when_it_is_full_and_how_full_it_will_be() {
        let node = NodeForecast::new(Some(Foresight::default()));
        let mut last = Outlook::default();
        for scrape in 0..80 {
            last = node.look(at(scrape * 15), scrape as f64 * 15.0 / 2_000.0);
        }
        // One connection per second, 1,185 of 2,000.
        let full_in = last.full_in.unwrap().as_secs();
        assert!((780..=850).contains(&full_in), "{full_in} s, and it takes 815");
        assert!((0.87..0.92).contains(&last.load_ahead), "{last:?}");
    }

    #[test]
    fn a_node_that_stands_still_or_empties_is_never_full() {
        let node = NodeForecast::new(Some(Foresight::default()));
        for scrape in 0..40 {
            let outlook = node.look(at(scrape * 15), 0.5 - scrape as f64 / 100.0);
            assert!(scrape < 30 || outlook.full_in.is_none(), "{outlook:?}");
            assert!(outlook.load_ahead >= 0.0);
        }
        let later = node.look(at(100_000), 0.11);
        assert!((later.load_ahead - 0.11).abs() < 1e-6, "{later:?}");
    }

    #[test]
    fn without_foresight_the_load_ahead_is_the_load() {
        let node = NodeForecast::default();
        let _ = node.look(at(1), 0.1);
        assert_eq!(node.look(at(60), 0.9), Outlook { full_in: None, load_ahead: 0.9 });
    }
}
