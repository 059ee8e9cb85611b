//! Turns the chunks of one answer into AG-UI events, with every START before its content and every END after it.
//!
//! ```text
//! delta.reasoning*  -> REASONING_START  REASONING_MESSAGE_START CONTENT* END  REASONING_END
//! delta.content     -> TEXT_MESSAGE_START CONTENT* END
//! delta.tool_calls  -> TOOL_CALL_START ARGS* ......................... END   (several at once, told apart by id)
//! finish_reason     -> the ENDs that are missing
//! end of the stream -> RUN_FINISHED (usage)
//! ```

use serde_json::{Map, Value};

use super::chunk::{CallDelta, Chunk, Delta, Usage};
use crate::agent::failure::Failure;
use crate::agent::secrets::Secrets;
use crate::agent::sse::MAX_EVENT_BYTES;
use crate::agent::{RunRequest, emit, http};
use crate::wire::event::Event;

/// Tool calls of one answer at most: each is remembered until the answer ends (R24).
const MAX_CALLS: usize = 128;
/// A longer id of a call is replaced by one of ours, because every event of the call repeats it.
const MAX_CALL_ID_BYTES: usize = 256;
/// JSON numbers above this do not survive JavaScript.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The answer so far.
pub(super) struct Answer {
    request: RunRequest,
    secrets: Secrets,
    /// How many ids were made.
    made: u32,
    reasoning: Option<String>,
    text: Option<String>,
    /// The assistant message that tool calls become part of: the text before them, or one of their own.
    parent: Option<String>,
    calls: Vec<Call>,
    usage: Option<Usage>,
    model: Option<String>,
    finished: bool,
}

struct Call {
    index: Option<u64>,
    backend_id: Option<String>,
    id: String,
    state: CallState,
}

enum CallState {
    /// Its name has not come; holds the arguments that have.
    Unnamed(String),
    Open,
    Ended,
}

impl Answer {
    /// An answer to this request; `secrets` are kept out of what people see.
    pub(super) fn new(request: RunRequest, secrets: Secrets) -> Self {
        Self {
            request,
            secrets,
            made: 0,
            reasoning: None,
            text: None,
            parent: None,
            calls: Vec::new(),
            usage: None,
            model: None,
            finished: false,
        }
    }

    /// Whether the backend said that nothing but usage follows.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Adds the events of one chunk to `out`. Of several choices only the first is read: we never ask for more.
    pub(super) fn add(&mut self, chunk: Chunk, out: &mut Vec<Event>) -> Result<(), Failure> {
        if let Some(failure) = self.reported(&chunk) {
            return Err(failure);
        }
        self.model = chunk.model.or(self.model.take());
        self.usage = chunk.usage.or(self.usage.take());
        let first = chunk.choices.into_iter().flatten().filter(|choice| choice.index.unwrap_or(0) == 0);
        for choice in first {
            if let Some(delta) = choice.delta {
                self.delta(delta, out)?;
            }
            match choice.finish_reason.as_deref() {
                None | Some("") => {}
                Some("error") => return Err(Failure::Reported { said: None }),
                Some(_) => {
                    self.finished = true;
                    self.close(out);
                }
            }
        }
        Ok(())
    }

