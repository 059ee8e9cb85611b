//! How much memory a process really has, and how it grows.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Two looks in a row that differ by less are the same: allocators give pages back in lumps.
const SAME_WITHIN: u64 = 64 * 1024;

/// Looks in a row that have to be the same.
const CALM_LOOKS: usize = 12;

/// An allocator that keeps moving is measured as it is then. The longest decay of a common allocator is 10 s.
const SETTLES_WITHIN: Duration = Duration::from_secs(25);

/// Proportional set size of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pss {
    /// Of anonymous memory: heap, stacks, what the program wrote to.
    pub(crate) anonymous: u64,
    /// Of everything, the program's own file included.
    pub(crate) total: u64,
}

/// Reads `/proc/PID/smaps_rollup`.
pub(crate) fn pss(process: u32) -> anyhow::Result<Pss> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    parse(&text).with_context(|| format!("{path} names no Pss and Pss_Anon"))
}

fn parse(text: &str) -> Option<Pss> {
    let kilobytes = |name: &str| -> Option<u64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse().ok()
    };
    Some(Pss { anonymous: kilobytes("Pss_Anon:")? * 1024, total: kilobytes("Pss:")? * 1024 })
}

/// Waits until the memory of a process moves no more, and reads it.
pub(crate) async fn settled(process: u32) -> anyhow::Result<Pss> {
    let deadline = Instant::now() + SETTLES_WITHIN;
    let mut last = pss(process)?;
    let mut calm = 0;
    while calm < CALM_LOOKS && Instant::now() < deadline {
        sleep(LOOK_EVERY).await;
        let now = pss(process)?;
        calm = match now.anonymous.abs_diff(last.anonymous) {
            ..SAME_WITHIN => calm + 1,
            SAME_WITHIN.. => 0,
        };
        last = now;
    }
    Ok(last)
}

/// The slope of the line that fits the points best (least squares); none for fewer than two different `x`.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|p| p.0), mean(|p| p.1));
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_best_line() {
        let points = [(2.0, 105.0), (4.0, 195.0), (6.0, 305.0), (8.0, 395.0)];
        let slope = slope(&points).unwrap();
        assert!((slope - 49.0).abs() < 1e-9, "{slope}");
    }

    #[test]
    fn one_point_has_no_slope() {
        assert_eq!(slope(&[(1.0, 1.0)]), None);
        assert_eq!(slope(&[]), None);
    }

    #[test]
    fn a_rollup_is_read_in_bytes() {
        let text = "55d0-7ffe ---p 00000000 00:00 0 [rollup]\nRss: 9 kB\nPss:  8 kB\nPss_Dirty: 7 kB\nPss_Anon: 6 kB\n";
        assert_eq!(parse(text), Some(Pss { anonymous: 6 * 1024, total: 8 * 1024 }));
        assert_eq!(parse("Rss: 9 kB"), None);
    }
}
