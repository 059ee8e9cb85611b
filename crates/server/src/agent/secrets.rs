//! What a backend was told and may echo, kept out of what people read.
//!
//! Errors of backends quote the key that they refuse, the headers that they got, the token that has expired. Their words are
//! worth showing; the word that is a secret is not.

use std::fmt;
use std::sync::Arc;

use crate::config::agents::{ApiKey, Remote};

/// Characters of a backend's own words that a person is shown at most.
const MAX_SAID_CHARS: usize = 200;
/// Shorter pieces of a header are no secrets, and hiding them would hide half of the words.
const MIN_HEADER_BYTES: usize = 8;
const HIDDEN: &str = "[hidden]";
/// What keys and signed tokens begin with, ours or not.
const BEGINNINGS: [&str; 2] = ["sk-", "eyJ"];

/// Every value of a backend's configuration that nobody may read. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Secrets(Arc<[String]>);

impl Secrets {
    /// The key, the values of headers (`Bearer KEY` in pieces), and what tokens are signed with.
    pub(super) fn new(remote: &Remote) -> Self {
        let key = remote.api_key.as_ref().map(|key| ApiKey::text(key).to_owned());
        let signs = remote.identity.jwt.as_ref().and_then(|jwt| String::from_utf8(jwt.secret.clone()).ok());
        let headers = remote.headers.values().filter_map(|value| value.to_str().ok());
        let pieces = headers.flat_map(str::split_whitespace).filter(|piece| piece.len() >= MIN_HEADER_BYTES);
        let all = key.into_iter().chain(signs).chain(pieces.map(str::to_owned));
        Self(all.filter(|secret| !secret.is_empty()).collect())
    }

    /// Makes a backend's own words fit to be shown: one line, at most 200 characters, without what is secret and without
    /// words that look like it. `None` when nothing is left.
    pub(super) fn plain(&self, said: &str) -> Option<String> {
        let said = self.0.iter().fold(said.to_owned(), |said, secret| said.replace(secret.as_str(), HIDDEN));
        let mut clean = String::new();
        for word in said.split(|c: char| c.is_whitespace() || c.is_control()) {
            match (word.is_empty(), word.contains(HIDDEN) || looks_secret(word)) {
                (true, _) => continue,
                (false, true) => clean.push_str(HIDDEN),
                (false, false) => clean.push_str(word),
            }
            clean.push(' ');
            if clean.len() > 4 * MAX_SAID_CHARS {
                break;
            }
        }
        let clean = clean.trim_end();
        match clean.char_indices().nth(MAX_SAID_CHARS) {
            Some((end, _)) => Some(format!("{}…", &clean[..end])),
            None if clean.is_empty() => None,
            None => Some(clean.to_owned()),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// Whether a key begins in it: at its start or behind a sign, for "disk-full" and "risk-free" hold "sk-" as well.
fn looks_secret(word: &str) -> bool {
    let begins = |at: usize| !word[..at].ends_with(char::is_alphanumeric);
    BEGINNINGS.iter().any(|beginning| word.match_indices(beginning).any(|(at, _)| begins(at)))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::config::agents::{Identity, IdentityJwt};

    fn key(key: &str) -> Secrets {
        Secrets::new(&Remote { api_key: ApiKey::parse(key), ..Remote::default() })
    }

    #[test]
    fn a_backends_words_are_shown_on_one_line_without_its_key() {
        let said = "Incorrect API key provided:\r\n my-secret-key, or was it sk-abc***xyz?";
        assert_eq!(
            key("my-secret-key").plain(said).unwrap(),
            "Incorrect API key provided: [hidden] or was it [hidden]"
        );
        assert_eq!(Secrets::default().plain(" \n\0"), None);
    }

    #[test]
    fn headers_and_what_signs_tokens_are_as_secret_as_the_key() {
        let jwt = IdentityJwt {
            header: HeaderName::from_static("x-i"),
            secret: b"a secret of 32 bytes for a token".to_vec(),
            audience: "a".to_owned(),
        };
        let headers = [("x-signature", "Basic dXNlcjpwYXNz"), ("x-team", "it")];
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let secrets = Secrets::new(&Remote {
            headers: HeaderMap::from_iter(headers),
            identity: Identity { jwt: Some(jwt), ..Identity::default() },
            ..Remote::default()
        });
        let said = "Basic: got \"dXNlcjpwYXNz\", a secret of 32 bytes for a token. Is it right?";
        assert_eq!(secrets.plain(said).unwrap(), "Basic: got [hidden] [hidden] Is it right?");
        assert_eq!(format!("{secrets:?}"), "2 secrets");
    }

    #[test]
    fn only_a_word_that_begins_like_a_key_or_a_token_looks_like_one() {
        let said = "disk-full is not risk-free: key=sk-1 \"sk-2\" SK-3 eyJhbGciOi heyJude";
        let shown = "disk-full is not risk-free: [hidden] [hidden] SK-3 [hidden] heyJude";
        assert_eq!(Secrets::default().plain(said).unwrap(), shown);
    }

    #[test]
    fn a_backends_words_are_cut_after_two_hundred_characters() {
        let shown = Secrets::default().plain(&"ä".repeat(100_000)).unwrap();
        assert_eq!(shown.chars().count(), MAX_SAID_CHARS + 1);
        assert!(shown.ends_with('…'));
    }
}
