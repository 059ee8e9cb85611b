//! Events in the order that AG-UI's own verifier accepts (npm `@ag-ui/client` 1.0.0, `verifyEvents`).
//!
//! A verifier throws at the first event out of order and gives up the whole stream; and because events are kept, it would
//! throw again at every resume, for every tab. So nothing out of order is passed on. What can be mended without a loss is
//! mended, because an answer that a person can read is worth more than a backend's manners:
//!
//! | the backend | we |
//! |---|---|
//! | begins what is open, ends what is not | leave the event out |
//! | writes into a message that it never began | begin it |
//! | goes on in chunks that do not say with what | say it, so that a reader who comes in between understands |
//! | ends the run with something open | end that first |
//! | goes on with a tool call that it never began | end the run: nobody knows which tool |
//!
//! Which subagent an event belongs to is passed on unchecked.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::tidy::Tidy;
use crate::agent::failure::Failure;
use crate::wire::event::{Event, Head};

/// Items that are open at once, and subagents of one run, at most (R24).
const MAX_OPEN: usize = 256;
/// Bytes of an id that is remembered, at most.
const MAX_ID_BYTES: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Text,
    Reasoning,
    ReasoningMessage,
    ToolCall,
    Step,
    Subagent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Start,
    Content,
    End,
    Chunk,
}

/// Something that began. Steps of different subagents may have the same name; other ids are unique among their kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    what: What,
    id: String,
    /// Of steps: whose.
    subagent: Option<String>,
}

/// What a chunk without an id goes on with.
#[derive(Debug)]
struct Chunked {
    what: What,
    id: String,
    /// Of tool calls: which tool.
    tool: Option<String>,
}

/// What is open in one run.
#[derive(Debug, Default)]
pub(super) struct Order {
    open: Vec<Item>,
    /// Subagents that have ended: each may begin once.
    ended: Vec<String>,
    /// At most one of each kind.
    chunked: Vec<Chunked>,
}

impl Order {
    /// Adds to `out` what is passed on for this event: itself, nothing, or what is missing and itself.
    pub(super) fn pass(&mut self, tidy: Tidy, out: &mut Vec<Event>) -> Result<(), Failure> {
        let kind = tidy.event.kind();
        let Some((what, part)) = part(kind) else {
            match kind {
                // The run's own stands already.
                "RUN_STARTED" => {}
                "RUN_FINISHED" | "RUN_ERROR" => {
                    out.extend(self.open.drain(..).rev().map(Item::end));
                    out.push(tidy.event);
                }
                _ => out.push(tidy.event),
            }
            return Ok(());
        };
        if part == Part::Chunk {
            out.push(self.chunk(what, &tidy)?);
            return Ok(());
        }
        let item = item(what, &tidy)?;
        let at = self.open.iter().position(|open| *open == item);
        match (part, at) {
            (Part::Start, None) if what != What::Subagent || !self.ended.contains(&item.id) => self.begin(item)?,
            (Part::Content, None) => {
                out.push(item.start(tidy.subagent.as_deref())?);
                self.begin(item)?;
            }
            (Part::End, Some(at)) => self.end(at)?,
            (Part::Content, Some(_)) => {}
            (Part::Start, Some(_) | None) | (Part::End, None) | (Part::Chunk, _) => {
                tracing::debug!(kind, "an agent's event is out of order and left out");
                return Ok(());
            }
        }
        out.push(tidy.event);
        Ok(())
    }

    fn begin(&mut self, item: Item) -> Result<(), Failure> {
        match self.open.len() {
            MAX_OPEN => Err(Failure::BadStream("begins too much at once")),
            _ => {
                self.open.push(item);
                Ok(())
            }
        }
    }

    fn end(&mut self, at: usize) -> Result<(), Failure> {
        let item = self.open.remove(at);
        match item.what {
            What::Subagent if self.ended.len() == MAX_OPEN => Err(Failure::BadStream("has too many subagents")),
            What::Subagent => {
                self.ended.push(item.id);
                Ok(())
            }
            What::Text | What::Reasoning | What::ReasoningMessage | What::ToolCall | What::Step => Ok(()),
        }
    }

