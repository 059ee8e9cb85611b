//! `[server]`: listeners, environment, drain.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Fault, in_range, not_zero};
use super::value::Span;

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Where browsers connect. Default 127.0.0.1:8787.
    pub listen: SocketAddr,
    /// Health, metrics and publications. Default 127.0.0.1:8788.
    pub admin_listen: SocketAddr,
    /// The origin under which browsers reach `listen`, such as `https://chat.example.org`; none where nobody logs in.
    pub public_url: Option<PublicUrl>,
    /// development, production or test: sets the interval of the reaper's sweeps. Default production.
    pub environment: Environment,
    /// How long runs may go on after SIGTERM. Default 10 s.
    pub drain_timeout: Duration,
    /// Connections from one address (IPv6: /64); the newest wins. Default 100, at least 1.
    pub max_connections_per_address: usize,
    /// Per cent of the process's descriptor limit that connections may take. Default 80, 1 to 100.
    pub max_descriptor_percent: usize,
    /// Sockets that have not said who they are, at most. Default 4,096: a cold start of thousands of tabs is no attack. At least 1.
    pub max_unidentified: usize,
    /// From accept to the end of the request's header. Default 5 s, never zero (hazard R22).
    pub header_timeout: Duration,
}

/// The address of a listener as browsers see it: scheme, host and port, in the spelling of an `Origin` header. It is
/// https, or http on loopback, because a login's cookie travels nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Reads what an operator wrote; a slash at its end does not matter.
    ///
    /// # Errors
    /// None, where it is no address, has more than an origin, or would send cookies in the clear.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = reqwest::Url::parse(text).ok()?;
        let is_origin = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        (is_origin && is_anonymous && is_safe(&url)).then(|| Self(url.origin().ascii_serialization()))
    }

    /// That of a listener on this machine.
    #[must_use]
    pub fn of_loopback(listen: SocketAddr) -> Self {
        Self(format!("http://{listen}"))
    }

    /// As browsers spell it, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether nobody on the way can read or change what is said there.
pub(super) fn is_safe(url: &reqwest::Url) -> bool {
    let is_loopback = |host: &str| {
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    };
    match url.scheme() {
        "https" => url.has_host(),
        "http" => url.host_str().is_some_and(is_loopback),
        _ => false,
    }
}

/// Which profile of reaper intervals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Sweeps every 60 s.
    Development,
    /// Sweeps every 120 s.
    #[default]
    Production,
    /// Sweeps every second.
    Test,
}

impl Environment {
    /// How often background reclaim repeats, unless `limits.reclaim_interval` is set.
    #[must_use]
    pub fn reclaim_interval(self) -> Duration {
        match self {
            Self::Development => Duration::from_secs(60),
            Self::Production => Duration::from_secs(120),
            Self::Test => Duration::from_secs(1),
        }
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawServer {
    listen: String,
    admin_listen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<String>,
    pub(super) environment: Environment,
    drain_timeout: Span,
    max_connections_per_address: usize,
    max_descriptor_percent: usize,
    max_unidentified: usize,
    header_timeout: Span,
}

impl RawServer {
    pub(super) fn check(&self) -> Result<Server, Fault> {
        let listen = address("server.listen", &self.listen)?;
        let admin_listen = address("server.admin_listen", &self.admin_listen)?;
        if listen == admin_listen && listen.port() != 0 {
            return Err(Fault::against("server.admin_listen", "must not be the same as", "server.listen"));
        }
        in_range("server.max_connections_per_address", self.max_connections_per_address, 1, usize::MAX)?;
        in_range("server.max_descriptor_percent", self.max_descriptor_percent, 1, 100)?;
        in_range("server.max_unidentified", self.max_unidentified, 1, usize::MAX)?;
        not_zero("server.header_timeout", self.header_timeout.0)?;
        Ok(Server {
            listen,
            admin_listen,
            public_url: self.public_url.as_deref().map(public_url).transpose()?,
            environment: self.environment,
            drain_timeout: self.drain_timeout.0,
            max_connections_per_address: self.max_connections_per_address,
            max_descriptor_percent: self.max_descriptor_percent,
            max_unidentified: self.max_unidentified,
            header_timeout: self.header_timeout.0,
        })
    }
}

fn public_url(text: &str) -> Result<PublicUrl, Fault> {
    PublicUrl::parse(text).ok_or_else(|| {
        Fault::value(
            "server.public_url",
            format!("is {text:?}, which is no address that browsers may log in at"),
            "Write scheme, host and port and nothing after them: https, such as \"https://chat.example.org\", or http on \
             loopback, such as \"http://localhost:8787\".",
        )
    })
}

fn address(key: &str, text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        Fault::value(
            key,
            format!("is {text:?}, which is no address with a port"),
            "Write an IP address and a port, such as \"127.0.0.1:8787\", \"0.0.0.0:8787\" or \"[::]:8787\".",
        )
    })
}
