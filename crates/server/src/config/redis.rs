//! The address of a Redis, which may hold a password.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::address::shown_with_path;
use super::error::Fault;
use super::secret::Outside;
use super::value::Secret;

/// Longest prefix of keys.
const MAX_PREFIX: usize = 64;

/// `redis://`, `rediss://` (TLS) or `unix://`. `Debug` and `Display` show neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// Of a test's own server.
    #[cfg(test)]
    pub(crate) fn of_test(text: &str) -> Self {
        Self::parse("cluster.url", text).expect("an address of Redis")
    }

    /// As it was written, password included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Written here, in a variable, or in a file: in one of them, or in none.
    pub(super) fn of(
        [here, variable, file]: [&str; 3],
        (url, url_env, url_file): (&Option<Secret>, &Option<String>, &Option<PathBuf>),
        outside: &Outside<'_>,
    ) -> Result<Option<Self>, Fault> {
        let excludes = |one, other| Err(Fault::against(one, "must not be set together with", other));
        match (url, url_env, url_file) {
            (None, None, None) => Ok(None),
            (Some(_), Some(_), _) => excludes(here, variable),
            (Some(_), _, Some(_)) => excludes(here, file),
            (None, Some(_), Some(_)) => excludes(variable, file),
            (Some(Secret(url)), None, None) => Self::parse(here, url).map(Some),
            (None, Some(name), None) => Self::parse(variable, &outside.variable(variable, name)?).map(Some),
            (None, None, Some(path)) => Self::parse(file, &outside.file(file, path)?).map(Some),
        }
    }

    /// Never quotes what it is given.
    pub(super) fn parse(key: &str, text: &str) -> Result<Self, Fault> {
        let wrong = |what: &str| {
            let remedy =
                "Write redis://[user:password@]host:6379[/database], rediss:// for TLS, or unix:///path/of/socket.";
            Err(Fault::value(key, format!("{what} (it may hold a password and is not shown)"), remedy))
        };
        let Ok(url) = Url::parse(text) else { return wrong("is no address") };
        match url.scheme() {
            "redis" | "rediss" if !url.has_host() => wrong("names no host"),
            // Whoever wants TLS wants to know who answers.
            "rediss" if url.fragment().is_some() => {
                wrong("has a part behind #, which would switch the check of certificates off")
            }
            "redis" | "rediss" => match url.path().trim_start_matches('/') {
                "" => Ok(Self(text.to_owned())),
                number if number.parse::<u16>().is_ok() => Ok(Self(text.to_owned())),
                _ => wrong("names a database that is no number"),
            },
            "unix" if Path::new(url.path()).is_absolute() && url.path() != "/" => Ok(Self(text.to_owned())),
            "unix" => wrong("names no path of a socket"),
            _ => wrong("is no redis, rediss or unix address"),
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_with_path(&self.0))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", shown_with_path(&self.0))
    }
}

/// What every key begins with.
pub(super) fn prefix(key: &str, text: &str) -> Result<String, Fault> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    match text.is_empty() || text.len() > MAX_PREFIX || !text.chars().all(is_plain) {
        true => Err(Fault::value(
            key,
            format!("is {text:?}, which no key can begin with"),
            "Write 1 to 64 letters, digits, `-`, `_`, `.` or `:`.",
        )),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_its_password_and_shown_without() {
        for (text, shown) in [
            ("redis://h", "redis://h"),
            ("redis://:geheim@h:6379/3", "redis://********@h:6379/3"),
            ("rediss://me:geheim@h:6380", "rediss://********@h:6380"),
            ("unix:///run/redis.sock", "unix:///run/redis.sock"),
            ("unix:///run/redis.sock?pass=geheim", "unix:///run/redis.sock?********"),
        ] {
            let url = RedisUrl::parse("journal.url", text).unwrap();
            assert_eq!((url.as_str(), url.to_string()), (text, shown.to_owned()));
            assert!(!format!("{url:?}").contains("geheim"));
        }
    }

    #[test]
    fn an_address_that_cannot_be_meant_is_refused_and_not_quoted() {
        for (text, why) in [
            ("geheim", "no address"),
            ("http://geheim@h", "no redis, rediss or unix"),
            ("redis://", "no host"),
            ("redis://:geheim@h/first", "no number"),
            ("rediss://:geheim@h#insecure", "behind #"),
            ("unix:", "no path"),
        ] {
            let fault = RedisUrl::parse("journal.url", text).unwrap_err();
            assert!(fault.what.contains(why) && !fault.what.contains("geheim"), "{text}: {}", fault.what);
        }
        for text in ["", "a b", "{a}", "ä", &"p".repeat(65)] {
            assert!(prefix("journal.prefix", text).is_err(), "{text}");
        }
    }
}