    /// A chunk that says what it goes on with. Clients read "the same as before" from it; who resumes has no before.
    fn chunk(&mut self, what: What, tidy: &Tidy) -> Result<Event, Failure> {
        let said = id(what, tidy.event.head()).map(bounded).transpose()?;
        let last = self.chunked.iter().position(|chunked| chunked.what == what).map(|at| self.chunked.swap_remove(at));
        let chunked = match (said, last) {
            (None, None) => return Err(Failure::BadStream("goes on with something that it never began")),
            (None, Some(last)) => last,
            (Some(id), Some(last)) if last.id == id => last,
            (Some(id), _) => Chunked { what, id, tool: tidy.tool.as_deref().map(bounded).transpose()? },
        };
        if self.open.iter().any(|open| open.what == what && open.id == chunked.id) {
            return Err(Failure::BadStream("sends chunks of what it began without them"));
        }
        let event = match (what, &chunked.tool) {
            (What::ToolCall, None) => return Err(Failure::BadStream("calls a tool without naming it")),
            (What::ToolCall, Some(tool)) => {
                let event = with(&tidy.event, "toolCallId", &chunked.id, tidy.event.head().tool_call_id.is_some())?;
                with(&event, "toolCallName", tool, tidy.tool.is_some())?
            }
            (What::Text | What::Reasoning | What::ReasoningMessage | What::Step | What::Subagent, _) => {
                with(&tidy.event, "messageId", &chunked.id, tidy.event.head().message_id.is_some())?
            }
        };
        self.chunked.push(chunked);
        Ok(event)
    }
}

/// The event with one more text at its end, unless it has it already. Everything else stays to the letter.
fn with(event: &Event, name: &str, text: &str, has_it: bool) -> Result<Event, Failure> {
    let json = event.json().get().trim_end();
    let Some(object) = json.strip_suffix('}').filter(|_| !has_it) else {
        return Ok(event.clone());
    };
    let longer = RawValue::from_string(format!("{object},{name:?}:{}}}", Value::from(text)));
    longer.and_then(Event::parse).map_err(|_| Failure::BadStream("cannot be read"))
}

fn part(kind: &str) -> Option<(What, Part)> {
    Some(match kind {
        "TEXT_MESSAGE_START" => (What::Text, Part::Start),
        "TEXT_MESSAGE_CONTENT" => (What::Text, Part::Content),
        "TEXT_MESSAGE_END" => (What::Text, Part::End),
        "TEXT_MESSAGE_CHUNK" => (What::Text, Part::Chunk),
        "REASONING_START" => (What::Reasoning, Part::Start),
        "REASONING_END" => (What::Reasoning, Part::End),
        "REASONING_MESSAGE_START" => (What::ReasoningMessage, Part::Start),
        "REASONING_MESSAGE_CONTENT" => (What::ReasoningMessage, Part::Content),
        "REASONING_MESSAGE_END" => (What::ReasoningMessage, Part::End),
        "REASONING_MESSAGE_CHUNK" => (What::ReasoningMessage, Part::Chunk),
        "TOOL_CALL_START" => (What::ToolCall, Part::Start),
        "TOOL_CALL_ARGS" => (What::ToolCall, Part::Content),
        "TOOL_CALL_END" => (What::ToolCall, Part::End),
        "TOOL_CALL_CHUNK" => (What::ToolCall, Part::Chunk),
        "STEP_STARTED" => (What::Step, Part::Start),
        "STEP_FINISHED" => (What::Step, Part::End),
        "SUBAGENT_STARTED" => (What::Subagent, Part::Start),
        "SUBAGENT_FINISHED" | "SUBAGENT_ERROR" => (What::Subagent, Part::End),
        _ => return None,
    })
}

fn item(what: What, tidy: &Tidy) -> Result<Item, Failure> {
    let id = match what {
        What::Subagent => tidy.subagent.as_deref(),
        What::Text | What::Reasoning | What::ReasoningMessage | What::ToolCall | What::Step => {
            id(what, tidy.event.head())
        }
    };
    let id = bounded(id.ok_or(Failure::BadStream("holds an event without what belongs to it"))?)?;
    let subagent = match what {
        What::Step => tidy.subagent.as_deref().map(bounded).transpose()?,
        What::Text | What::Reasoning | What::ReasoningMessage | What::ToolCall | What::Subagent => None,
    };
    Ok(Item { what, id, subagent })
}

fn id(what: What, head: &Head) -> Option<&str> {
    match what {
        What::Text | What::Reasoning | What::ReasoningMessage => head.message_id.as_deref(),
        What::ToolCall => head.tool_call_id.as_deref(),
        What::Step => head.step_name.as_deref(),
        What::Subagent => None,
    }
}

fn bounded(id: &str) -> Result<String, Failure> {
    match id.len() {
        0..=MAX_ID_BYTES => Ok(id.to_owned()),
        _ => Err(Failure::BadStream("names something with more than 1,024 bytes")),
    }
}

