//! When the node will be full, by the same trend as a user's sessions: asked for when the metrics are scraped, kept by no
//! timer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lychgate_core::{Foresight, Time, Trend};

/// How the node's connections stand against their bound, and where they go.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outlook {
    /// After how long the bound is reached at the present trend; none while that is not in sight.
    pub full_in: Option<Duration>,
    /// The part of the bound that is used: 1 is all of it.
    pub load: f64,
    /// The part that will be used one horizon ahead, at the present trend: not below 0, and above 1 where more are expected
    /// than there is room for. As `load` where nothing is forecast.
    pub load_ahead: f64,
}

/// The node's connections, as they were when somebody last looked. It makes no difference how often anybody does.
#[derive(Debug, Default)]
pub struct NodeForecast(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    foresight: Option<Foresight>,
    trend: Trend,
    held: usize,
}

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

    /// Notes how many connections there are now, of as many as the node takes, and looks ahead.
    pub fn look(&self, now: Time, connections: usize, bound: usize) -> Outlook {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ratio = |connections: f64| connections.max(0.0) / bound.max(1) as f64;
        let load = ratio(connections as f64);
        let Some(foresight) = kept.foresight else { return Outlook { full_in: None, load, load_ahead: load } };
        if connections != kept.held {
            let change = (kept.held, connections);
            kept.trend.change(now, change, &foresight);
            kept.held = connections;
        }
        let rise = kept.trend.rise_ahead(now, &foresight);
        Outlook {
            full_in: kept.trend.full_in(now, (connections, bound), &foresight),
            load,
            load_ahead: ratio(connections as f64 + f64::from(rise)),
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
            last = node.look(at(scrape * 15), scrape as usize * 15, 2_000);
        }
        // One connection per second, 1,185 of 2,000.
        let full_in = last.full_in.unwrap().as_secs();
        assert!((780..=850).contains(&full_in), "{full_in} s, and it takes 815");
        assert!((last.load - 0.5925).abs() < 1e-9 && (0.87..0.92).contains(&last.load_ahead), "{last:?}");
    }

    #[test]
    fn a_node_that_stands_still_or_empties_is_never_full() {
        let node = NodeForecast::new(Some(Foresight::default()));
        for scrape in 0..40 {
            let outlook = node.look(at(scrape * 15), 1_000 - scrape as usize * 20, 2_000);
            assert!(scrape < 30 || outlook.full_in.is_none(), "{outlook:?}");
            assert!(outlook.load_ahead >= 0.0);
        }
        let later = node.look(at(100_000), 220, 2_000);
        assert!((later.load_ahead - later.load).abs() < 1e-6, "{later:?}");
    }

    #[test]
    fn without_foresight_the_load_ahead_is_the_load() {
        let node = NodeForecast::default();
        let _ = node.look(at(1), 10, 100);
        assert_eq!(node.look(at(60), 90, 100), Outlook { full_in: None, load: 0.9, load_ahead: 0.9 });
    }

    #[test]
    fn a_node_without_room_divides_by_nothing() {
        assert!(NodeForecast::new(Some(Foresight::default())).look(at(1), 3, 0).load.is_finite());
    }
}
