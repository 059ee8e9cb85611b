//! The fields of a JSON object in their order, unread: to change one of them and leave the others letter by letter.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Fields of AG-UI events in which any JSON may stand, null included.
const ANY_JSON: [&str; 3] = ["snapshot", "value", "event"];

/// Names and values, borrowed from the text.
#[derive(Debug)]
pub struct Fields<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl Fields<'_> {
    /// The object as an AG-UI event without its nulls: that protocol knows absent, and its clients refuse null but where
    /// any JSON may stand.
    #[must_use]
    pub fn without_nulls(&self) -> String {
        let kept = self.0.iter().filter(|(name, raw)| raw.get() != "null" || ANY_JSON.contains(&&**name));
        let fields: Vec<String> = kept.map(|(name, raw)| format!("{}:{raw}", Value::from(&**name))).collect();
        format!("{{{}}}", fields.join(","))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((Name(name), raw)) = map.next_entry()? {
                    fields.push((name, raw));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A name that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_stays_letter_by_letter_and_in_its_order() {
        let text = r#"{"b":1.0,"a\n":{"x":null},"c":null,"snapshot":null,"d":12345678901234567890123}"#;
        let fields: Fields<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(fields.without_nulls(), r#"{"b":1.0,"a\n":{"x":null},"snapshot":null,"d":12345678901234567890123}"#);
        assert!(serde_json::from_str::<Fields<'_>>("[1]").is_err());
    }
}
