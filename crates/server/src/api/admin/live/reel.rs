//! The samples of one console: each once, in order, and those that did not fit counted.

use std::sync::Arc;

use super::send;
use crate::outbox::{Outbox, Sent};
use crate::telemetry::History;
use crate::wire::admin::{Live, Sample};

/// How far a console has come.
#[derive(Debug, Default)]
pub(super) struct Reel {
    /// The number of the newest sample that was told, or left out.
    told: u64,
    /// Samples that were left out since the last one that was told.
    skipped: u64,
}

impl Reel {
    /// All that is kept; what comes later is told by [`Reel::tell`].
    pub(super) fn begin(&mut self, history: &History) -> Vec<Arc<Sample>> {
        let (samples, newest) = history.after(0);
        self.told = newest;
        samples
    }

    /// Tells what is new. A sample for which the outbox has no room is left out: the next one that fits says how many were, and
    /// nothing waits for a reader that does not read.
    pub(super) fn tell(&mut self, history: &History, outbox: &Outbox) {
        let (samples, newest) = history.after(self.told);
        // What the ring has forgotten meanwhile was left out, too.
        self.skipped += (newest - self.told).saturating_sub(samples.len() as u64);
        self.told = newest;
        for sample in samples {
            let skipped = Some(self.skipped).filter(|skipped| *skipped > 0);
            match send(outbox, &Live::Sample { sample: &sample, skipped }) {
                Sent::Accepted => self.skipped = 0,
                Sent::Full | Sent::Closed => self.skipped += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Ipv4Addr;
    use std::task::Poll;
    use std::time::Duration;

    use lychgate_core::Census;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::outbox::Frame;
    use crate::telemetry::history::{KEPT, Seen};

    /// More than two kernels take for a peer that does not read.
    const MUCH: usize = 16 * 1024 * 1024;
    const BOUND: usize = 4_096;

    fn take(history: &History, samples: usize) {
        for _ in 0..samples {
            let census = Census::default();
            history.take(&Seen { unix_ms: 1, now: Duration::ZERO, text: "", census: &census, breakers: Vec::new() });
        }
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let sockets = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (ours, theirs) = tokio::join!(sockets.accept(), TcpStream::connect(sockets.local_addr().unwrap()));
        (ours.unwrap().0, theirs.unwrap())
    }

    /// Writes until nothing waits any more, as a connection's task does.
    async fn drain(outbox: &Outbox) {
        poll_fn(|cx| {
            let _ = outbox.poll_turn(cx);
            match outbox.room() == BOUND {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_costs_no_memory_and_hears_how_much_it_missed() {
        let ((ours, mut peer), history) = (pair().await, History::default());
        let (outbox, mut reel) = (Outbox::new(ours, BOUND), Reel::default());
        take(&history, 3);
        assert_eq!(reel.begin(&history).len(), 3);
        // As a hello with a long history: one frame of any size is taken while nothing waits.
        assert_eq!(outbox.send(&Frame::text(&vec![b'x'; MUCH])), Sent::Accepted);
        let waiting = outbox.bytes_sent();
        for _ in 0..100 {
            take(&history, 1);
            reel.tell(&history, &outbox);
        }
        assert_eq!((outbox.bytes_sent(), outbox.room()), (waiting, 0), "nothing was added to what waits");
        // It slept for longer than the ring remembers.
        take(&history, KEPT + 50);
        reel.tell(&history, &outbox);
        assert_eq!(outbox.bytes_sent(), waiting);
        let told = format!(",\"skipped\":{}}}", 100 + KEPT + 50);
        let reads = async {
            let (mut heard, mut bytes) = (Vec::new(), vec![0; 1024 * 1024]);
            while !heard.ends_with(told.as_bytes()) {
                let read = peer.read(&mut bytes).await.unwrap();
                heard.extend_from_slice(&bytes[..read]);
                heard.drain(..heard.len().saturating_sub(told.len()));
            }
        };
        let tells = async {
            drain(&outbox).await;
            take(&history, 1);
            reel.tell(&history, &outbox);
            drain(&outbox).await;
        };
        tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(reads, tells) }).await.unwrap();
        take(&history, 1);
        reel.tell(&history, &outbox);
        assert_eq!(reel.skipped, 0);
    }
}
