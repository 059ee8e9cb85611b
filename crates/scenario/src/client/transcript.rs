//! What a client has of a thread: the events in order, in a form in which two clients can be compared.

use super::frame::{Agui, Event};

/// The events of one thread as one client received them.
///
/// Adjacent pieces of one message are one piece, because a gateway may merge them for a client that is behind; offsets
/// are checked as they come and not compared, for the same reason.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    at: u64,
    pieces: Vec<Agui>,
}

impl PartialEq for Transcript {
    fn eq(&self, other: &Self) -> bool {
        self.pieces == other.pieces
    }
}

impl Transcript {
    /// Nothing yet; events have to follow after `after`.
    #[must_use]
    pub fn new(after: u64) -> Self {
        Self { at: after, pieces: Vec::new() }
    }

    /// Adds an event and returns what it is.
    ///
    /// # Errors
    /// A sentence, when its offset does not rise: it came twice, or out of order.
    pub fn take(&mut self, event: &Event) -> Result<Agui, String> {
        let agui = event.agui();
        if event.offset <= self.at {
            return Err(format!("{} came with offset {} after {}", agui.kind, event.offset, self.at));
        }
        self.at = event.offset;
        match self.pieces.last_mut() {
            Some(last) if last.kind == agui.kind && last.message_id == agui.message_id && agui.delta.is_some() => {
                let text = last.delta.get_or_insert_default();
                text.push_str(agui.delta.as_deref().unwrap_or_default());
            }
            Some(_) | None => self.pieces.push(agui.clone()),
        }
        Ok(agui)
    }

    /// The last offset.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// How many events of a kind there are; pieces of one message count once.
    #[must_use]
    pub fn count(&self, kind: &str) -> usize {
        self.pieces.iter().filter(|piece| piece.kind == kind).count()
    }

    /// All text of assistant messages, in order.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.pieces.iter().filter(|piece| piece.kind == "TEXT_MESSAGE_CONTENT");
        texts.filter_map(|piece| piece.delta.as_deref()).collect()
    }

    /// The kinds in order, for messages.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        self.pieces.iter().map(|piece| piece.kind.as_str()).collect()
    }
}

/// Whether an event ends its run.
#[must_use]
pub fn ends_run(agui: &Agui) -> bool {
    matches!(agui.kind.as_str(), "RUN_FINISHED" | "RUN_ERROR")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(offset: u64, json: &str) -> Event {
        Event {
            thread: "t".to_owned(),
            offset,
            event: serde_json::value::RawValue::from_string(json.to_owned()).unwrap(),
        }
    }

    #[test]
    fn merged_pieces_compare_equal_to_single_ones() {
        let mut single = Transcript::default();
        let mut merged = Transcript::default();
        let piece = |text| format!(r#"{{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"{text}"}}"#);
        single.take(&event(1, &piece("a"))).unwrap();
        single.take(&event(2, &piece("b"))).unwrap();
        merged.take(&event(2, &piece("ab"))).unwrap();
        assert_eq!(single, merged);
        assert_eq!(single.text(), "ab");
    }

    #[test]
    fn an_event_that_comes_twice_is_told() {
        let mut transcript = Transcript::new(4);
        let started = r#"{"type":"RUN_STARTED","runId":"r"}"#;
        transcript.take(&event(5, started)).unwrap();
        let told = transcript.take(&event(5, started)).unwrap_err();
        assert!(told.contains("offset 5 after 5"), "{told}");
    }
}
