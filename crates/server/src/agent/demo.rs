//! The built-in agent that needs nothing: no network, no key, no model.
//!
//! It quotes the last user message, word by word. Three words in that message make it misbehave or show off, so that a
//! client can be tried against every kind of answer: `error` fails in the middle, `stall` goes quiet for ever, `tool`
//! calls a tool between two status steps. The first of these three that applies, in this order, decides.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, future, stream};

use super::failure::Failure;
use super::{Agent, EventStream, RunRequest, emit};
use crate::config::agents as config;
use crate::wire::Message;
use crate::wire::event::Event;

/// Characters of the user's message that are quoted at most.
const MAX_QUOTE_CHARS: usize = 280;

/// The demo agent.
pub(super) struct Demo {
    delay: Duration,
}

/// One beat of an answer.
enum Beat {
    Emit(Event),
    /// Let the configured time pass.
    Rest,
    Fail,
    Stall,
}

/// Which answer the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Echo,
    Error,
    Stall,
    Tool,
}

impl Demo {
    /// A demo agent that waits `delay` before every word. Without a delay a text is one event, and no timer is used: a
    /// bench sends thousands of runs per second through it.
    pub(super) fn new(config: &config::Demo) -> Self {
        Self { delay: config.delay }
    }

    /// Whole where there is no delay, else word by word, each with the space that follows it.
    fn say(&self, id: &str, text: &str, beats: &mut Vec<Beat>) {
        if self.delay.is_zero() {
            beats.push(Beat::Emit(emit::text(id, text)));
            return;
        }
        for word in text.split_inclusive(' ') {
            beats.extend([Beat::Rest, Beat::Emit(emit::text(id, word))]);
        }
    }

    fn message(&self, id: &str, text: &str, beats: &mut Vec<Beat>) {
        beats.push(Beat::Emit(emit::text_start(id)));
        self.say(id, text, beats);
        beats.push(Beat::Emit(emit::text_end(id)));
    }

    fn answer(&self, request: &RunRequest) -> Vec<Beat> {
        let asked = last_question(&request.messages);
        let id = format!("{}-m1", request.run);
        let mut beats = Vec::new();
        match wish(&asked) {
            Wish::Echo => {
                let text = format!("You said \"{}\", and it came through well.", quote(&asked));
                self.message(&id, &text, &mut beats);
            }
            Wish::Error => {
                beats.push(Beat::Emit(emit::text_start(&id)));
                self.say(&id, "You asked for an error, so this sentence will not ", &mut beats);
                beats.push(Beat::Fail);
                return beats;
            }
            Wish::Stall => {
                beats.push(Beat::Emit(emit::text_start(&id)));
                self.say(&id, "You asked me to stall, so now I ", &mut beats);
                beats.push(Beat::Stall);
                return beats;
            }
            Wish::Tool => self.use_tool(request, &id, &asked, &mut beats),
        }
        beats.push(Beat::Emit(emit::run_finished(request, None)));
        beats
    }

    /// Counts the words of the question with a tool, then tells the result.
    fn use_tool(&self, request: &RunRequest, id: &str, asked: &str, beats: &mut Vec<Beat>) {
        let call = format!("{}-c1", request.run);
        let arguments = serde_json::json!({ "text": quote(asked) }).to_string();
        let count = asked.split_whitespace().count();
        beats.extend(
            [
                emit::step_started("count_words"),
                emit::tool_start(&call, "count_words", id),
                emit::tool_args(&call, &arguments),
                emit::tool_end(&call),
                emit::tool_result(&call, &format!("{}-t1", request.run), &count.to_string()),
                emit::step_finished("count_words"),
            ]
            .into_iter()
            .flat_map(|event| [Beat::Rest, Beat::Emit(event)]),
        );
        let text = format!("I counted: your message has {count} words.");
        self.message(&format!("{}-m2", request.run), &text, beats);
    }
}

impl Agent for Demo {
    fn run(&self, request: RunRequest) -> EventStream {
        let delay = self.delay;
        let beats = stream::iter(self.answer(&request));
        Box::pin(beats.filter_map(move |beat| async move {
            match beat {
                Beat::Emit(event) => Some(Ok(event)),
                Beat::Rest if delay.is_zero() => None,
                Beat::Rest => {
                    tokio::time::sleep(delay).await;
                    None
                }
                Beat::Fail => {
                    Some(Err(
                        Failure::Reported { said: Some("this is the error that you asked for.".to_owned()) }.into()
                    ))
                }
                Beat::Stall => future::pending().await,
            }
        }))
    }
}

/// The text of the last user message; of a message in parts, its text parts.
fn last_question(messages: &[Arc<Message>]) -> String {
    let content =
        messages.iter().rev().find(|message| message.role == "user").and_then(|message| message.rest.get("content"));
    match content {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Array(parts)) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            texts.join(" ")
        }
        Some(_) | None => String::new(),
    }
}

fn wish(asked: &str) -> Wish {
    let has =
        |keyword: &str| asked.split(|c: char| !c.is_alphanumeric()).any(|word| word.eq_ignore_ascii_case(keyword));
    [("error", Wish::Error), ("stall", Wish::Stall), ("tool", Wish::Tool)]
        .into_iter()
        .find(|(keyword, _)| has(keyword))
        .map_or(Wish::Echo, |(_, wish)| wish)
}

fn quote(asked: &str) -> String {
    match asked.char_indices().nth(MAX_QUOTE_CHARS) {
        Some((end, _)) => format!("{}…", &asked[..end]),
        None => asked.to_owned(),
    }
}

#[cfg(test)]
mod tests;
