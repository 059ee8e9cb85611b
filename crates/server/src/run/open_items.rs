//! What an agent began and has not ended: messages, tool calls, steps, subagents. They are closed before a run ends, because AG-UI's
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
    Subagent,
}

/// Something that began. Steps of two subagents may have one name; other ids are unique among their kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    kind: Kind,
    id: String,
    /// Of steps: whose.
    subagent: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct OpenItems(Vec<Item>);

/// What an event does to its item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Begins,
    Continues,
    Ends,
}

impl OpenItems {
    /// Follows one event that goes into the log.
    pub(super) fn follow(&mut self, event: &Event) {
        let Some((item, deed)) = part(event) else { return };
        let known = self.position(&item);
        match (deed, known) {
            (Deed::Begins, None) if self.0.len() < MAX_OPEN => self.0.push(item),
            (Deed::Ends, Some(index)) => {
                self.0.remove(index);
            }
            (Deed::Begins | Deed::Continues, Some(_) | None) | (Deed::Ends, None) => {}
        }
    }

    /// Follows one event of a stream that has to be right by itself.
    ///
    /// # Errors
    /// What is wrong with it, to stand after its name.
    pub(super) fn follow_strictly(&mut self, event: &Event) -> Result<(), String> {
        let (kind, head) = (event.kind(), event.head());
        if let Some((item, deed)) = part(event) {
            match (deed, self.position(&item)) {
                (Deed::Begins, Some(_)) => return Err(format!("begins {:?} again ({kind})", item.id)),
                (Deed::Continues | Deed::Ends, None) => {
                    let id = item.id;
                    return Err(format!("is about {id:?}, which was not begun here ({kind})"));
                }
                (Deed::Begins, None) | (Deed::Continues | Deed::Ends, Some(_)) => self.follow(event),
            }
        } else if is_part(kind).is_some_and(|(item, _)| id_of(item, head).is_none())
            || (kind.ends_with("_CHUNK") && head.message_id.is_none() && head.tool_call_id.is_none())
        {
            return Err(format!("has no id ({kind})"));
        }
        Ok(())
    }

    fn position(&self, item: &Item) -> Option<usize> {
        self.0.iter().position(|open| open == item)
    }

    /// The events that close what is open, innermost first.
    pub(super) fn closers(&self) -> impl Iterator<Item = Event> {
        self.0.iter().rev().map(|Item { kind, id, subagent }| {
            let mut closer = match kind {
                Kind::Text => json!({"type": "TEXT_MESSAGE_END", "messageId": id}),
                Kind::Reasoning => json!({"type": "REASONING_END", "messageId": id}),
                Kind::ReasoningMessage => json!({"type": "REASONING_MESSAGE_END", "messageId": id}),
                Kind::ToolCall => json!({"type": "TOOL_CALL_END", "toolCallId": id}),
                Kind::Step => json!({"type": "STEP_FINISHED", "stepName": id}),
                Kind::Subagent => json!({"type": "SUBAGENT_FINISHED", "subagentRunId": id}),
            };
            if let Some(subagent) = subagent {
                closer["subagentRunId"] = subagent.as_str().into();
            }
            Event::build(&closer)
        })
    }
}

fn part(event: &Event) -> Option<(Item, Deed)> {
    let (kind, deed) = is_part(event.kind())?;
    let head = event.head();
    let subagent = (kind == Kind::Step).then(|| head.subagent_run_id.clone()).flatten();
    Some((Item { kind, id: id_of(kind, head)?.to_owned(), subagent }, deed))
}

fn is_part(event: &str) -> Option<(Kind, Deed)> {
    Some(match event {
        "TEXT_MESSAGE_START" => (Kind::Text, Deed::Begins),
        "TEXT_MESSAGE_CONTENT" => (Kind::Text, Deed::Continues),
        "TEXT_MESSAGE_END" => (Kind::Text, Deed::Ends),
        "REASONING_START" => (Kind::Reasoning, Deed::Begins),
        "REASONING_END" => (Kind::Reasoning, Deed::Ends),
        "REASONING_MESSAGE_START" => (Kind::ReasoningMessage, Deed::Begins),
        "REASONING_MESSAGE_CONTENT" => (Kind::ReasoningMessage, Deed::Continues),
        "REASONING_MESSAGE_END" => (Kind::ReasoningMessage, Deed::Ends),
        "TOOL_CALL_START" => (Kind::ToolCall, Deed::Begins),
        "TOOL_CALL_ARGS" => (Kind::ToolCall, Deed::Continues),
        "TOOL_CALL_END" => (Kind::ToolCall, Deed::Ends),
        "STEP_STARTED" => (Kind::Step, Deed::Begins),
        "STEP_FINISHED" => (Kind::Step, Deed::Ends),
        "SUBAGENT_STARTED" => (Kind::Subagent, Deed::Begins),
        "SUBAGENT_FINISHED" => (Kind::Subagent, Deed::Ends),
        _ => return None,
    })
}

fn id_of(kind: Kind, head: &Head) -> Option<&str> {
    match kind {
        Kind::Text | Kind::Reasoning | Kind::ReasoningMessage => head.message_id.as_deref(),
        Kind::ToolCall => head.tool_call_id.as_deref(),
        Kind::Step => head.step_name.as_deref(),
        Kind::Subagent => head.subagent_run_id.as_deref(),
    }
}
