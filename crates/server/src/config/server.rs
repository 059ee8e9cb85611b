//! `[server]`: listeners, environment, drain.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::error::{Fault, in_range, not_zero};
use super::tls::{Occasion, RawAdminTls, RawTls, Tls};
use super::value::Span;

/// The longest chain of certificates and the slowest honest client need less.
const MAX_HANDSHAKE: Duration = Duration::from_secs(60);

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
    /// From the handshake, or from accept where there is none, to the end of the request's header. Default 5 s, never
    /// zero (hazard R22).
    pub header_timeout: Duration,
    /// From accept to the end of the PROXY header and of the TLS handshake together. Default 5 s, at most 60 s.
    pub handshake_timeout: Duration,
    /// Connects from one address (IPv6: /64) per second, sustained; twenty times as many at once. Default 50, at least 1.
    pub connects_per_second_per_address: NonZeroU32,
    /// Whether trusted proxies begin each connection with a PROXY protocol header, version 2. Default false.
    pub proxy_protocol: bool,
    /// Whose word about a client's address counts. Default nobody's.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which trusted proxies name the client. Default `x-forwarded-for`.
    pub forwarded_header: ForwardedHeader,
    /// Between two trials whether the node can deliver. Default 5 s, never zero; `/readyz` says what came of the last one.
    pub readiness_interval: Duration,
    /// TLS for users; none: plain, as behind a proxy that ends TLS.
    pub tls: Option<Tls>,
    /// TLS for operators, with their certificates where a CA is named.
    pub admin_tls: Option<Tls>,
}

impl Server {
    /// Whether this address is a proxy of ours, whose word about others counts.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }
}

/// The header that names the client behind a proxy. One and not both: a proxy passes on what it does not write itself,
/// and then the client could name any address that it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: client, proxy`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy` (RFC 7239).
    Forwarded,
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
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
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
    handshake_timeout: Span,
    connects_per_second_per_address: u32,
    proxy_protocol: bool,
    trusted_proxies: Vec<String>,
    forwarded_header: ForwardedHeader,
    readiness_interval: Span,
    tls: RawTls,
    admin_tls: RawAdminTls,
}

impl RawServer {
    pub(super) fn check(&self, occasion: Occasion) -> Result<Server, Fault> {
        let listen = address("server.listen", &self.listen)?;
        let admin_listen = address("server.admin_listen", &self.admin_listen)?;
        if listen == admin_listen && listen.port() != 0 {
            return Err(Fault::against("server.admin_listen", "must not be the same as", "server.listen"));
        }
        in_range("server.max_connections_per_address", self.max_connections_per_address, 1, usize::MAX)?;
        in_range("server.max_descriptor_percent", self.max_descriptor_percent, 1, 100)?;
        in_range("server.max_unidentified", self.max_unidentified, 1, usize::MAX)?;
        not_zero("server.header_timeout", self.header_timeout.0)?;
        not_zero("server.readiness_interval", self.readiness_interval.0)?;
        let trusted_proxies = self.trusted_proxies()?;
        Ok(Server {
            listen,
            admin_listen,
            public_url: self.public_url.as_deref().map(|text| public_url("server.public_url", text)).transpose()?,
            environment: self.environment,
            drain_timeout: self.drain_timeout.0,
            max_connections_per_address: self.max_connections_per_address,
            max_descriptor_percent: self.max_descriptor_percent,
            max_unidentified: self.max_unidentified,
            header_timeout: self.header_timeout.0,
            handshake_timeout: self.handshake_timeout()?,
            connects_per_second_per_address: self.connects_per_second_per_address()?,
            proxy_protocol: self.proxy_protocol,
            trusted_proxies,
            forwarded_header: self.forwarded_header,
            readiness_interval: self.readiness_interval.0,
            tls: self.tls.check(occasion)?,
            admin_tls: self.admin_tls.check(occasion)?,
        })
    }

    fn handshake_timeout(&self) -> Result<Duration, Fault> {
        let key = "server.handshake_timeout";
        not_zero(key, self.handshake_timeout.0)?;
        match self.handshake_timeout.0 {
            timeout if timeout <= MAX_HANDSHAKE => Ok(timeout),
            _ => {
                Err(Fault::value(key, "is longer than 60 s", "A handshake takes a few round trips; \"5s\" is plenty."))
            }
        }
    }

    fn connects_per_second_per_address(&self) -> Result<NonZeroU32, Fault> {
        NonZeroU32::new(self.connects_per_second_per_address).ok_or_else(|| {
            let remedy = "Write at least 1. A rate that nobody reaches, such as 1000000, limits nobody.";
            Fault::value("server.connects_per_second_per_address", "is 0, which nobody could come in with", remedy)
        })
    }

    fn trusted_proxies(&self) -> Result<Vec<IpNet>, Fault> {
        let key = "server.trusted_proxies";
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            let remedy = "Name the addresses of your proxies in server.trusted_proxies, such as [\"10.0.0.0/8\"].";
            return Err(Fault::value("server.proxy_protocol", "is true, but nobody is trusted to speak it", remedy));
        }
        let network = |text: &String| {
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| {
                let remedy = "Write addresses or networks, such as \"10.0.0.0/8\", \"192.0.2.7\" or \"fd00::/8\".";
                Fault::value(key, format!("holds {text:?}, which is no network"), remedy)
            })
        };
        self.trusted_proxies.iter().map(network).collect()
    }
}

pub(super) fn public_url(key: &str, text: &str) -> Result<PublicUrl, Fault> {
    PublicUrl::parse(text).ok_or_else(|| {
        Fault::value(
            key,
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
