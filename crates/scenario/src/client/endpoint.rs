//! Where a gateway is, and from which address a simulated user reaches it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, bail};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

/// A gateway's WebSocket address: resolved once, so that a storm does not measure a name server.
#[derive(Debug, Clone)]
pub struct Endpoint {
    address: SocketAddr,
    authority: String,
    path: String,
}

impl Endpoint {
    /// Reads `ws://HOST:PORT[/PATH]`; without a path it is `/v1/ws`. The port is 80 where none is given.
    ///
    /// # Errors
    /// For any other scheme (this client speaks plain text only) and for a host that does not resolve.
    pub fn parse(url: &str) -> anyhow::Result<Self> {
        let Some(rest) = url.strip_prefix("ws://").or_else(|| url.strip_prefix("http://")) else {
            bail!("{url} does not start with ws://; put a tunnel before a gateway that speaks TLS");
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, "")) => (authority, "/v1/ws".to_owned()),
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, "/v1/ws".to_owned()),
        };
        let with_port = match authority.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
            _ => format!("{authority}:80"),
        };
        let address = with_port
            .to_socket_addrs()
            .with_context(|| format!("{authority} does not resolve"))?
            .next()
            .with_context(|| format!("{authority} has no address"))?;
        Ok(Self { address, authority: authority.to_owned(), path })
    }

    /// The gateway that listens on a socket address.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address, authority: address.to_string(), path: "/v1/ws".to_owned() }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As it was given.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}{}", self.authority, self.path)
    }

    /// Host and port, as the `Host` header names them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The source address of the `n`th simulated user: one of the 16 million of 127.0.0.0/8, from 127.1.0.1 on, because
    /// a gateway bounds the connections of one address. A gateway elsewhere sees us as we are.
    #[must_use]
    pub fn source(&self, n: u32) -> Option<Ipv4Addr> {
        let loopback = matches!(self.address.ip(), IpAddr::V4(address) if address.is_loopback());
        let base = u32::from(Ipv4Addr::new(127, 1, 0, 1));
        loopback.then(|| Ipv4Addr::from(base + n % 0x00f0_0000))
    }

    /// Connects from `source`, or from wherever the system chooses.
    ///
    /// # Errors
    /// Those of `socket`, `bind` and `connect`.
    pub async fn dial(&self, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
        TcpSocket::from_std_stream(socket.into()).connect(self.address).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_means_the_gateways_own() {
        let endpoint = Endpoint::parse("ws://127.0.0.1:8787").unwrap();
        assert_eq!(endpoint.url(), "ws://127.0.0.1:8787/v1/ws");
        let endpoint = Endpoint::parse("ws://127.0.0.1:8787/chat/ws").unwrap();
        assert_eq!(endpoint.url(), "ws://127.0.0.1:8787/chat/ws");
    }

    #[test]
    fn tls_is_refused_in_words() {
        let error = Endpoint::parse("wss://127.0.0.1:8787").unwrap_err();
        assert!(error.to_string().contains("ws://"), "{error}");
    }

    #[test]
    fn every_user_comes_from_an_address_of_his_own() {
        let endpoint = Endpoint::parse("ws://127.0.0.1:1").unwrap();
        assert_eq!(endpoint.source(0), Some(Ipv4Addr::new(127, 1, 0, 1)));
        assert_eq!(endpoint.source(255), Some(Ipv4Addr::new(127, 1, 1, 0)));
        let elsewhere = Endpoint::parse("ws://192.0.2.1:1").unwrap();
        assert_eq!(elsewhere.source(0), None);
    }
}
