//! What the kernel would not take yet: frames in order, the first of them perhaps half written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Chunks that one vectored write hands over at most.
pub(super) const SLICES: usize = 16;

/// Frames that wait for the kernel. It exists only while something waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    chunks: VecDeque<Bytes>,
    /// Bytes of the first chunk that the kernel has.
    written: usize,
    bytes: usize,
    /// How many of the waiting bytes end with a ping.
    ping: Option<usize>,
    /// What a peer had said that was called dead; then nothing waits.
    last_words: Vec<u8>,
}

impl Queue {
    pub(super) fn of_last_words(last_words: Vec<u8>) -> Self {
        Self { last_words, ..Self::default() }
    }

    pub(super) fn take_last_words(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.last_words)
    }

    /// Starts with a chunk of whole frames, of which the kernel has the first `written` bytes.
    pub(super) fn push(&mut self, chunk: Bytes, written: usize) {
        debug_assert!(written == 0 || self.chunks.is_empty(), "only the first chunk can be half written");
        if written < chunk.len() {
            self.written += written;
            self.bytes += chunk.len() - written;
            self.chunks.push_back(chunk);
        }
    }

    /// A ping stands at the end of the queue.
    pub(super) fn mark_ping(&mut self) {
        self.ping = Some(self.bytes);
    }

    /// Whether a ping waits already: a second one would say nothing more, and pings would have no bound.
    pub(super) fn has_ping(&self) -> bool {
        self.ping.is_some()
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops every chunk of which the kernel has nothing and is owed nothing: what was begun must be ended, or the peer
    /// could not read on. `owed` are the first of the waiting bytes, which are encrypted already.
    pub(super) fn drop_unbegun(&mut self, owed: usize) {
        let (mut begun, mut bytes, mut keep) = (self.written + owed, 0, 0);
        for chunk in self.chunks.iter().take_while(|chunk| begun_in(&mut begun, chunk)) {
            bytes += chunk.len();
            keep += 1;
        }
        self.chunks.truncate(keep);
        self.bytes = bytes.saturating_sub(self.written);
        self.ping = None;
    }

    /// What to write next, as slices.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let mut count = 0;
        for (slot, chunk) in slices.iter_mut().zip(&self.chunks) {
            let skip = if count == 0 { self.written } else { 0 };
            *slot = IoSlice::new(&chunk[skip..]);
            count += 1;
        }
        count
    }

    /// The kernel took `count` bytes. Answers whether a ping was among them to its end.
    pub(super) fn advance(&mut self, count: usize) -> bool {
        self.bytes -= count;
        self.written += count;
        while let Some(first) = self.chunks.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.chunks.pop_front();
        }
        match self.ping {
            Some(end) if end <= count => {
                self.ping = None;
                true
            }
            Some(end) => {
                self.ping = Some(end - count);
                false
            }
            None => false,
        }
    }
}

/// Whether any of the `begun` bytes are in this chunk; takes them off.
fn begun_in(begun: &mut usize, chunk: &Bytes) -> bool {
    let is_begun = *begun > 0;
    *begun = begun.saturating_sub(chunk.len());
    is_begun
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_counts_as_written_only_when_its_last_byte_is() {
        let mut queue = Queue::default();
        queue.push(Bytes::from_static(b"0123456789"), 4);
        queue.push(Bytes::from_static(b"ping"), 0);
        queue.mark_ping();
        queue.push(Bytes::from_static(b"more"), 0);
        assert!(!queue.advance(9));
        assert!(queue.advance(1));
        assert_eq!(queue.bytes(), 4);
    }

    #[test]
    fn what_the_kernel_has_begun_is_never_dropped() {
        let mut queue = Queue::default();
        queue.push(Bytes::from_static(b"begun"), 2);
        queue.push(Bytes::from_static(b"not begun"), 0);
        queue.drop_unbegun(0);
        assert_eq!(queue.bytes(), 3);
        let mut slices = [IoSlice::new(&[]); SLICES];
        assert_eq!(queue.slices(&mut slices), 1);
        assert_eq!(&slices[0][..], b"gun");
    }

    #[test]
    fn what_is_encrypted_already_is_never_dropped() {
        let mut queue = Queue::default();
        for text in ["one", "two", "three"] {
            queue.push(Bytes::from_static(text.as_bytes()), 0);
        }
        queue.drop_unbegun(4);
        assert_eq!(queue.bytes(), 6);
        assert!(!queue.advance(4));
        queue.push(Bytes::from_static(b"close"), 0);
        queue.drop_unbegun(0);
        assert_eq!(queue.bytes(), 2, "the rest of `two`");
    }

    #[test]
    fn nothing_begun_means_that_everything_is_dropped() {
        let mut queue = Queue::default();
        queue.push(Bytes::from_static(b"frame"), 0);
        queue.drop_unbegun(0);
        assert_eq!(queue.bytes(), 0);
    }
}
