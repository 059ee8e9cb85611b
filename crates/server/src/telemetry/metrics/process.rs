//! What the operating system says of this process, read from /proc when somebody looks. Where there is none (other systems
//! than Linux) the gauges stay at zero.

use std::fs;

use prometheus_client::metrics::counter::Counter;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::Metrics;

/// Descriptors that are open, and how many may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// Open now.
    pub open: u64,
    /// The soft limit; none where there is no limit.
    pub max: Option<u64>,
}

impl Descriptors {
    /// Asks the kernel; none where it does not tell.
    #[must_use]
    pub fn read() -> Option<Self> {
        // Since Linux 6.2 the directory has the number as its size; to read it takes milliseconds where they are many.
        let open = match fs::metadata("/proc/self/fd").ok()?.len() {
            0 => fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64,
            counted => counted,
        };
        Some(Self { open, max: getrlimit(Resource::Nofile).current })
    }
}

/// A line of /proc/self/stat, as far as it is of use here.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    /// Ticks in the program and in the kernel for it.
    cpu_ticks: u64,
    /// Ticks from the start of the machine to that of the process.
    started_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    /// proc_pid_stat(5): the name in brackets may hold anything, brackets too; what follows it begins with field 3.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, started_ticks: field(22)?, resident_pages: field(24)? })
    }
}

impl Metrics {
    /// Sets what is told of the process.
    pub(super) fn show_process(&self) {
        let to = &self.instruments;
        if let Some(Descriptors { open, max }) = Descriptors::read() {
            let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
            to.process_open_fds.set(count(open));
            to.process_max_fds.set(max.map_or(usize::MAX, count));
        }
        let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|line| Stat::parse(&line));
        let Some(Stat { cpu_ticks, started_ticks, resident_pages }) = stat else { return };
        let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
        to.process_resident_memory_bytes.set((resident_pages as usize).saturating_mul(page_size()));
        to.process_cpu_seconds.only().into_iter().for_each(|cpu| raise(cpu, seconds(cpu_ticks)));
        if let Some(start) = to.process_start_time_seconds.only().filter(|start| start.get() == 0.0)
            && let Some(boot) = boot_time()
        {
            start.set(boot + seconds(started_ticks));
        }
    }
}

/// Two scrapes at once may read in one order and write in the other; a counter never falls.
fn raise(counter: &Counter<f64, std::sync::atomic::AtomicU64>, to: f64) {
    let by = to - counter.get();
    if by > 0.0 {
        counter.inc_by(by);
    }
}

/// When the machine started, in seconds since 1970.
fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_hold_brackets_and_blanks() {
        let line =
            "42 (a) b (c)) S 1 42 42 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 1 0 5008423 3133440 406 18446744073709551615";
        let stat = Stat { cpu_ticks: 12, started_ticks: 5_008_423, resident_pages: 406 };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("42 (a) S 1 2"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_scrape_tells_what_the_process_takes() {
        let metrics = Metrics::new();
        let text = metrics.encode(&super::super::Population::default());
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        assert!(value("lychgate_process_resident_memory_bytes") > 1e6, "{text}");
        assert!(value("lychgate_process_open_fds") >= 3.0);
        assert!(value("lychgate_process_max_fds") >= value("lychgate_process_open_fds"));
        // Between 2020 and 2100, and in the past.
        let started = value("lychgate_process_start_time_seconds");
        assert!((1.5e9..4.2e9).contains(&started), "{started}");
        assert!(value("lychgate_process_cpu_seconds_total") >= 0.0);
    }
}
