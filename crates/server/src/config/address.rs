//! Addresses of others, which may hold a key in every part but their host.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::value::MASK;

/// What a part of a path may be to be shown. Whatever else stands there may be a key (`/webhook/3f9c...`), and nothing tells
/// it from a name.
const KNOWN: [&str; 28] = [
    ".well-known",
    "agent",
    "agents",
    "agui",
    "api",
    "certs",
    "chat",
    "compatible-mode",
    "discovery",
    "hooks",
    "inference",
    "jwks",
    "jwks.json",
    "keys",
    "oauth2",
    "openai",
    "openid-connect",
    "opentelemetry",
    "otlp",
    "protocol",
    "traces",
    "v1",
    "v1beta",
    "v1beta1",
    "v2",
    "v3",
    "webhook",
    "webhooks",
];

/// The address of a backend. Neither `Debug` nor `lychgate config` prints what in it may be a key: of its path what we do not
/// know, its query, and who logs in there.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// All of it, to ask the backend.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", shown(&self.0))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&shown(&self.0))
    }
}

/// The address with a mask in place of every part that may be a key. What is shown already stays as it is; the scheme may be
/// missing.
pub(super) fn shown(text: &str) -> String {
    masked(text, |path| {
        let parts = path.split('/').map(|part| match part.is_empty() || KNOWN.contains(&part) {
            true => part,
            false => MASK,
        });
        parts.collect::<Vec<_>>().join("/")
    })
}

/// The same, path included: for who somebody is (an issuer), which stands in each of his tokens.
pub(super) fn shown_with_path(text: &str) -> String {
    masked(text, str::to_owned)
}

fn masked(text: &str, show_path: impl Fn(&str) -> String) -> String {
    let (address, query) = match text.find(['?', '#']) {
        Some(at) => (&text[..at], format!("?{MASK}")),
        None => (text, String::new()),
    };
    let (scheme, rest) = address.split_at(address.find("://").map_or(0, |at| at + "://".len()));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or_else(|| authority.to_owned(), |(_, host)| format!("{MASK}@{host}"));
    format!("{scheme}{host}{}{query}", show_path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_the_host_is_shown_and_what_is_known_of_its_path() {
        for (given, seen) in [
            ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
            ("https://h", "https://h"),
            ("https://h/", "https://h/"),
            ("https://h/webhook/geheim", "https://h/webhook/********"),
            ("https://h/v1/geheim/traces", "https://h/v1/********/traces"),
            ("https://h/v1?key=geheim", "https://h/v1?********"),
            ("https://h/v1#geheim", "https://h/v1?********"),
            ("https://h?key=geheim/v1", "https://h?********"),
            ("https://geheim:geheim@h/v1", "https://********@h/v1"),
            ("h/geheim?geheim", "h/********?********"),
        ] {
            let address: Address = toml::Value::from(given).try_into().unwrap();
            assert_eq!(address.as_str(), given);
            assert_eq!(serde_json::to_value(&address).unwrap(), seen);
            assert_eq!(format!("{address:?}"), format!("{seen:?}"));
            assert_eq!(shown(seen), seen, "what is shown stays as it is");
        }
    }

    #[test]
    fn who_somebody_is_is_shown_with_its_path() {
        assert_eq!(shown_with_path("https://sso.example/realms/chat"), "https://sso.example/realms/chat");
        assert_eq!(
            shown_with_path("https://geheim@sso.example/chat?geheim"),
            "https://********@sso.example/chat?********"
        );
    }
}