    /// Ends the run well.
    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        self.close(out);
        out.push(emit::run_finished(&self.request, self.usage()));
    }

    fn reported(&self, chunk: &Chunk) -> Option<Failure> {
        let flat = chunk.object.as_deref() == Some("error");
        let said = match &chunk.error {
            Some(error) => http::words(&serde_json::json!({ "error": error })).map(str::to_owned),
            None if flat => chunk.message.clone(),
            None => return None,
        };
        let said = said.and_then(|said| self.secrets.plain(&said));
        tracing::debug!(run = %self.request.run, said, "an agent reported an error in its stream");
        Some(Failure::Reported { said })
    }

    fn delta(&mut self, delta: Delta, out: &mut Vec<Event>) -> Result<(), Failure> {
        let some = |text: &String| !text.is_empty();
        // Servers that know both names send the same text twice.
        if let Some(thought) = delta.reasoning_content.filter(some).or(delta.reasoning.filter(some)) {
            self.think(&thought, out);
        }
        for text in [delta.content.map(super::chunk::Content::into_text), delta.refusal] {
            if let Some(text) = text.filter(some) {
                self.say(&text, out);
            }
        }
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(call, out)?;
        }
        Ok(())
    }

    fn think(&mut self, thought: &str, out: &mut Vec<Event>) {
        self.end_text(out);
        let id = match &self.reasoning {
            Some(id) => id.clone(),
            None => {
                let id = self.make_id("r");
                out.extend([emit::reasoning_start(&id), emit::reasoning_message_start(&id)]);
                self.reasoning = Some(id.clone());
                id
            }
        };
        out.push(emit::reasoning(&id, thought));
    }

    fn say(&mut self, text: &str, out: &mut Vec<Event>) {
        self.end_reasoning(out);
        let id = match &self.text {
            Some(id) => id.clone(),
            None => {
                let id = self.make_id("m");
                out.push(emit::text_start(&id));
                self.text = Some(id.clone());
                if self.calls.is_empty() {
                    self.parent = Some(id.clone());
                }
                id
            }
        };
        out.push(emit::text(&id, text));
    }

    fn call(&mut self, delta: CallDelta, out: &mut Vec<Event>) -> Result<(), Failure> {
        self.end_reasoning(out);
        self.end_text(out);
        let at = match self.find_call(&delta) {
            Some(at) => at,
            None if self.calls.len() == MAX_CALLS => return Err(Failure::BadStream("calls too many tools")),
            None => self.add_call(&delta),
        };
        let function = delta.function.unwrap_or_default();
        let arguments = function.arguments_text();
        let name = function.name.filter(|name| !name.is_empty());
        let parent = match &self.parent {
            Some(parent) => parent.clone(),
            None => self.make_id("m"),
        };
        self.parent = Some(parent.clone());

        let call = &mut self.calls[at];
        let arguments = match (&mut call.state, name) {
            (CallState::Unnamed(held), Some(name)) => {
                out.push(emit::tool_start(&call.id, &name, &parent));
                let held = std::mem::take(held);
                call.state = CallState::Open;
                held + &arguments
            }
            (CallState::Unnamed(held), None) if held.len() + arguments.len() > MAX_EVENT_BYTES => {
                return Err(Failure::BadStream("calls a tool without naming it"));
            }
            (CallState::Unnamed(held), None) => {
                held.push_str(&arguments);
                String::new()
            }
            (CallState::Open, _) => arguments,
            (CallState::Ended, _) => String::new(),
        };
        if !arguments.is_empty() {
            out.push(emit::tool_args(&call.id, &arguments));
        }
        Ok(())
    }

    /// Which call a delta continues. Some servers give every call of an answer the same index, others give none: there a
    /// new id, or a name where one is known already, begins a new call.
    fn find_call(&self, delta: &CallDelta) -> Option<usize> {
        let id = delta.id.as_deref().filter(|id| !id.is_empty());
        let named =
            delta.function.as_ref().and_then(|function| function.name.as_deref()).is_some_and(|name| !name.is_empty());
        let by_id = |call: &Call| call.backend_id.as_deref() == id;
        match (delta.index, id) {
            (Some(index), id) => {
                let at = self.calls.iter().rposition(|call| call.index == Some(index))?;
                let known = self.calls[at].backend_id.as_deref();
                let other = named && id.is_some() && known.is_some() && known != id;
                (!other).then_some(at)
            }
            (None, Some(_)) => self.calls.iter().rposition(by_id),
            (None, None) => {
                let last = self.calls.last()?;
                let begins = named && !matches!(last.state, CallState::Unnamed(_));
                (!begins).then(|| self.calls.len() - 1)
            }
        }
    }

    fn add_call(&mut self, delta: &CallDelta) -> usize {
        let backend_id = delta.id.clone().filter(|id| !id.is_empty());
        let usable = |id: &&String| id.len() <= MAX_CALL_ID_BYTES && self.calls.iter().all(|call| call.id != **id);
        let id = match backend_id.as_ref().filter(usable) {
            Some(id) => id.clone(),
            None => self.make_id("c"),
        };
        self.calls.push(Call { index: delta.index, backend_id, id, state: CallState::Unnamed(String::new()) });
        self.calls.len() - 1
    }

    /// Ends whatever is open. A call whose name never came was never started, and nobody could carry it out.
    fn close(&mut self, out: &mut Vec<Event>) {
        self.end_reasoning(out);
        self.end_text(out);
        for call in &mut self.calls {
            match call.state {
                CallState::Open => out.push(emit::tool_end(&call.id)),
                CallState::Unnamed(_) | CallState::Ended => {}
            }
            call.state = CallState::Ended;
        }
    }

    fn end_reasoning(&mut self, out: &mut Vec<Event>) {
        if let Some(id) = self.reasoning.take() {
            out.extend([emit::reasoning_message_end(&id), emit::reasoning_end(&id)]);
        }
    }

    fn end_text(&mut self, out: &mut Vec<Event>) {
        if let Some(id) = self.text.take() {
            out.push(emit::text_end(&id));
        }
    }

    /// Unique in the thread, because run ids are.
    fn make_id(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{}-{kind}{}", self.request.run, self.made)
    }

    /// AG-UI's list of `TokenUsage`: one entry, for one model was asked.
    fn usage(&self) -> Option<Value> {
        let usage = self.usage.as_ref()?;
        let total =
            usage.prompt_tokens.zip(usage.completion_tokens).map(|(input, output)| input.saturating_add(output));
        let cached = usage.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens);
        let reasoning = usage.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens);
        let counts = [
            ("inputTokens", usage.prompt_tokens),
            ("outputTokens", usage.completion_tokens),
            ("totalTokens", total),
            ("cachedInputTokens", cached),
            ("reasoningTokens", reasoning),
        ];
        let mut entry: Map<String, Value> = counts
            .into_iter()
            .filter_map(|(name, count)| {
                Some((name.to_owned(), count.filter(|count| *count <= MAX_SAFE_INTEGER)?.into()))
            })
            .collect();
        if entry.is_empty() {
            return None;
        }
        if let Some(model) = &self.model {
            entry.insert("model".to_owned(), model.clone().into());
        }
        Some(Value::Array(vec![entry.into()]))
    }
}