impl Item {
    /// The event that was missing before its content. It belongs to whom the content belongs to.
    fn start(&self, subagent: Option<&str>) -> Result<Event, Failure> {
        let id = &self.id;
        let mut start = match self.what {
            What::Text => json!({"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"}),
            What::ReasoningMessage => json!({"type": "REASONING_MESSAGE_START", "messageId": id, "role": "reasoning"}),
            What::ToolCall | What::Reasoning | What::Step | What::Subagent => {
                return Err(Failure::BadStream("goes on with a tool call that it never began"));
            }
        };
        if let Some(subagent) = subagent {
            start["subagentRunId"] = subagent.into();
        }
        Ok(Event::build(&start))
    }

    fn end(self) -> Event {
        let id = self.id;
        let mut end = match self.what {
            What::Text => json!({"type": "TEXT_MESSAGE_END", "messageId": id}),
            What::Reasoning => json!({"type": "REASONING_END", "messageId": id}),
            What::ReasoningMessage => json!({"type": "REASONING_MESSAGE_END", "messageId": id}),
            What::ToolCall => json!({"type": "TOOL_CALL_END", "toolCallId": id}),
            What::Step => json!({"type": "STEP_FINISHED", "stepName": id}),
            What::Subagent => json!({"type": "SUBAGENT_FINISHED", "subagentRunId": id}),
        };
        if let Some(subagent) = self.subagent {
            end["subagentRunId"] = subagent.into();
        }
        Event::build(&end)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tidy::{self, Raw};
    use super::*;
    use crate::agent::AgentError;

    fn passed(events: &[Value]) -> Result<Vec<Value>, String> {
        let mut order = Order::default();
        let mut out = Vec::new();
        for event in events {
            let tidy = tidy::read(&event.to_string(), Raw::Strip).unwrap();
            order.pass(tidy, &mut out).map_err(|failure| AgentError::from(failure).message)?;
        }
        Ok(out.iter().map(|event| serde_json::from_str(event.json().get()).unwrap()).collect())
    }

    fn event(kind: &str, id: &str) -> Value {
        match kind {
            "TEXT_MESSAGE_CONTENT" | "REASONING_MESSAGE_CONTENT" => {
                json!({"type": kind, "messageId": id, "delta": "x"})
            }
            "TOOL_CALL_START" => json!({"type": kind, "toolCallId": id, "toolCallName": "f"}),
            "TOOL_CALL_ARGS" => json!({"type": kind, "toolCallId": id, "delta": "x"}),
            "TOOL_CALL_END" => json!({"type": kind, "toolCallId": id}),
            "STEP_STARTED" | "STEP_FINISHED" => json!({"type": kind, "stepName": id}),
            "SUBAGENT_STARTED" => json!({"type": kind, "subagentRunId": id, "name": "s"}),
            "SUBAGENT_FINISHED" => json!({"type": kind, "subagentRunId": id}),
            "REASONING_MESSAGE_START" => json!({"type": kind, "messageId": id, "role": "reasoning"}),
            _ => json!({"type": kind, "messageId": id}),
        }
    }

    fn kinds(events: &[Value]) -> Vec<&str> {
        events.iter().map(|event| event["type"].as_str().unwrap()).collect()
    }

    #[test]
    fn what_is_in_order_and_what_is_unknown_passes() {
        let events = [
            event("STEP_STARTED", "s"),
            event("REASONING_START", "m"),
            event("REASONING_MESSAGE_START", "m"),
            event("REASONING_MESSAGE_CONTENT", "m"),
            event("REASONING_MESSAGE_END", "m"),
            event("REASONING_END", "m"),
            event("TEXT_MESSAGE_START", "m"),
            event("TOOL_CALL_START", "m"),
            event("TEXT_MESSAGE_CONTENT", "m"),
            event("TOOL_CALL_ARGS", "m"),
            event("TOOL_CALL_END", "m"),
            event("TEXT_MESSAGE_END", "m"),
            event("TEXT_MESSAGE_START", "m"),
            event("TEXT_MESSAGE_END", "m"),
            json!({"type": "FROM_THE_FUTURE", "messageId": "m"}),
            event("STEP_FINISHED", "s"),
        ];
        assert_eq!(passed(&events).unwrap(), events);
    }

    #[test]
    fn beginning_twice_and_ending_what_is_not_open_is_left_out() {
        for (start, end) in [
            ("TEXT_MESSAGE_START", "TEXT_MESSAGE_END"),
            ("REASONING_START", "REASONING_END"),
            ("REASONING_MESSAGE_START", "REASONING_MESSAGE_END"),
            ("TOOL_CALL_START", "TOOL_CALL_END"),
            ("STEP_STARTED", "STEP_FINISHED"),
            ("SUBAGENT_STARTED", "SUBAGENT_FINISHED"),
        ] {
            let events = [end, start, start, end, end].map(|kind| event(kind, "x"));
            assert_eq!(kinds(&passed(&events).unwrap()), [start, end]);
        }
        let again = ["SUBAGENT_STARTED", "SUBAGENT_FINISHED", "SUBAGENT_STARTED"].map(|kind| event(kind, "x"));
        assert_eq!(passed(&again).unwrap().len(), 2, "a subagent begins once");
    }

    #[test]
    fn a_message_that_was_never_begun_is_begun_for_whom_it_is() {
        let mut content = event("TEXT_MESSAGE_CONTENT", "m");
        content["subagentRunId"] = "s".into();
        let start = json!({"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant", "subagentRunId": "s"});
        assert_eq!(passed(&[content.clone(), content.clone()]).unwrap(), [start, content.clone(), content]);
        let thought = passed(&[event("REASONING_MESSAGE_CONTENT", "m")]).unwrap();
        assert_eq!(kinds(&thought), ["REASONING_MESSAGE_START", "REASONING_MESSAGE_CONTENT"]);
    }

    #[test]
    fn a_tool_call_that_was_never_begun_ends_the_stream() {
        let error = passed(&[event("TOOL_CALL_ARGS", "c")]).unwrap_err();
        assert_eq!(error, "The agent's answer goes on with a tool call that it never began.");
    }

    #[test]
    fn what_is_open_at_the_end_is_ended_innermost_first_and_for_whom_it_began() {
        let mut step = event("STEP_STARTED", "x");
        step["subagentRunId"] = "s".into();
        let events = [
            json!({"type": "RUN_STARTED", "threadId": "theirs", "runId": "theirs"}),
            event("STEP_STARTED", "x"),
            event("SUBAGENT_STARTED", "s"),
            step,
            event("TEXT_MESSAGE_START", "m"),
            json!({"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}),
        ];
        let ends = &passed(&events).unwrap()[4..];
        assert_eq!(
            kinds(ends),
            ["TEXT_MESSAGE_END", "STEP_FINISHED", "SUBAGENT_FINISHED", "STEP_FINISHED", "RUN_FINISHED"]
        );
        assert_eq!((&ends[1]["subagentRunId"], &ends[3]["subagentRunId"]), (&json!("s"), &Value::Null));
    }

    #[test]
    fn every_chunk_says_what_it_goes_on_with() {
        let tool = |fields: Value| {
            let mut chunk = json!({"type": "TOOL_CALL_CHUNK"});
            chunk.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            chunk
        };
        let events = [
            json!({"type": "TEXT_MESSAGE_CHUNK", "messageId": "m\"1", "delta": "a"}),
            tool(json!({"toolCallId": "c", "toolCallName": "f"})),
            json!({"type": "TEXT_MESSAGE_CHUNK", "delta": "b"}),
            tool(json!({"toolCallId": "c", "delta": "1"})),
            tool(json!({"delta": "2"})),
        ];
        let passed = passed(&events).unwrap();
        assert!(
            passed.iter().filter(|event| event["type"] == "TEXT_MESSAGE_CHUNK").all(|it| it["messageId"] == "m\"1")
        );
        for chunk in passed.iter().filter(|event| event["type"] == "TOOL_CALL_CHUNK") {
            assert_eq!((&chunk["toolCallId"], &chunk["toolCallName"]), (&json!("c"), &json!("f")));
        }
    }

    #[test]
    fn chunks_that_nobody_could_place_end_the_stream() {
        for events in [
            vec![json!({"type": "TEXT_MESSAGE_CHUNK", "delta": "a"})],
            vec![json!({"type": "TOOL_CALL_CHUNK", "toolCallId": "c", "delta": "a"})],
            vec![event("TEXT_MESSAGE_START", "m"), json!({"type": "TEXT_MESSAGE_CHUNK", "messageId": "m"})],
        ] {
            assert!(passed(&events).is_err(), "{events:?}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let many = |kind: &str, n: usize| (0..n).map(|n| event(kind, &n.to_string())).collect::<Vec<_>>();
        assert!(passed(&many("TEXT_MESSAGE_START", MAX_OPEN)).is_ok());
        assert!(passed(&many("TEXT_MESSAGE_START", MAX_OPEN + 1)).is_err());
        let one_after_the_other = (0..=MAX_OPEN)
            .flat_map(|n| ["SUBAGENT_STARTED", "SUBAGENT_FINISHED"].map(|kind| event(kind, &n.to_string())));
        assert!(passed(&one_after_the_other.collect::<Vec<_>>()).is_err());
        assert!(passed(&[event("TEXT_MESSAGE_START", &"x".repeat(MAX_ID_BYTES + 1))]).is_err());
    }
}
