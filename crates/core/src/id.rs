//! The only place where an id is made or parsed.
//!
//! Ids that people bring (user, thread, client, run) are opaque: one rule of length and characters holds for all of
//! them, [`IdError`] says which half was broken. Ids that we make (connection, request, generated threads) are built
//! from numbers that the caller draws, because this crate has no randomness of its own.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest id in bytes of UTF-8. Google subject ids have 21 digits, OpenID Connect allows 255 ASCII characters.
pub const MAX_ID_BYTES: usize = 256;

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdError {
    /// It has no character at all.
    Empty,
    /// It is longer than [`MAX_ID_BYTES`]; carries its length.
    TooLong(usize),
    /// It holds a control character (Unicode category Cc); carries the byte offset.
    ControlCharacter(usize),
    /// It is not of the form that we hand out for this kind of id.
    Malformed,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty; an id has 1 to 256 bytes"),
            Self::TooLong(len) => write!(f, "has {len} bytes; an id has at most {MAX_ID_BYTES}"),
            Self::ControlCharacter(at) => {
                write!(f, "has a control character at byte {at}; none is allowed")
            }
            Self::Malformed => f.write_str("is not an id that this gateway made"),
        }
    }
}

impl std::error::Error for IdError {}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > MAX_ID_BYTES {
        return Err(IdError::TooLong(text.len()));
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(IdError::ControlCharacter(at)),
        None => Ok(()),
    }
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes any text of 1 to 256 bytes without control characters, unchanged.
            ///
            /// # Errors
            /// [`IdError`] says what was wrong and where.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The id as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &*self.0)
            }
        }
    };
}

opaque_id! {
    /// Who is served: the verified subject of a token, never what a client claims.
    UserId
}
opaque_id! {
    /// One conversation of one user.
    ThreadId
}
opaque_id! {
    /// A browser tab or device, as it names itself. For the audit trail only: a cloned tab copies it, so no right
    /// follows from it.
    ClientId
}
opaque_id! {
    /// One run of an agent; the client's idempotency key.
    RunId
}

/// How the gateway's own id begins: with a character that no id may hold.
const OWN: char = '\u{1}';

impl UserId {
    /// Nobody: the gateway itself, while it tries out whether it can deliver. No text parses to it, so that no token and
    /// no operator ever names it.
    #[must_use]
    pub fn of_gateway() -> Self {
        Self(Arc::from(format!("{OWN}gateway")))
    }

    /// Whether it is [`UserId::of_gateway`].
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        self.0.starts_with(OWN)
    }
}

impl ThreadId {
    /// Names a thread that the client left open: `thread_websocket_session_<n>_<random>`.
    #[must_use]
    pub fn generate(n: u64, random: u64) -> Self {
        Self(Arc::from(format!("thread_websocket_session_{n}_{random:016x}")))
    }
}

impl RunId {
    /// Names the run of a context whose client named none: `run_<random>`.
    #[must_use]
    pub fn generate(random: u64) -> Self {
        Self(Arc::from(format!("run_{random:016x}")))
    }
}

/// The key of a session: user and thread, and nothing else. No connection id is part of it (cause C1 of the original
/// failure), and one value serves open, release, log and store (C2).
///
/// Its text is the *isolation key* `user:thread`. A `:` or `%` in the user id is written `%3A` or `%25`, so the first
/// colon always ends the user id and no two pairs share a text (hazard R28).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SessionKey {
    user: UserId,
    thread: ThreadId,
}

impl SessionKey {
    /// Pairs a user with a thread.
    #[must_use]
    pub fn new(user: UserId, thread: ThreadId) -> Self {
        Self { user, thread }
    }

    /// Whose session it is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// Which conversation it shows.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        &self.thread
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.user.as_str().split_inclusive([':', '%']) {
            match part.as_bytes().last() {
                Some(b':') => write!(f, "{}%3A", &part[..part.len() - 1])?,
                Some(b'%') => write!(f, "{}%25", &part[..part.len() - 1])?,
                Some(_) | None => f.write_str(part)?,
            }
        }
        write!(f, ":{}", self.thread)
    }
}

