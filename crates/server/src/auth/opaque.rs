//! Opaque tokens: random text that means nothing, and that is known here by its hash alone.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Random bytes of a token: as hard to guess as its hash is to turn back.
const BYTES: usize = 32;

/// SHA-256 of a token. Looking a token up by it takes the same time whatever token was guessed.
pub(super) type Digest = [u8; 32];

/// A token; `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct Opaque(String);

impl Opaque {
    /// 256 bits from the operating system, as base64url.
    ///
    /// # Panics
    /// When the operating system has no randomness: no token would be safe.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// A token that somebody shows; none where it cannot be one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == BYTES).then(|| Self(text.to_owned()))
    }

    /// To hand it to its owner.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, self.0.as_bytes()).as_ref());
        bytes
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opaque(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_printed_by_nothing() {
        let token = Opaque::random();
        assert_eq!(token.as_str().len(), 43);
        assert_eq!(Opaque::parse(token.as_str()).unwrap().digest(), token.digest());
        assert!(!format!("{token:?}").contains(token.as_str()));
        assert_ne!(Opaque::random().digest(), token.digest());
    }

    #[test]
    fn text_that_cannot_be_a_token_of_ours_is_none() {
        for text in ["", "a", "a.b.c", &"A".repeat(42), &"A".repeat(44), &"A".repeat(100_000), &"ä".repeat(22)] {
            assert_eq!(Opaque::parse(text), None);
        }
    }
}
