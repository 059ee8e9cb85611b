//! What AG-UI events begin, continue and end. One table: whoever closes what is open has to know every way to end it.
//!
//! ```text
//! TEXT_MESSAGE_START m --> Item { Text, m }, Start     TEXT_MESSAGE_CONTENT m --> Content     TEXT_MESSAGE_END m --> End
//! ```
//!
//! Types of npm `@ag-ui/core` 1.0.0; of a type that is not in the table nothing stays open.

use serde_json::json;

use super::{Event, Head};

/// What can be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Text,
    /// A span of reasoning, which holds messages of reasoning.
    Reasoning,
    /// A message of reasoning.
    ReasoningMessage,
    /// A call of a tool, until its arguments are complete.
    ToolCall,
    /// A step.
    Step,
    /// The run of a subagent.
    Subagent,
}

/// What an event does to its item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Begins it.
    Start,
    /// Adds to it.
    Content,
    /// Ends it, well or not.
    End,
    /// Adds to one that neither begins nor ends by an event of its own.
    Chunk,
}

/// Something that began. Steps of two subagents may have one name; other ids are unique among their kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub id: String,
    /// Of steps: whose; none for the agent's own.
    pub subagent: Option<String>,
}

impl Kind {
    /// The id that an event about this kind carries.
    #[must_use]
    pub fn id(self, head: &Head) -> Option<&str> {
        match self {
            Self::Text | Self::Reasoning | Self::ReasoningMessage => head.message_id.as_deref(),
            Self::ToolCall => head.tool_call_id.as_deref(),
            Self::Step => head.step_name.as_deref(),
            Self::Subagent => head.subagent_run_id.as_deref(),
        }
    }
}

impl Item {
    /// The event that ends it.
    #[must_use]
    pub fn end(&self) -> Event {
        let id = &self.id;
        let mut end = match self.kind {
            Kind::Text => json!({"type": "TEXT_MESSAGE_END", "messageId": id}),
            Kind::Reasoning => json!({"type": "REASONING_END", "messageId": id}),
            Kind::ReasoningMessage => json!({"type": "REASONING_MESSAGE_END", "messageId": id}),
            Kind::ToolCall => json!({"type": "TOOL_CALL_END", "toolCallId": id}),
            Kind::Step => json!({"type": "STEP_FINISHED", "stepName": id}),
            Kind::Subagent => json!({"type": "SUBAGENT_FINISHED", "subagentRunId": id}),
        };
        if let Some(subagent) = &self.subagent {
            end["subagentRunId"] = subagent.as_str().into();
        }
        Event::build(&end)
    }
}

impl Event {
    /// What it does to what; none for events that leave nothing open.
    #[must_use]
    pub fn part(&self) -> Option<(Kind, Part)> {
        Some(match self.kind() {
            "TEXT_MESSAGE_START" => (Kind::Text, Part::Start),
            "TEXT_MESSAGE_CONTENT" => (Kind::Text, Part::Content),
            "TEXT_MESSAGE_END" => (Kind::Text, Part::End),
            "TEXT_MESSAGE_CHUNK" => (Kind::Text, Part::Chunk),
            "REASONING_START" => (Kind::Reasoning, Part::Start),
            "REASONING_END" => (Kind::Reasoning, Part::End),
            "REASONING_MESSAGE_START" => (Kind::ReasoningMessage, Part::Start),
            "REASONING_MESSAGE_CONTENT" => (Kind::ReasoningMessage, Part::Content),
            "REASONING_MESSAGE_END" => (Kind::ReasoningMessage, Part::End),
            "REASONING_MESSAGE_CHUNK" => (Kind::ReasoningMessage, Part::Chunk),
            "TOOL_CALL_START" => (Kind::ToolCall, Part::Start),
            "TOOL_CALL_ARGS" => (Kind::ToolCall, Part::Content),
            "TOOL_CALL_END" => (Kind::ToolCall, Part::End),
            "TOOL_CALL_CHUNK" => (Kind::ToolCall, Part::Chunk),
            "STEP_STARTED" => (Kind::Step, Part::Start),
            "STEP_FINISHED" => (Kind::Step, Part::End),
            "SUBAGENT_STARTED" => (Kind::Subagent, Part::Start),
            "SUBAGENT_FINISHED" | "SUBAGENT_ERROR" => (Kind::Subagent, Part::End),
            _ => return None,
        })
    }

    /// The item of this kind that it is about; none where it does not say which.
    #[must_use]
    pub fn item(&self, kind: Kind) -> Option<Item> {
        let head = self.head();
        let subagent = (kind == Kind::Step).then(|| head.subagent_run_id.clone()).flatten();
        Some(Item { kind, id: kind.id(head)?.to_owned(), subagent })
    }

    /// Whether it ends a run.
    #[must_use]
    pub fn ends_run(&self) -> bool {
        matches!(self.kind(), "RUN_FINISHED" | "RUN_ERROR")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_an_item_is_about_that_item_and_an_end() {
        for kind in [Kind::Text, Kind::Reasoning, Kind::ReasoningMessage, Kind::ToolCall, Kind::Step, Kind::Subagent] {
            let subagent = (kind == Kind::Step).then(|| "s".to_owned());
            let item = Item { kind, id: "i".to_owned(), subagent };
            let end = item.end();
            assert_eq!(end.part(), Some((kind, Part::End)));
            assert_eq!(end.item(kind), Some(item));
        }
    }
}
