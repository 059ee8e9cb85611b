//! Whose each message, tool call and activity of a run is: the agent's own, or that of one of its subagents.
//!
//! A verifier throws at an event that says another subagent than what it goes on with began with, and remembers that for
//! the whole run. An event that says none agrees with everybody. So where an event disagrees, it says none from here on: the
//! message is its beginner's, which is all that a message can hold.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use serde::Deserialize;

use super::tidy;
use crate::agent::failure::Failure;
use crate::wire::event::Event;

/// Things of one run that are remembered, at most (R24): 24 bytes each.
const MAX_KNOWN: usize = 1 << 16;

/// An id is unique among its kind.
#[derive(Clone, Copy, Hash)]
enum Kind {
    Message,
    ToolCall,
    Reasoning,
    Activity,
}

/// A subagent, or nobody for the agent itself. A number stands for a text that may be long: it is that of a hash with a
/// key of our own, so that nobody can choose ids that meet.
type Owner = Option<u64>;

/// Who began what.
#[derive(Debug, Default)]
pub(super) struct Whose {
    key: RandomState,
    known: HashMap<u64, Owner>,
}

/// What else an event says about things that came before it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relations {
    parent_message_id: Option<String>,
    entity_id: Option<String>,
    subtype: Option<String>,
    replace: Option<bool>,
    #[serde(default)]
    messages: Vec<Spoken>,
}

/// A message of MESSAGES_SNAPSHOT.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spoken {
    id: String,
    role: String,
    subagent_run_id: Option<String>,
    #[serde(default)]
    tool_calls: Vec<Called>,
}

#[derive(Deserialize)]
struct Called {
    id: String,
}

impl Whose {
    /// The event as it can be passed on, and passed on it must be: it is remembered.
    pub(super) fn fit(&mut self, event: Event) -> Result<Event, Failure> {
        let head = event.head();
        let said = head.subagent_run_id.as_deref().map(|subagent| self.key.hash_one(subagent));
        let (message, call) = (head.message_id.as_deref(), head.tool_call_id.as_deref());
        let owner = match (event.kind(), message, call) {
            ("TOOL_CALL_START" | "TOOL_CALL_CHUNK", _, Some(call)) => {
                let parent = relations(&event)?.parent_message_id;
                self.call(call, said, parent.as_deref())?
            }
            ("TOOL_CALL_ARGS" | "TOOL_CALL_END", _, Some(call)) => self.began(Kind::ToolCall, call, said)?,
            ("TOOL_CALL_RESULT", Some(message), _) => self.set(Kind::Message, message, said)?,
            ("ACTIVITY_SNAPSHOT", Some(message), _) => match relations(&event)?.replace {
                Some(false) => {
                    self.began(Kind::Activity, message, said)?;
                    said
                }
                Some(true) | None => self.set(Kind::Activity, message, said)?,
            },
            ("ACTIVITY_DELTA", Some(message), _) => self.of(Kind::Activity, message).unwrap_or(said),
            ("REASONING_ENCRYPTED_VALUE", ..) => self.entity(&relations(&event)?).unwrap_or(said),
            ("MESSAGES_SNAPSHOT", ..) => {
                self.restate(&relations(&event)?.messages)?;
                said
            }
            (kind, Some(message), _) if kind.starts_with("TEXT_MESSAGE_") => {
                self.began(Kind::Message, message, said)?
            }
            (kind, Some(message), _) if kind.starts_with("REASONING_") => self.began(Kind::Reasoning, message, said)?,
            _ => said,
        };
        match said.is_some() && said != owner {
            true => tidy::without(&event, "subagentRunId"),
            false => Ok(event),
        }
    }

    fn name(&self, kind: Kind, id: &str) -> u64 {
        self.key.hash_one((kind, id))
    }

    fn of(&self, kind: Kind, id: &str) -> Option<Owner> {
        self.known.get(&self.name(kind, id)).copied()
    }

    fn set(&mut self, kind: Kind, id: &str, owner: Owner) -> Result<Owner, Failure> {
        self.known.insert(self.name(kind, id), owner);
        match self.known.len() {
            0..=MAX_KNOWN => Ok(owner),
            _ => Err(Failure::BadStream("holds too many messages and calls")),
        }
    }

    /// Whose it is; from now on the one's who is said, if it is new.
    fn began(&mut self, kind: Kind, id: &str, said: Owner) -> Result<Owner, Failure> {
        match self.of(kind, id) {
            Some(owner) => Ok(owner),
            None => self.set(kind, id, said),
        }
    }

    /// A tool call is a part of its message, and therefore that message's owner's.
    fn call(&mut self, id: &str, said: Owner, parent: Option<&str>) -> Result<Owner, Failure> {
        let inherited = parent.and_then(|parent| self.of(Kind::Message, parent));
        let owner = self.began(Kind::ToolCall, id, inherited.unwrap_or(said))?;
        match inherited {
            Some(other) if other != owner => Err(Failure::BadStream("moves a tool call from one subagent to another")),
            Some(_) | None => Ok(owner),
        }
    }

    fn entity(&self, relations: &Relations) -> Option<Owner> {
        let id = relations.entity_id.as_deref()?;
        match relations.subtype.as_deref() {
            Some("tool-call") => self.of(Kind::ToolCall, id),
            Some("message") => self.of(Kind::Message, id).or_else(|| self.of(Kind::Reasoning, id)),
            Some(_) | None => self.of(Kind::Reasoning, id),
        }
    }

    /// A snapshot tells the whole conversation anew.
    fn restate(&mut self, messages: &[Spoken]) -> Result<(), Failure> {
        for message in messages {
            let kind = match message.role.as_str() {
                "reasoning" => Kind::Reasoning,
                "activity" => Kind::Activity,
                _ => Kind::Message,
            };
            let owner = message.subagent_run_id.as_deref().map(|subagent| self.key.hash_one(subagent));
            self.set(kind, &message.id, owner)?;
            for call in &message.tool_calls {
                self.set(Kind::ToolCall, &call.id, owner)?;
            }
        }
        Ok(())
    }
}

fn relations(event: &Event) -> Result<Relations, Failure> {
    serde_json::from_str(event.json().get()).map_err(|error| {
        tracing::debug!(%error, "an agent's event could not be read");
        Failure::BadStream("cannot be read")
    })
}
