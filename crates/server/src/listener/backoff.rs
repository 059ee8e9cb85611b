//! What to do when `accept` fails: mostly nothing, and a pause when the process is out of descriptors or memory.

use std::io;
use std::time::Duration;

use rustix::io::Errno;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Pauses of one burst of failures. Without them the loop would spin at full speed, because the connection that could
/// not be accepted stays in the kernel's queue.
#[derive(Debug, Default)]
pub(super) struct AcceptBackoff {
    last: Option<Duration>,
}

impl AcceptBackoff {
    /// A connection was accepted: the burst is over.
    pub(super) fn reset(&mut self) {
        self.last = None;
    }

    /// How long to pause; none when the error belongs to one connection that is gone. Logs once per burst.
    pub(super) fn pause_after(&mut self, error: &io::Error) -> Option<Duration> {
        if !is_exhaustion(error) {
            tracing::debug!(%error, "a connection went before it was accepted");
            return None;
        }
        let pause = match self.last {
            None => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                FIRST_PAUSE
            }
            Some(last) => (last * 2).min(LONGEST_PAUSE),
        };
        self.last = Some(pause);
        Some(pause)
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_descriptors_means_longer_and_longer_pauses_with_an_end() {
        let mut backoff = AcceptBackoff::default();
        let error = io::Error::from(Errno::MFILE);
        let pauses: Vec<_> = (0..9).filter_map(|_| backoff.pause_after(&error)).collect();
        assert_eq!(pauses[..3], [10, 20, 40].map(Duration::from_millis));
        assert_eq!(pauses[8], LONGEST_PAUSE);
        backoff.reset();
        assert_eq!(backoff.pause_after(&error), Some(FIRST_PAUSE));
    }

    #[test]
    fn a_connection_that_went_early_costs_no_pause() {
        let error = io::Error::from(Errno::CONNABORTED);
        assert_eq!(AcceptBackoff::default().pause_after(&error), None);
    }
}
