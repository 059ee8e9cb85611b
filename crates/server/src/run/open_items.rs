//! What an agent began and has not ended: messages, tool calls, steps, subagents. They are closed before a run ends,
//! because AG-UI's verifier refuses an end with something open, and a client would show it as "still writing" for ever.

use crate::wire::event::Event;
use crate::wire::event::item::{Item, Part};

/// Open items of one run at most; more are not tracked, and a client that verifies will say so.
const MAX_OPEN: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct OpenItems(Vec<Item>);

impl OpenItems {
    /// Follows one event that goes into the log.
    pub(super) fn follow(&mut self, event: &Event) {
        let Some((item, part)) = event.part().and_then(|(kind, part)| Some((event.item(kind)?, part))) else { return };
        match (part, self.position(&item)) {
            (Part::Start, None) if self.0.len() < MAX_OPEN => self.0.push(item),
            (Part::End, Some(index)) => {
                self.0.remove(index);
            }
            (Part::Start | Part::Content | Part::Chunk, _) | (Part::End, None) => {}
        }
    }

    /// Follows one event of a stream that has to be right by itself.
    ///
    /// # Errors
    /// What is wrong with it, to stand after its name.
    pub(super) fn follow_strictly(&mut self, event: &Event) -> Result<(), String> {
        let Some((kind, part)) = event.part() else { return Ok(()) };
        let name = event.kind();
        let item = event.item(kind).ok_or_else(|| format!("has no id ({name})"))?;
        match (part, self.position(&item)) {
            (Part::Start, Some(_)) => Err(format!("begins {:?} again ({name})", item.id)),
            (Part::Content | Part::End, None) => {
                Err(format!("is about {:?}, which was not begun here ({name})", item.id))
            }
            (Part::Start, None) | (Part::Content | Part::End, Some(_)) | (Part::Chunk, _) => {
                self.follow(event);
                Ok(())
            }
        }
    }

    fn position(&self, item: &Item) -> Option<usize> {
        self.0.iter().position(|open| open == item)
    }

    /// The events that close what is open, innermost first.
    pub(super) fn closers(&self) -> impl Iterator<Item = Event> {
        self.0.iter().rev().map(Item::end)
    }
}
