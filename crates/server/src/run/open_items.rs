//! What an agent began and has not ended: messages, tool calls, steps. They are closed before a run ends, because AG-UI's
//! verifier refuses an end with something open, and a client would show it as "still writing" for ever.

use serde_json::json;

use crate::wire::event::{Event, Head};

/// Open items of one run at most; more are not tracked, and a client that verifies will say so.
const MAX_OPEN: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    ReasoningMessage,
    ToolCall,
    Step,
}

#[derive(Clone, Debug, Default)]
pub(super) struct OpenItems(Vec<(Kind, String)>);

impl OpenItems {
    /// Follows one event that goes into the log.
    pub(super) fn follow(&mut self, event: &Event) {
        let head = event.head();
        let (kind, opens) = match event.kind() {
            "TEXT_MESSAGE_START" => (Kind::Text, true),
            "TEXT_MESSAGE_END" => (Kind::Text, false),
            "REASONING_START" => (Kind::Reasoning, true),
            "REASONING_END" => (Kind::Reasoning, false),
            "REASONING_MESSAGE_START" => (Kind::ReasoningMessage, true),
            "REASONING_MESSAGE_END" => (Kind::ReasoningMessage, false),
            "TOOL_CALL_START" => (Kind::ToolCall, true),
            "TOOL_CALL_END" => (Kind::ToolCall, false),
            "STEP_STARTED" => (Kind::Step, true),
            "STEP_FINISHED" => (Kind::Step, false),
            _ => return,
        };
        let Some(id) = id_of(kind, head) else { return };
        let known = self.0.iter().position(|(of, item)| *of == kind && item == id);
        match (opens, known) {
            (true, None) if self.0.len() < MAX_OPEN => self.0.push((kind, id.to_owned())),
            (false, Some(index)) => {
                self.0.remove(index);
            }
            (true, Some(_) | None) | (false, None) => {}
        }
    }

    /// The events that close what is open, innermost first.
    pub(super) fn closers(&self) -> impl Iterator<Item = Event> {
        self.0.iter().rev().map(|(kind, id)| {
            Event::build(&match kind {
                Kind::Text => json!({"type": "TEXT_MESSAGE_END", "messageId": id}),
                Kind::Reasoning => json!({"type": "REASONING_END", "messageId": id}),
                Kind::ReasoningMessage => json!({"type": "REASONING_MESSAGE_END", "messageId": id}),
                Kind::ToolCall => json!({"type": "TOOL_CALL_END", "toolCallId": id}),
                Kind::Step => json!({"type": "STEP_FINISHED", "stepName": id}),
            })
        })
    }
}

fn id_of(kind: Kind, head: &Head) -> Option<&str> {
    match kind {
        Kind::Text | Kind::Reasoning | Kind::ReasoningMessage => head.message_id.as_deref(),
        Kind::ToolCall => head.tool_call_id.as_deref(),
        Kind::Step => head.step_name.as_deref(),
    }
}
