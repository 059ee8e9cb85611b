//! Shows what a child writes as it comes, and keeps its last lines: what failed in the middle of a long run is told at its end.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write, stderr, stdout};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use super::REST_WITHIN;

/// Lines that are kept: a failed test with its place, and the summary behind it.
const LINES: usize = 60;
/// Bytes of a line that are kept.
const WIDTH: usize = 300;

/// The last lines of a child whose outputs are pipes.
pub(super) struct Tail {
    last: Arc<Mutex<VecDeque<String>>>,
    /// Says nothing, and ends with both outputs.
    open: mpsc::Receiver<()>,
}

impl Tail {
    pub(super) fn follow(child: &mut Child) -> Self {
        let last = Arc::default();
        let (end, open) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            pump(out, stdout(), &last, end.clone());
        }
        if let Some(err) = child.stderr.take() {
            pump(err, stderr(), &last, end);
        }
        Self { last, open }
    }

    /// The last lines, once the child has ended. A stranger that it left behind may hold its outputs for ever: he is not
    /// waited for.
    pub(super) fn lines(self) -> Vec<String> {
        let deadline = Instant::now() + REST_WITHIN;
        let _ = self.open.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().cloned().collect()
    }
}

/// As they stand behind an error.
pub(super) fn quoted(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n    | {line}")).collect()
}

fn pump(
    from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    last: &Arc<Mutex<VecDeque<String>>>,
    end: mpsc::Sender<()>,
) {
    let last = Arc::clone(last);
    thread::spawn(move || {
        let _end = end;
        for bytes in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let mut line = String::from_utf8_lossy(&bytes).into_owned();
            // Nobody reads what we show: the child goes on all the same.
            let _ = writeln!(to, "{line}");
            line.truncate(line.floor_char_boundary(WIDTH));
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.len() == LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
    });
}
