//! Values that a file spells as text: durations with a unit, and secrets that nobody prints.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest duration that a key may have: 30 days. Timers overflow far beyond, and a typing error lies far below.
const MAX_DURATION: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a secret looks like wherever we print it.
pub(crate) const MASK: &str = "********";

/// A duration as text: `"400ms"`, `"10s"`, `"1m 30s"`, or ISO 8601. Not negative, at most 720 h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// Reads a duration as a key or an argument spells it.
///
/// # Errors
/// A sentence that says what is wrong and how it is written.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let signed: SignedDuration = text
        .parse()
        .map_err(|_| format!("{text:?} is no duration; write a number with a unit, such as \"10s\" or \"400ms\""))?;
    match Duration::try_from(signed) {
        Ok(duration) if duration <= MAX_DURATION => Ok(duration),
        Ok(_) => Err(format!("{text:?} is too long; at most \"720h\"")),
        Err(_) => Err(format!("{text:?} is negative; a duration is zero or more")),
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, such as \"10s\" or \"400ms\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                parse_duration(text).map(Span).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let signed = SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX);
        serializer.serialize_str(&format!("{signed:#}"))
    }
}

/// Text that is never printed: neither by `Debug` nor by `lychgate config`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Anything but text is an error that does not quote it: a secret of digits that lost its quotes stays a secret.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_) => Err(D::Error::custom("the secret is not text; put it into quotes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_with_their_unit() {
        for (text, millis, printed) in [
            ("400ms", 400, "400ms"),
            ("10s", 10_000, "10s"),
            ("1m 30s", 90_000, "1m 30s"),
            ("0s", 0, "0s"),
            ("720h", 2_592_000_000, "720h"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis));
            assert_eq!(serde_json::to_value(Span(duration)).unwrap(), printed);
        }
    }

    #[test]
    fn a_duration_that_cannot_be_meant_says_why() {
        for (text, why) in [
            ("10", "no duration"),
            ("", "no duration"),
            ("ten seconds", "no duration"),
            ("-1s", "negative"),
            ("721h", "too long"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_secret_is_printed_by_nothing() {
        let secret = Secret("hunter2hunter2".into());
        assert_eq!(format!("{secret:?}"), MASK);
        assert_eq!(serde_json::to_value(&secret).unwrap(), MASK);
    }

    #[test]
    fn a_secret_without_quotes_is_not_quoted_by_its_error() {
        #[derive(Debug, Deserialize)]
        struct Holder {
            #[expect(dead_code, reason = "only its error matters")]
            secret: Secret,
        }
        let error = toml::from_str::<Holder>("secret = 123456789").unwrap_err();
        assert!(!error.message().contains("123456789"), "{}", error.message());
    }
}
