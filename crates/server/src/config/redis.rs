//! The address of a Redis, which may hold a password.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::address::shown_with_path;
use super::error::Fault;
use super::secret::Outside;
use super::value::Secret;

mod site;

pub use self::site::Site;

/// Longest prefix of keys.
const MAX_PREFIX: usize = 64;

/// `redis://`, `rediss://` (TLS) or `unix://`; `redis+sentinel://` for the master that sentinels name, `redis+cluster://` for
/// a Redis Cluster, both also with `rediss+`. `Debug` and `Display` show neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    text: String,
    /// Behind a pointer: an address is a part of many errors.
    site: Arc<Site>,
}

impl RedisUrl {
    /// Of a test's own server.
    #[cfg(test)]
    pub(crate) fn of_test(text: &str) -> Self {
        Self::parse("cluster.url", text).expect("an address of Redis")
    }

    /// What it means: whom to ask where the server is.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// What every key begins with: the prefix, in braces where it is a Redis Cluster. All keys then have one hash tag, so
    /// one slot, and one server holds them all (decision 25).
    #[must_use]
    pub fn stem(&self, prefix: &str) -> String {
        match &*self.site {
            Site::Fixed(_) | Site::Sentinel { .. } => prefix.to_owned(),
            Site::Cluster { .. } => format!("{{{prefix}}}"),
        }
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
            let remedy = "Write redis://[user:password@]host:6379[/database], redis+sentinel://host:26379,host:26379/master, redis+cluster://host:6379,host:6379, with rediss:// for TLS, or unix:///path/of/socket.";
            Fault::value(key, format!("{what} (it may hold a password and is not shown)"), remedy)
        };
        let site = Site::parse(text).map_err(wrong)?;
        Ok(Self { text: text.to_owned(), site: Arc::new(site) })
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_with_path(&self.text))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", shown_with_path(&self.text))
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
            assert!(*url.site() == Site::Fixed(text.to_owned()), "{text}");
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("geheim"));
        }
    }

    #[test]
    fn passwords_of_several_servers_and_of_sentinels_are_not_shown() {
        for (text, shown) in [
            ("redis+cluster://me:geheim@h1,h2:7000", "redis+cluster://********@h1,h2:7000"),
            ("rediss+sentinel://h1,h2/m/3?sentinel_password=geheim", "rediss+sentinel://h1,h2/m/3?********"),
        ] {
            let url = RedisUrl::parse("journal.url", text).unwrap();
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), format!("{shown:?}")));
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
            ("redis+sentinel://:geheim@h", "no master"),
            ("redis+cluster://h?geheim=1", "behind ?"),
        ] {
            let fault = RedisUrl::parse("journal.url", text).unwrap_err();
            assert!(fault.what.contains(why) && !fault.what.contains("geheim"), "{text}: {}", fault.what);
        }
    }

    #[test]
    fn where_it_is_a_redis_cluster_all_keys_have_one_hash_tag() {
        let stem = |text: &str| RedisUrl::of_test(text).stem("p");
        assert_eq!(stem("redis://h"), "p");
        assert_eq!(stem("redis+sentinel://h/m"), "p");
        assert_eq!(stem("redis+cluster://h"), "{p}");
    }

    #[test]
    fn a_prefix_is_what_keys_can_begin_with() {
        for text in ["", "a b", "{a}", "ä", &"p".repeat(65)] {
            assert!(prefix("journal.prefix", text).is_err(), "{text}");
        }
    }
}
