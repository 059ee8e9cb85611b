//! Processor time: of a process, and of the thread that asks.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// In user mode and in the kernel, since the process began; its grain is a tick of the kernel, 10 ms as a rule.
pub(crate) fn of_process(process: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let ticks = parse(&stat).with_context(|| format!("{path} names no processor time"))?;
    Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

/// `pid (name) state` and ten more fields, then ticks in user mode and ticks in the kernel; the name may hold anything.
fn parse(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Of the thread that asks, since it began.
pub(crate) fn of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_whatever_name() {
        assert_eq!(parse("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20"), Some(42));
        assert_eq!(parse("7 (a) S 1 2"), None);
    }

    #[test]
    fn we_ourselves_have_used_some() {
        assert!(of_process(std::process::id()).is_ok());
        assert!(of_this_thread() > Duration::ZERO);
    }
}
