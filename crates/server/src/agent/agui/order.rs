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
//! | says another subagent than what it goes on with began with | leave out which it says ([`super::whose`]) |
//! | names as parent a subagent that never began | leave the parent out |

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::tidy::{self, Tidy};
use super::whose::Whose;
use crate::agent::failure::Failure;
use crate::wire::event::Event;
use crate::wire::event::item::{Item, Kind, Part};

/// Items that are open at once, and subagents of one run, at most (R24).
const MAX_OPEN: usize = 256;
/// Bytes of an id that is remembered, at most.
const MAX_ID_BYTES: usize = 1024;

/// What a chunk without an id goes on with. Chunks of different subagents may interleave.
#[derive(Debug)]
struct Chunked {
    kind: Kind,
    id: String,
    /// Of tool calls: which tool.
    tool: Option<String>,
    /// What its first chunk said, and all others say after it.
    subagent: Option<String>,
}

/// What is open in one run.
#[derive(Debug, Default)]
pub(super) struct Order {
    open: Vec<Item>,
    /// Subagents that have ended: each may begin once.
    ended: Vec<String>,
    /// At most one of each kind and subagent.
    chunked: Vec<Chunked>,
    whose: Whose,
}

impl Order {
    /// Adds to `out` what is passed on for this event: itself, nothing, or what is missing and itself.
    pub(super) fn pass(&mut self, tidy: Tidy, out: &mut Vec<Event>) -> Result<(), Failure> {
        let Some((kind, part)) = tidy.event.part() else {
            match tidy.event.kind() {
                // The run's own stands already.
                "RUN_STARTED" => {}
                "RUN_FINISHED" | "RUN_ERROR" => {
                    out.extend(self.open.drain(..).rev().map(|item| item.end()));
                    out.push(tidy.event);
                }
                "TOOL_CALL_RESULT" if self.is_chunked(Kind::Text, tidy.event.head().message_id.as_deref()) => {
                    return Err(Failure::BadStream("gives two messages one id"));
                }
                _ => out.push(self.whose.fit(tidy.event)?),
            }
            return Ok(());
        };
        if part == Part::Chunk {
            out.push(self.chunk(kind, &tidy)?);
            return Ok(());
        }
        let item = item(kind, &tidy.event)?;
        let subagent = tidy.event.head().subagent_run_id.as_deref();
        let mut event = tidy.event.clone();
        let at = self.open.iter().position(|open| *open == item);
        match (part, at) {
            (Part::Start, None) if kind != Kind::Subagent || !self.ended.contains(&item.id) => {
                if kind == Kind::Subagent && !self.has_begun(tidy.parent.as_deref()) {
                    event = tidy::without(&event, "parentSubagentRunId")?;
                }
                event = self.begin(item, event)?;
            }
            (Part::Content, None) => {
                let start = start(&item, subagent)?;
                out.push(self.begin(item, start)?);
                event = self.whose.fit(event)?;
            }
            (Part::End, Some(at)) => {
                self.end(at)?;
                event = self.whose.fit(event)?;
            }
            (Part::Content, Some(_)) => event = self.whose.fit(event)?,
            (Part::Start, Some(_) | None) | (Part::End, None) | (Part::Chunk, _) => {
                tracing::debug!(kind = tidy.event.kind(), "an agent's event is out of order and left out");
                return Ok(());
            }
        }
        out.push(event);
        Ok(())
    }

    /// The first event of this item, as it is passed on.
    fn begin(&mut self, item: Item, event: Event) -> Result<Event, Failure> {
        if self.open.len() == MAX_OPEN {
            return Err(Failure::BadStream("begins too much at once"));
        }
        let event = self.whose.fit(event)?;
        // A beginning ends the chunks of its own subagent, and no others.
        let chunks = self.chunked.iter().position(|chunked| chunked.kind == item.kind && chunked.id == item.id);
        if let Some(chunked) = chunks.map(|at| self.chunked.swap_remove(at))
            && chunked.subagent != event.head().subagent_run_id
        {
            return Err(Failure::BadStream("begins what it sends in chunks already"));
        }
        self.open.push(item);
        Ok(event)
    }

    /// Whether this subagent has begun, be it that it has ended since; nobody has.
    fn has_begun(&self, subagent: Option<&str>) -> bool {
        let Some(id) = subagent else { return true };
        let is_open = self.open.iter().any(|open| open.kind == Kind::Subagent && open.id == id);
        is_open || self.ended.iter().any(|ended| ended == id)
    }

    fn end(&mut self, at: usize) -> Result<(), Failure> {
        let item = self.open.remove(at);
        match item.kind {
            Kind::Subagent if self.ended.len() == MAX_OPEN => Err(Failure::BadStream("has too many subagents")),
            Kind::Subagent => {
                self.ended.push(item.id);
                Ok(())
            }
            Kind::Text | Kind::Reasoning | Kind::ReasoningMessage | Kind::ToolCall | Kind::Step => Ok(()),
        }
    }

