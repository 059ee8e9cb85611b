//! AG-UI events: opaque JSON plus its head. Unknown types pass through unchanged.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub mod item;

/// The fields of an event that we read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Head {
    /// For example `TEXT_MESSAGE_CONTENT`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of RUN_* events.
    pub run_id: Option<String>,
    /// Of TEXT_MESSAGE_* and REASONING_MESSAGE_* events.
    pub message_id: Option<String>,
    /// Of TOOL_CALL_* events.
    pub tool_call_id: Option<String>,
    /// Of STEP_* events.
    pub step_name: Option<String>,
    /// Of SUBAGENT_* events, and of events that come from a subagent.
    pub subagent_run_id: Option<String>,
}

/// One event as it will be stored and sent. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Event {
    head: Arc<Head>,
    json: Arc<RawValue>,
}

impl Event {
    /// Wraps a JSON object that has a `type`.
    ///
    /// # Errors
    /// Says what is wrong with the JSON, or that `type` is missing.
    pub fn parse(json: Box<RawValue>) -> Result<Self, serde_json::Error> {
        let head: Head = serde_json::from_str(json.get())?;
        if head.kind.is_empty() {
            return Err(serde::de::Error::missing_field("type"));
        }
        Ok(Self { head: Arc::new(head), json: Arc::from(json) })
    }

    /// Builds an event of ours; `value` serialises to an object with a `type`.
    ///
    /// # Panics
    /// When `value` is no object with a `type`: that would be our own mistake.
    #[must_use]
    pub fn build(value: &(impl Serialize + ?Sized)) -> Self {
        let json = serde_json::value::to_raw_value(value).expect("an event that we build serialises");
        Self::parse(json).expect("an event that we build has a type")
    }

    /// What we read of it.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Its type, for example `RUN_STARTED`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.head.kind
    }

    /// All of it.
    #[must_use]
    pub fn json(&self) -> &RawValue {
        &self.json
    }
}
