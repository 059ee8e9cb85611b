//! What an address of Redis means: one server, the sentinels that know it, or nodes of a Redis Cluster.
//!
//! ```text
//! redis[s]://[user:password@]host[:6379][/database]
//! redis[s]+sentinel://[user:password@]host[:26379],host.../master[/database][?sentinel_username=U&sentinel_password=P]
//! redis[s]+cluster://[user:password@]host[:6379],host...
//! unix:///path[?pass=password]
//! ```
//!
//! The user and the password in front are those of the server that holds the keys, wherever it is.

use std::path::Path;

use reqwest::Url;

/// Sentinels, or nodes of a Redis Cluster, that an address may name: all are asked at once.
const MAX_HOSTS: usize = 16;
const SENTINEL_PORT: u16 = 26_379;
const SERVER_PORT: u16 = 6_379;

/// Whom to ask where the server is. Every text in it is an address that may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub enum Site {
    /// Nobody: it is there.
    Fixed(String),
    /// Sentinels, which know the address of the master by a name.
    Sentinel {
        /// Where they are, with their own user and password.
        sentinels: Vec<String>,
        /// The master's name.
        name: String,
        /// How the master is spoken to; its host and port are those of a sentinel.
        server: String,
    },
    /// Nodes of a Redis Cluster, each of which knows who has which keys.
    Cluster {
        /// Where some of them are, and how all are spoken to.
        seeds: Vec<String>,
    },
}

/// The parts of an address that names several servers.
struct Several<'a> {
    scheme: &'static str,
    /// With the `@` behind it.
    user: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl Site {
    /// What is wrong, as the middle of a sentence; never quotes the text.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "redis+sentinel" => Several::parse("redis", rest)?.sentinel(),
            "rediss+sentinel" => Several::parse("rediss", rest)?.sentinel(),
            "redis+cluster" => Several::parse("redis", rest)?.cluster(),
            "rediss+cluster" => Several::parse("rediss", rest)?.cluster(),
            _ => fixed(text),
        }
    }
}

fn fixed(text: &str) -> Result<Site, &'static str> {
    let url = Url::parse(text).map_err(|_| "is no address")?;
    match url.scheme() {
        "redis" | "rediss" if !url.has_host() => Err("names no host"),
        // Whoever wants TLS wants to know who answers.
        "rediss" if url.fragment().is_some() => {
            Err("has a part behind #, which would switch the check of certificates off")
        }
        "redis" | "rediss" => match url.path().trim_start_matches('/') {
            "" => Ok(Site::Fixed(text.to_owned())),
            number if number.parse::<u16>().is_ok() => Ok(Site::Fixed(text.to_owned())),
            _ => Err("names a database that is no number"),
        },
        "unix" if Path::new(url.path()).is_absolute() && url.path() != "/" => Ok(Site::Fixed(text.to_owned())),
        "unix" => Err("names no path of a socket"),
        _ => Err("is no redis, rediss or unix address"),
    }
}

impl<'a> Several<'a> {
    fn parse(scheme: &'static str, rest: &'a str) -> Result<Self, &'static str> {
        if rest.contains('#') {
            return Err("has a part behind #, which means nothing here (write %23 in a password)");
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let hosts: Vec<&str> = hosts.split(',').collect();
        match hosts.len() > MAX_HOSTS {
            true => Err("names more than 16 hosts"),
            false => Ok(Self { scheme, user, hosts, path, query }),
        }
    }

