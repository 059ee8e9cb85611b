//! What a compatible server may send, read as tolerantly as it can be.
//!
//! Every field is optional, words stay text, and a leaf of the wrong type counts as absent: servers that call themselves
//! compatible differ in all of these.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One `data:` of the stream, or the whole answer of a server that does not stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chunk {
    pub(super) choices: Option<Vec<Choice>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) model: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) usage: Option<Usage>,
    /// An error inside a stream that began well.
    pub(super) error: Option<Value>,
    /// `error` in the flat error bodies of some servers.
    #[serde(deserialize_with = "lenient")]
    pub(super) object: Option<String>,
    /// The text of such a body.
    #[serde(deserialize_with = "lenient")]
    pub(super) message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    #[serde(deserialize_with = "lenient")]
    pub(super) index: Option<u64>,
    /// `message` in an answer that is not streamed.
    #[serde(alias = "message")]
    pub(super) delta: Option<Delta>,
    #[serde(deserialize_with = "lenient")]
    pub(super) finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta {
    #[serde(deserialize_with = "lenient")]
    pub(super) content: Option<Content>,
    #[serde(deserialize_with = "lenient")]
    pub(super) refusal: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) reasoning_content: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) reasoning: Option<String>,
    pub(super) tool_calls: Option<Vec<CallDelta>>,
}

/// Text, or parts of which only text is read.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    #[serde(deserialize_with = "lenient")]
    pub(super) text: Option<String>,
}

/// A part of a tool call. The first one has the name; `index` says which call the others belong to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CallDelta {
    #[serde(deserialize_with = "lenient")]
    pub(super) index: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) id: Option<String>,
    pub(super) function: Option<FunctionDelta>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionDelta {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: Option<String>,
    /// A piece of JSON text; some servers send the object itself.
    pub(super) arguments: Option<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    #[serde(deserialize_with = "lenient")]
    pub(super) prompt_tokens: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) completion_tokens: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) prompt_tokens_details: Option<PromptDetails>,
    #[serde(deserialize_with = "lenient")]
    pub(super) completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct PromptDetails {
    #[serde(deserialize_with = "lenient")]
    pub(super) cached_tokens: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct CompletionDetails {
    #[serde(deserialize_with = "lenient")]
    pub(super) reasoning_tokens: Option<u64>,
}

impl Content {
    /// All its text, joined.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().filter_map(|part| part.text).collect(),
        }
    }
}

impl FunctionDelta {
    /// The arguments as a piece of JSON text.
    pub(super) fn arguments_text(&self) -> String {
        match &self.arguments {
            Some(Value::String(piece)) => piece.clone(),
            Some(Value::Null) | None => String::new(),
            Some(object) => object.to_string(),
        }
    }
}

/// Reads a value of the wrong type as absent.
fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Maybe<T> {
        Right(T),
        Wrong(IgnoredAny),
    }
    Ok(match Maybe::deserialize(deserializer)? {
        Maybe::Right(value) => Some(value),
        Maybe::Wrong(IgnoredAny) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_missing_null_unknown_or_of_the_wrong_type_are_survived() {
        for json in [
            r#"{}"#,
            r#"{"choices":null,"usage":null,"error":null,"model":null}"#,
            r#"{"choices":[],"usage":"many","model":7,"extra":{"deep":[1]}}"#,
            r#"{"choices":[{"index":"0","delta":null,"finish_reason":3}]}"#,
            r#"{"choices":[{"delta":{"content":7,"tool_calls":null,"reasoning":[]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":-1,"id":5,"function":null}]}}]}"#,
            r#"{"usage":{"prompt_tokens":1.5,"completion_tokens":"2","prompt_tokens_details":[]}}"#,
        ] {
            serde_json::from_str::<Chunk>(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        }
    }

    #[test]
    fn content_in_parts_is_joined() {
        let json = r#"{"content":[{"type":"text","text":"a"},{"type":"image"},{"type":"text","text":"b"}]}"#;
        let delta: Delta = serde_json::from_str(json).unwrap();
        assert_eq!(delta.content.unwrap().into_text(), "ab");
    }
}
