//! Leaves out fields that are null inside of the lists and objects that AG-UI 1.0 describes.
//!
//! No optional field of the protocol may be null (npm `@ag-ui/core` 1.0.0, its schemas), and a client throws at one
//! wherever it stands. What the protocol does not describe stays to the letter: there null is a value.

use std::borrow::Cow;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// A field that the protocol describes, and what it describes inside.
struct Known {
    name: &'static str,
    is: Is,
    inside: &'static [Known],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Object,
    /// Of objects.
    List,
}

const fn known(name: &'static str, is: Is, inside: &'static [Known]) -> Known {
    Known { name, is, inside }
}

const RUN_FINISHED: &[Known] =
    &[known("outcome", Is::Object, &[known("interrupts", Is::List, &[])]), known("usage", Is::List, &[])];
const SUBAGENT_FINISHED: &[Known] = &[known("outcome", Is::Object, &[])];
/// `content` of an activity is an object of the application's own; that of a message is a text or a list of parts.
const MESSAGES_SNAPSHOT: &[Known] = &[known(
    "messages",
    Is::List,
    &[
        known("toolCalls", Is::List, &[known("function", Is::Object, &[])]),
        known("content", Is::List, &[known("source", Is::Object, &[])]),
    ],
)];
const TOOL_CALL_RESULT: &[Known] = &[known("content", Is::List, &[known("source", Is::Object, &[])])];

/// Leaves nulls out of the values of an event of this type; whether there were any.
pub(super) fn leave_out(kind: &str, fields: &mut [Field<'_>]) -> serde_json::Result<bool> {
    let inside = match kind {
        "RUN_FINISHED" => RUN_FINISHED,
        "SUBAGENT_FINISHED" => SUBAGENT_FINISHED,
        "MESSAGES_SNAPSHOT" => MESSAGES_SNAPSHOT,
        "TOOL_CALL_RESULT" => TOOL_CALL_RESULT,
        _ => &[],
    };
    descend(inside, fields)
}

fn descend(inside: &[Known], fields: &mut [Field<'_>]) -> serde_json::Result<bool> {
    let mut any = false;
    for (name, value) in fields {
        let Some(known) = inside.iter().find(|known| known.name == name) else { continue };
        let shorter = match (known.is, value.get().as_bytes().first()) {
            _ if !value.get().contains("null") => None,
            (Is::Object, Some(b'{')) => object(known.inside, value.get())?,
            (Is::List, Some(b'[')) => list(known.inside, value.get())?,
            // Something else than the protocol says: not ours to change.
            (Is::Object | Is::List, _) => None,
        };
        if let Some(shorter) = shorter {
            *value = Cow::Owned(shorter);
            any = true;
        }
    }
    Ok(any)
}

/// The object without what is null in it, where there is such a thing.
fn object(inside: &[Known], json: &str) -> serde_json::Result<Option<Box<RawValue>>> {
    let Fields(mut fields) = serde_json::from_str(json)?;
    let before = fields.len();
    fields.retain(|(_, value)| value.get() != "null");
    match descend(inside, &mut fields)? || fields.len() < before {
        true => to_raw_value(&Fields(fields)).map(Some),
        false => Ok(None),
    }
}

/// The list, with each of its objects as [`object`] has it and without items that are null.
fn list(inside: &[Known], json: &str) -> serde_json::Result<Option<Box<RawValue>>> {
    let mut items: Vec<Cow<'_, RawValue>> =
        serde_json::from_str::<Vec<&RawValue>>(json)?.into_iter().map(Cow::Borrowed).collect();
    let before = items.len();
    items.retain(|item| item.get() != "null");
    let mut any = items.len() < before;
    for item in items.iter_mut().filter(|item| item.get().starts_with('{')) {
        if let Some(shorter) = object(inside, item.get())? {
            *item = Cow::Owned(shorter);
            any = true;
        }
    }
    match any {
        true => to_raw_value(&items).map(Some),
        false => Ok(None),
    }
}

/// The fields of an object as they are written, in their order. Not a list: serde would read one as a struct's fields.
pub(super) struct Fields<'a>(pub(super) Vec<Field<'a>>);

type Field<'a> = (Cow<'a, str>, Cow<'a, RawValue>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an event, which is an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                    fields.push((name, Cow::Borrowed(value)));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
