//! Frames of sessions: events, encoded at most once for all attachments, and `opened`.

use std::sync::Arc;

use lychgate_core::{SessionKey, Usage};
use smallvec::SmallVec;

use crate::journal::{Entry, Snapshot};
use crate::outbox::Frame;
use crate::wire::{Limits, Message, Opened, Server};

/// History that one `opened` carries, in bytes of JSON; older messages are had by HTTP. It keeps the answer to an open
/// within what an outbox takes.
const HISTORY_BYTES: usize = 256 * 1_024;

/// Entries and their frames; a frame is made when the first attachment asks for it.
pub(super) struct Frames<'a> {
    thread: Vec<u8>,
    entries: &'a [Entry],
    frames: SmallVec<[Option<Frame>; 8]>,
    scratch: Vec<u8>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(key: &SessionKey, entries: &'a [Entry]) -> Self {
        let mut thread = br#"{"type":"event","thread":"#.to_vec();
        if serde_json::to_writer(&mut thread, key.thread().as_str()).is_err() {
            unreachable!("text can always be written to memory as JSON");
        }
        thread.extend_from_slice(br#","offset":"#);
        Self { thread, entries, frames: SmallVec::new(), scratch: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn offset(&self, index: usize) -> u64 {
        self.entries[index].offset
    }

    pub(super) fn frame(&mut self, index: usize) -> &Frame {
        if self.frames.is_empty() {
            self.frames.resize(self.entries.len(), None);
        }
        let Self { thread, entries, frames, scratch } = self;
        frames[index].get_or_insert_with(|| {
            let entry = &entries[index];
            scratch.clear();
            scratch.extend_from_slice(thread);
            push_number(scratch, entry.offset);
            scratch.extend_from_slice(br#","event":"#);
            scratch.extend_from_slice(entry.event.json().get().as_bytes());
            scratch.push(b'}');
            Frame::text(scratch)
        })
    }
}

fn push_number(to: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}

/// `opened`: with `after`, a resume from there; without, a reset to what the snapshot holds.
pub(super) fn opened(
    key: &SessionKey,
    snapshot: &Snapshot,
    after: Option<u64>,
    reference: Option<&str>,
    usage: Usage,
) -> Frame {
    let messages = newest(&snapshot.messages, HISTORY_BYTES, size);
    let opened = Server::Opened(Opened {
        thread: key.thread().as_str(),
        reference,
        epoch: &snapshot.epoch,
        after: after.unwrap_or(snapshot.cut),
        head: snapshot.head,
        run: snapshot.run.as_ref().map(|(run, _)| run.as_str()),
        limits: Limits::from(usage),
        reset: after.is_none(),
        messages: after.is_none().then_some(messages),
        state: snapshot.state.as_deref().filter(|_| after.is_none()),
        more: after.is_none() && (snapshot.more || messages.len() < snapshot.messages.len()),
    });
    Frame::text(opened.to_json().as_bytes())
}

/// The newest messages that fit into so many bytes, at least one. Older ones are not even looked at: a thread may hold
/// far more than any frame.
fn newest(messages: &[Arc<Message>], bytes: usize, size: impl FnMut(&Arc<Message>) -> usize) -> &[Arc<Message>] {
    let totals = messages.iter().rev().map(size).scan(0, |total: &mut usize, size| {
        *total += size;
        Some(*total)
    });
    let count = totals.take_while(|total| *total <= bytes).count();
    &messages[messages.len() - count.max(1).min(messages.len())..]
}

/// Bytes that a message takes in a frame, with its comma.
fn size(message: &Arc<Message>) -> usize {
    serde_json::to_vec(message).map_or(HISTORY_BYTES, |json| json.len() + 1)
}

/// `error internal`, about a thread.
pub(super) fn unreadable(key: &SessionKey, reference: Option<&str>) -> Frame {
    let error = Server::Error {
        code: "internal",
        message: "The conversation cannot be read at the moment.",
        thread: Some(key.thread().as_str()),
        run: None,
        reference,
        retry_in: Some(1_000),
    };
    Frame::text(&serde_json::to_vec(&error).expect("our own answer serialises"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(count: usize) -> Vec<Arc<Message>> {
        let message = |n| Message { id: format!("m{n}"), role: "user".to_owned(), rest: serde_json::Map::new() };
        (0..count).map(|n| Arc::new(message(n))).collect()
    }

    #[test]
    fn history_is_cut_before_the_rest_of_it_is_encoded() {
        let thread = messages(1_000);
        let mut looked_at = 0;
        let kept = newest(&thread, 100, |_| {
            looked_at += 1;
            30
        });
        assert_eq!((kept.len(), kept[2].id.as_str(), looked_at), (3, "m999", 4));
    }

    #[test]
    fn the_newest_message_is_sent_however_long_it_is() {
        assert_eq!(newest(&messages(5), 100, |_| 1_000)[0].id, "m4");
        assert!(newest(&[], 100, |_| 1_000).is_empty());
    }
}