    fn sentinel(&self) -> Result<Site, &'static str> {
        let (name, database) = self.path.split_once('/').unwrap_or((self.path, ""));
        // What Sentinel itself takes as a name.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(is_plain) {
            return Err("names no master behind the hosts, in letters, digits, `-`, `_` and `.`");
        }
        if !database.is_empty() && database.parse::<u16>().is_err() {
            return Err("names a database that is no number");
        }
        let (user, password) = self.sentinels_user()?;
        let sentinels = self.urls("", SENTINEL_PORT)?.into_iter().map(|mut sentinel| {
            let set = sentinel.set_username(&user).and_then(|()| sentinel.set_password(password.as_deref()));
            set.map(|()| sentinel.to_string()).map_err(|()| "names a host that is none")
        });
        let mut server = self.urls(self.user, SENTINEL_PORT)?.swap_remove(0);
        server.set_path(database);
        let sentinels = sentinels.collect::<Result<_, _>>()?;
        Ok(Site::Sentinel { sentinels, name: name.to_owned(), server: server.to_string() })
    }

    fn cluster(&self) -> Result<Site, &'static str> {
        if !self.query.is_empty() {
            return Err("has a part behind ?, which means nothing here");
        }
        if !matches!(self.path, "" | "0") {
            return Err("names a database, and a Redis Cluster has none but 0");
        }
        let seeds = self.urls(self.user, SERVER_PORT)?;
        Ok(Site::Cluster { seeds: seeds.into_iter().map(String::from).collect() })
    }

    /// One address for each host.
    fn urls(&self, user: &str, port: u16) -> Result<Vec<Url>, &'static str> {
        let urls = self.hosts.iter().map(|host| {
            let wrong = "names a host that is none (write host:port,host:port)";
            let mut url = Url::parse(&format!("{}://{user}{host}", self.scheme)).map_err(|_| wrong)?;
            let port = url.port().unwrap_or(port);
            url.set_port(Some(port)).map_err(|()| wrong)?;
            Ok(url)
        });
        urls.collect()
    }

    fn sentinels_user(&self) -> Result<(String, Option<String>), &'static str> {
        // Only to have the pairs read.
        let url = Url::parse(&format!("redis://h?{}", self.query)).map_err(|_| "is no address")?;
        let (mut user, mut password) = (String::new(), None);
        for (key, value) in url.query_pairs() {
            match &*key {
                "sentinel_username" => user = value.into_owned(),
                "sentinel_password" => password = Some(value.into_owned()),
                _ => return Err("has a part behind ? that is neither sentinel_username nor sentinel_password"),
            }
        }
        Ok((user, password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_and_the_master_have_users_and_passwords_of_their_own() {
        let text =
            "rediss+sentinel://me:p%40ss@s1,[::1]:7000/my-master/3?sentinel_username=you&sentinel_password=a%26b%3A";
        let site = Site::Sentinel {
            sentinels: ["rediss://you:a&b%3A@s1:26379", "rediss://you:a&b%3A@[::1]:7000"].map(str::to_owned).to_vec(),
            name: "my-master".to_owned(),
            server: "rediss://me:p%40ss@s1:26379/3".to_owned(),
        };
        assert!(Site::parse(text) == Ok(site));
    }

    #[test]
    fn nodes_of_a_redis_cluster_are_spoken_to_in_one_way() {
        let seeds = ["redis://:p@h1:6379", "redis://:p@h2:7000"].map(str::to_owned).to_vec();
        assert!(Site::parse("redis+cluster://:p@h1,h2:7000/0") == Ok(Site::Cluster { seeds }));
    }

    #[test]
    fn what_means_nothing_is_said() {
        let many = format!("redis+cluster://{}", vec!["h"; 17].join(","));
        for (text, why) in [
            ("redis+sentinel://h:26379", "no master"),
            ("redis+sentinel://h/a b", "no master"),
            ("redis+sentinel://h/m/first", "no number"),
            ("redis+sentinel://h/m?master=x", "neither sentinel_username"),
            ("redis+sentinel://h/m#x", "behind #"),
            ("redis+sentinel:///m", "host that is none"),
            ("redis+cluster://h1,,h2", "host that is none"),
            ("redis+cluster://h:port", "host that is none"),
            ("redis+cluster://h/1", "none but 0"),
            ("redis+cluster://h?x=1", "behind ?"),
            ("redis+sentinels://h/m", "no redis, rediss or unix"),
            (&many, "more than 16"),
        ] {
            let error = Site::parse(text).err().unwrap_or_default();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
