//! What we ask: AG-UI messages and tools in the words of `POST /chat/completions`.
//!
//! Of the run's input, `messages`, `tools` and `context` reach the model. `state` and `forwardedProps` do not: a client
//! must not be able to choose the model or its price. What of a message's attachments does, [`media`] says.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::agent::RunRequest;
use crate::config::agents as config;
use crate::wire::Message;
use media::Media;

mod media;

/// What the model reads in place of a result that never came.
const NO_RESULT: &str = "(no result)";

/// The results of tool calls by the id of their call, each with its place in the thread.
type Results<'a> = HashMap<&'a str, VecDeque<(usize, String)>>;

/// The body of the request, as JSON text.
pub(super) fn body(config: &config::OpenAi, request: &RunRequest) -> Vec<u8> {
    let mut body = json!({
        "model": config.model,
        "messages": messages(config, request),
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    if config.send_user {
        body["user"] = request.key.user().as_str().into();
    }
    let tools = tools(request.input.tools.as_deref());
    if !tools.is_empty() {
        body["tools"] = Value::Array(tools);
    }
    body.to_string().into_bytes()
}

fn messages(config: &config::OpenAi, request: &RunRequest) -> Vec<Value> {
    let media = Media::new(config.remote_media);
    let mut system = Vec::new();
    system.extend(config.system_prompt.clone());
    system.extend(context(request.input.context.as_deref()));
    let mut out = Vec::new();
    if !system.is_empty() {
        out.push(json!({ "role": "system", "content": system.join("\n\n") }));
    }
    let mut results = results(&request.messages);
    for (place, message) in request.messages.iter().enumerate() {
        match message.role.as_str() {
            "user" => out.extend(user(media, message)),
            "assistant" => assistant(place, message, &mut results, &mut out),
            // Every server understands `system`; `developer` only some.
            "system" | "developer" => out.push(json!({ "role": "system", "content": text_of(message) })),
            // Results stand behind the call that they answer. Reasoning, activities and roles of the future stay here.
            _ => {}
        }
    }
    out
}

fn results(messages: &[Arc<Message>]) -> Results<'_> {
    let mut results = Results::new();
    for (place, message) in messages.iter().enumerate().filter(|(_, message)| message.role == "tool") {
        let Some(call) = message.rest.get("toolCallId").and_then(Value::as_str) else {
            continue;
        };
        let error = message.rest.get("error").and_then(Value::as_str);
        let content = match (text_of(message), error) {
            (text, Some(error)) if text.is_empty() => error.to_owned(),
            (text, _) => text,
        };
        results.entry(call).or_default().push_back((place, content));
    }
    results
}

/// A message of the model, and the results of its calls directly behind it. Servers refuse a thread in which a call has
/// no result, or a result no call; a user who never answered a call would be locked out of his thread for good, so a
/// missing result is said to be missing, and one without a call is left out.
fn assistant(place: usize, message: &Message, results: &mut Results<'_>, out: &mut Vec<Value>) {
    let calls: Vec<CallIn> = read_list(message.rest.get("toolCalls"));
    let text = text_of(message);
    if text.is_empty() && calls.is_empty() {
        return;
    }
    let mut spoken = json!({ "role": "assistant" });
    if !text.is_empty() {
        spoken["content"] = text.into();
    }
    if !calls.is_empty() {
        spoken["tool_calls"] = calls.iter().map(CallIn::said).collect();
    }
    out.push(spoken);
    for call in &calls {
        let answers = results.get_mut(call.id.as_str());
        let answer = answers.and_then(|answers| {
            answers.retain(|(at, _)| *at > place);
            answers.pop_front()
        });
        let content = answer.map_or_else(|| NO_RESULT.to_owned(), |(_, content)| content);
        out.push(json!({ "role": "tool", "tool_call_id": call.id, "content": content }));
    }
}

fn user(media: Media, message: &Message) -> Option<Value> {
    let content = match message.rest.get("content")? {
        Value::Array(parts) => Value::Array(parts.iter().map(|part| media.part(part)).collect()),
        Value::String(text) => Value::String(text.clone()),
        _ => return None,
    };
    Some(json!({ "role": "user", "content": content }))
}

/// AG-UI's `ToolCall`.
#[derive(Deserialize)]
struct CallIn {
    id: String,
    function: FunctionIn,
}

#[derive(Deserialize)]
struct FunctionIn {
    name: String,
    #[serde(default)]
    arguments: String,
}

impl CallIn {
    fn said(&self) -> Value {
        json!({
            "id": self.id,
            "type": "function",
            "function": { "name": self.function.name, "arguments": self.function.arguments },
        })
    }
}

/// AG-UI's `Tool`.
#[derive(Deserialize)]
struct ToolIn {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Value>,
}

fn tools(raw: Option<&RawValue>) -> Vec<Value> {
    let tools: Vec<ToolIn> = read_raw_list(raw);
    let said = tools.into_iter().map(|tool| {
        let mut function = json!({ "name": tool.name });
        for (key, value) in [("description", tool.description.map(Value::from)), ("parameters", tool.parameters)] {
            if let Some(value) = value {
                function[key] = value;
            }
        }
        json!({ "type": "function", "function": function })
    });
    said.collect()
}

/// AG-UI's `Context`.
#[derive(Deserialize)]
struct ContextIn {
    #[serde(default)]
    description: String,
    value: String,
}

/// What the front end knows and the model should, as a part of the system prompt.
fn context(raw: Option<&RawValue>) -> Option<String> {
    let items: Vec<ContextIn> = read_raw_list(raw);
    let lines: Vec<String> = items.iter().map(|item| format!("- {}: {}", item.description, item.value)).collect();
    (!lines.is_empty()).then(|| format!("Context from the application:\n{}", lines.join("\n")))
}

/// The text of a message; of one in parts, its text parts.
fn text_of(message: &Message) -> String {
    match message.rest.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        Some(_) | None => String::new(),
    }
}

fn read_raw_list<T: for<'de> Deserialize<'de>>(raw: Option<&RawValue>) -> Vec<T> {
    let list: Option<Value> = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    read_list(list.as_ref())
}

/// The items of a list that can be read; the others are left out, because one odd item must not silence the thread.
fn read_list<T: for<'de> Deserialize<'de>>(list: Option<&Value>) -> Vec<T> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| T::deserialize(item).ok()).collect()
}

#[cfg(test)]
mod tests;