impl FromStr for SessionKey {
    type Err = IdError;

    /// Reads an isolation key back, as [`SessionKey`]'s `Display` writes it.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (user, thread) = text.split_once(':').ok_or(IdError::Malformed)?;
        let user = user.replace("%3A", ":").replace("%25", "%");
        Ok(Self::new(UserId::parse(&user)?, ThreadId::parse(thread)?))
    }
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        // Two words rather than one of 128 bits, whose alignment would pad every record that holds it.
        pub struct $name([u64; 2]);

        impl $name {
            /// Wraps 128 bits that the caller drew from a secure source.
            #[must_use]
            pub fn from_random(bits: u128) -> Self {
                Self([(bits >> 64) as u64, bits as u64])
            }

            fn bits(self) -> u128 {
                u128::from(self.0[0]) << 64 | u128::from(self.0[1])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:032x}"), self.bits())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let hex = text.strip_prefix($prefix).ok_or(IdError::Malformed)?;
                let is_lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                if hex.len() != 32 || !hex.bytes().all(is_lower_hex) {
                    return Err(IdError::Malformed);
                }
                u128::from_str_radix(hex, 16).map(Self::from_random).map_err(|_| IdError::Malformed)
            }
        }
    };
}

random_id! {
    /// One socket. 128 random bits, because whoever names it as `prev` may take its sessions over.
    ConnectionId, "c_"
}
impl ConnectionId {
    /// A number below `parts` that is as random as the id: to spread what would otherwise happen at once.
    #[must_use]
    pub fn share_of(self, parts: u32) -> u32 {
        (self.bits() % u128::from(parts.max(1))) as u32
    }
}

/// What a connection was let in by, so that it can be found when that is revoked. It says nothing about the token itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Proof {
    /// A hash, under a key of this process, of the id of the token or of the login; 0 where there is none.
    pub id: u64,
    /// When it was issued, in seconds since 1970; 0 where nobody knows, which every revocation by time reaches.
    pub issued: u64,
}

random_id! {
    /// One request, to find it again in logs and answers.
    RequestId, "req_"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str, thread: &str) -> SessionKey {
        SessionKey::new(UserId::parse(user).unwrap(), ThreadId::parse(thread).unwrap())
    }

    #[test]
    fn user_ids_larger_than_64_bits_are_opaque_text() {
        let google = UserId::parse("105945141827451681156").unwrap();
        assert_eq!(google.as_str(), "105945141827451681156");
    }

    #[test]
    fn colons_and_percent_signs_never_make_two_keys_equal() {
        let pairs = [("a:b", "c"), ("a", "b:c"), ("a%3Ab", "c"), ("a%", "3Ab:c"), ("a%25", "c"), ("ü:", ":")];
        let texts: std::collections::BTreeSet<String> = pairs.iter().map(|(u, t)| key(u, t).to_string()).collect();
        assert_eq!(texts.len(), pairs.len());
        for (user, thread) in pairs {
            assert_eq!(key(user, thread).to_string().parse(), Ok(key(user, thread)));
        }
    }

    #[test]
    fn a_bad_id_says_which_rule_it_broke() {
        assert_eq!(UserId::parse(""), Err(IdError::Empty));
        assert_eq!(UserId::parse(&"x".repeat(10_240)), Err(IdError::TooLong(10_240)));
        assert_eq!(ThreadId::parse("a\u{0}b"), Err(IdError::ControlCharacter(1)));
        assert!(UserId::parse(&"x".repeat(MAX_ID_BYTES)).is_ok());
    }

    #[test]
    fn a_connection_id_reads_back_what_it_wrote_and_nothing_else() {
        let id = ConnectionId::from_random(7);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "c_", "c_+0000000000000000000000000000007", "r_00000000000000000000000000000007"] {
            assert_eq!(bad.parse::<ConnectionId>(), Err(IdError::Malformed));
        }
    }
}
