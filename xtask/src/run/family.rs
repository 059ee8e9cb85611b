//! Ends a child with all that it started, by their process ids.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{GRACE, POLL};

/// Asks the child and all that it started to stop, and kills what is left after [`GRACE`].
/// Returns how the child itself ended.
pub(super) fn end(child: &mut Child) -> Result<ExitStatus> {
    end_after(child, GRACE)
}

pub(super) fn end_after(child: &mut Child, grace: Duration) -> Result<ExitStatus> {
    let mut family = descendants(child.id());
    family.push(child.id());
    signal("TERM", &family);
    let begin = Instant::now();
    let mut status = None;
    while begin.elapsed() < grace {
        if status.is_none() {
            status = child.try_wait()?;
        }
        if status.is_some() && !family.iter().any(|&process| is_running(process)) {
            break;
        }
        thread::sleep(POLL);
    }
    let left: Vec<u32> = family.into_iter().filter(|&process| is_running(process)).collect();
    if !left.is_empty() {
        signal("KILL", &left);
    }
    match status {
        Some(status) => Ok(status),
        None => Ok(child.wait()?),
    }
}

/// Sends a signal by process id. The shell's own `kill` is used because a small Debian has no other.
fn signal(name: &str, processes: &[u32]) {
    let ids: Vec<String> = processes.iter().map(u32::to_string).collect();
    // One that has ended in the meantime makes `kill` fail; that is what we wanted.
    let _ = Command::new("sh").args(["-c", &format!("kill -{name} {}", ids.join(" "))]).stderr(Stdio::null()).status();
}

/// Whether a process with this id runs; one that ended and was not yet waited for does not.
pub(super) fn is_running(process: u32) -> bool {
    processes().into_iter().any(|(id, _)| id == process)
}

/// Children, their children and so on, the youngest generation first.
fn descendants(of: u32) -> Vec<u32> {
    let all = processes();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|(_, its)| *its == parent).map(|(id, _)| *id));
        next += 1;
    }
    found.remove(0);
    found.reverse();
    found
}

/// Every running process with its parent: from `/proc`, or where there is none from `ps` in the form that POSIX asks for.
fn processes() -> Vec<(u32, u32)> {
    if let Ok(entries) = std::fs::read_dir("/proc/") {
        let read: Vec<_> = entries
            .flatten()
            .filter_map(|entry| parse_stat(&std::fs::read_to_string(entry.path().join("stat")).ok()?))
            .collect();
        if !read.is_empty() {
            return read;
        }
    }
    let Ok(listing) = Command::new("ps").args(["-A", "-o", "pid=,ppid=,state="]).output() else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&listing.stdout);
    text.lines().filter_map(parse_listing).collect()
}

/// `pid (name) state ppid ...`; the name may hold spaces and brackets.
fn parse_stat(stat: &str) -> Option<(u32, u32)> {
    let id = stat.split(' ').next()?.parse().ok()?;
    let mut after_name = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = after_name.next()?;
    let parent = after_name.next()?.parse().ok()?;
    (state != "Z").then_some((id, parent))
}

fn parse_listing(line: &str) -> Option<(u32, u32)> {
    let mut words = line.split_whitespace();
    let id = words.next()?.parse().ok()?;
    let parent = words.next()?.parse().ok()?;
    (!words.next()?.starts_with('Z')).then_some((id, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_names_with_spaces_and_brackets_are_read() {
        assert_eq!(parse_stat("12 (a b) c) S 7 12 12 0"), Some((12, 7)));
        assert_eq!(parse_stat("12 (ended) Z 7 12 12 0"), None);
        assert_eq!(parse_listing("  12   7 Ss"), Some((12, 7)));
        assert_eq!(parse_listing("  12   7 Z+"), None);
    }
}