    /// A chunk that says what it goes on with, and for whom. Clients read "the same as before" from it; who resumes has no
    /// before.
    fn chunk(&mut self, kind: Kind, tidy: &Tidy) -> Result<Event, Failure> {
        let said = kind.id(tidy.event.head()).map(bounded).transpose()?;
        let last = self.last_chunk(kind, said.as_deref(), tidy.event.head().subagent_run_id.as_deref());
        let (mut chunked, event) = match (said, last.map(|at| self.chunked.swap_remove(at))) {
            (None, None) => return Err(Failure::BadStream("goes on with something that it never began")),
            (_, Some(last)) => (last, tidy.event.clone()),
            (Some(id), None) => {
                let event = self.whose.fit(tidy.event.clone())?;
                let subagent = event.head().subagent_run_id.as_deref().map(bounded).transpose()?;
                (Chunked { kind, id, tool: tidy.tool.as_deref().map(bounded).transpose()?, subagent }, event)
            }
        };
        if self.open.iter().any(|open| open.kind == kind && open.id == chunked.id) {
            return Err(Failure::BadStream("sends chunks of what it began without them"));
        }
        // A snapshot may have made it another one's in between.
        let event = self.whose.fit(chunked.say(&event, tidy.tool.as_deref())?)?;
        chunked.subagent.clone_from(&event.head().subagent_run_id);
        self.chunked.retain(|other| other.kind != kind || other.subagent != chunked.subagent);
        if self.chunked.len() == MAX_OPEN {
            return Err(Failure::BadStream("begins too much at once"));
        }
        self.chunked.push(chunked);
        Ok(event)
    }

    fn is_chunked(&self, kind: Kind, id: Option<&str>) -> bool {
        self.chunked.iter().any(|chunked| chunked.kind == kind && Some(chunked.id.as_str()) == id)
    }

    /// What a chunk goes on with: what it names; else its subagent's last; else, where it says no subagent and the agent
    /// itself has none, the only one that there is.
    fn last_chunk(&self, kind: Kind, id: Option<&str>, subagent: Option<&str>) -> Option<usize> {
        let find = |is: &dyn Fn(&Chunked) -> bool| self.chunked.iter().position(|it| it.kind == kind && is(it));
        let of_kind = self.chunked.iter().filter(|it| it.kind == kind).count();
        match (id, subagent) {
            (Some(id), _) => find(&|it| it.id == id),
            (None, Some(_)) => find(&|it| it.subagent.as_deref() == subagent),
            (None, None) => find(&|it| it.subagent.is_none()).or_else(|| find(&|_| of_kind == 1)),
        }
    }
}

impl Chunked {
    /// The chunk with all that it goes on with.
    fn say(&self, event: &Event, tool: Option<&str>) -> Result<Event, Failure> {
        let head = event.head();
        let event = match (self.kind, &self.tool) {
            (Kind::ToolCall, None) => return Err(Failure::BadStream("calls a tool without naming it")),
            (Kind::ToolCall, Some(own)) if tool.is_some_and(|tool| tool != own) => {
                return Err(Failure::BadStream("calls a tool by two names"));
            }
            (Kind::ToolCall, Some(own)) => {
                let event = with(event, "toolCallId", &self.id, head.tool_call_id.is_some())?;
                with(&event, "toolCallName", own, tool.is_some())?
            }
            (Kind::Text | Kind::Reasoning | Kind::ReasoningMessage | Kind::Step | Kind::Subagent, _) => {
                with(event, "messageId", &self.id, head.message_id.is_some())?
            }
        };
        match (&self.subagent, &event.head().subagent_run_id) {
            (own, said) if own == said => Ok(event),
            (Some(own), None) => with(&event, "subagentRunId", own, false),
            (None, Some(_)) => tidy::without(&event, "subagentRunId"),
            (Some(own), Some(_)) => with(&tidy::without(&event, "subagentRunId")?, "subagentRunId", own, false),
            (None, None) => Ok(event),
        }
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

/// What the event is about.
fn item(kind: Kind, event: &Event) -> Result<Item, Failure> {
    let Item { kind, id, subagent } =
        event.item(kind).ok_or(Failure::BadStream("holds an event without what belongs to it"))?;
    Ok(Item { kind, id: bounded(&id)?, subagent: subagent.as_deref().map(bounded).transpose()? })
}

fn bounded(id: &str) -> Result<String, Failure> {
    match id.len() {
        0..=MAX_ID_BYTES => Ok(id.to_owned()),
        _ => Err(Failure::BadStream("names something with more than 1,024 bytes")),
    }
}

/// The event that was missing before the content of an item. It belongs to whom the content belongs to.
fn start(item: &Item, subagent: Option<&str>) -> Result<Event, Failure> {
    let id = &item.id;
    let mut start = match item.kind {
        Kind::Text => json!({"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"}),
        Kind::ReasoningMessage => json!({"type": "REASONING_MESSAGE_START", "messageId": id, "role": "reasoning"}),
        Kind::ToolCall | Kind::Reasoning | Kind::Step | Kind::Subagent => {
            return Err(Failure::BadStream("goes on with a tool call that it never began"));
        }
    };
    if let Some(subagent) = subagent {
        start["subagentRunId"] = subagent.into();
    }
    Ok(Event::build(&start))
}

#[cfg(test)]
mod tests;
