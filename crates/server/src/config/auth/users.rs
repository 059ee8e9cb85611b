//! Users of different sources are told apart by their prefixes, or are said to be the same people.
//!
//! ```text
//!  [auth.jwt] ""   [auth.issuers.web] "web:"   [login.providers.google] "google:"   --> no prefix begins another
//! ```

use super::Auth;
use crate::config::error::Fault;
use crate::config::login::Login;

/// The longest prefix of user ids: an id has 256 bytes, and the source's own part needs most of them.
const MAX_PREFIX_BYTES: usize = 32;

/// Something that says who a user is.
struct Source<'a> {
    /// Its table, as in the configuration.
    table: String,
    prefix: &'a str,
    /// The key of its prefix; none where it has none.
    key: Option<String>,
}

/// No user id of one source may equal one of another (I8), unless somebody says that they are one user. Were a prefix the
/// beginning of another one, the first source could still make up ids of the second.
pub(in crate::config) fn are_told_apart(auth: &Auth, login: &Login) -> Result<(), Fault> {
    if auth.shared_users {
        return Ok(());
    }
    let sources = sources(auth, login);
    for (n, source) in sources.iter().enumerate() {
        let others = sources.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, other)| other);
        let Some(other) = others.into_iter().find(|other| other.prefix.starts_with(source.prefix)) else { continue };
        // What to change: the one that has a prefix to set.
        let (one, two) = if source.key.is_some() { (source, other) } else { (other, source) };
        let (key, is) = match &one.key {
            Some(key) => (key.as_str(), format!("is {:?}", one.prefix)),
            None => ("auth.shared_users", "is false".to_owned()),
        };
        return Err(Fault::value(
            key,
            format!("{is}, and {} and {} may name users by the same id", one.table, two.table),
            "If the same id is the same person, whoever says it, set auth.shared_users = true; if not, give each a \
             user_prefix of its own, of which none begins another ([auth.jwt] has none).",
        ));
    }
    Ok(())
}

fn sources<'a>(auth: &'a Auth, login: &'a Login) -> Vec<Source<'a>> {
    let of = |table: String, prefix: &'a str| Source { key: Some(format!("{table}.user_prefix")), table, prefix };
    let without = |table: &str| Source { table: table.to_owned(), prefix: "", key: None };
    let own = auth.jwt.iter().map(|_| without("[auth.jwt]"));
    let issuers = auth.issuers.iter().map(|it| of(format!("auth.issuers.{}", it.name), &it.user_prefix));
    let providers = login.providers.iter().map(|(name, it)| of(format!("login.providers.{name}"), &it.user_prefix));
    let demo = login.is_demo.then(|| without("the demo's login"));
    own.chain(issuers).chain(providers).chain(demo).collect()
}

/// A prefix is short, plain text.
pub(in crate::config) fn check_prefix(key: String, prefix: &str, name: &str) -> Result<(), Fault> {
    match prefix.len() > MAX_PREFIX_BYTES || prefix.chars().any(char::is_control) {
        false => Ok(()),
        true => {
            let remedy = format!("Write a short word, such as \"{name}:\"; it stands before every user id.");
            Err(Fault::value(key, "is longer than 32 bytes, or no plain text", remedy))
        }
    }
}
