//! Logs simulated users in as people do: through an OpenID provider, with redirects and cookies.
//!
//! ```text
//! gateway /v1/login/live --302--> provider, as login_hint=USER --302--> gateway callback --cookie--> WebSocket
//! ```
//!
//! Gateways are told that browsers reach them as [`ORIGIN`]: the provider sends users back there, and the client takes the
//! path to whichever gateway it came from, as a proxy would.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::header::{COOKIE, HOST, LOCATION, SET_COOKIE};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::Credential;
use crate::client::endpoint::Endpoint;

/// Where browsers reach every gateway.
pub const ORIGIN: &str = "https://chat.example.test";

/// The gateway's name for the provider, which is a part of the address to come back to.
const NAME: &str = "live";

/// What the provider knows the gateway as.
const CLIENT: [&str; 2] = ["lychgate", "a secret between the gateway and its provider"];

/// From the first request of a login to its last.
const PATIENCE: Duration = Duration::from_secs(30);

/// A provider sends a user through a few of its own pages.
const MAX_REDIRECTS: usize = 10;

const MAX_BYTES: usize = 256 * 1024;

/// A provider that logs in whomever it is told to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    issuer: String,
    address: SocketAddr,
}

impl Provider {
    /// The one with this issuer, such as `http://127.0.0.1:4000`.
    ///
    /// # Errors
    /// It is not one on this machine.
    pub fn at(issuer: &str) -> anyhow::Result<Self> {
        let address = issuer.strip_prefix("http://").and_then(|rest| rest.parse().ok());
        let address = address.with_context(|| format!("{issuer} is not like http://127.0.0.1:4000"))?;
        Ok(Self { issuer: issuer.to_owned(), address })
    }

    /// What a gateway has to be told so that users log in here.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        let [id, secret] = CLIENT;
        let of_provider = |key: &str, value: &str| {
            (format!("LYCHGATE__LOGIN__PROVIDERS__{}__{key}", NAME.to_uppercase()), value.to_owned())
        };
        vec![
            ("LYCHGATE__SERVER__PUBLIC_URL".to_owned(), ORIGIN.to_owned()),
            // Whoever is logged in may also show a token.
            ("LYCHGATE__AUTH__SHARED_USERS".to_owned(), "true".to_owned()),
            of_provider("ISSUER_URL", &self.issuer),
            of_provider("CLIENT_ID", id),
            of_provider("CLIENT_SECRET", secret),
        ]
    }

    /// The whole way of one user, who comes from this address; what he shows from then on.
    ///
    /// # Errors
    /// When he is not logged in at its end, with where it went wrong.
    pub async fn log_in(&self, gateway: &Endpoint, source: Option<Ipv4Addr>, user: &str) -> anyhow::Result<Credential> {
        let way = timeout(PATIENCE, self.go(gateway, source, user)).await;
        way.context("no login within 30 s").and_then(|way| way).with_context(|| format!("{user} could not log in"))
    }

    async fn go(&self, gateway: &Endpoint, source: Option<Ipv4Addr>, user: &str) -> anyhow::Result<Credential> {
        let (mut ours, mut theirs) = (Cookies::default(), Cookies::default());
        let away = get(gateway.dial(source).await?, &format!("/v1/login/{NAME}"), &mut ours).await?;
        let mut next = format!("{}&login_hint={}", path(&away), encoded(user));
        for _ in 0..MAX_REDIRECTS {
            let to = get(TcpStream::connect(self.address).await?, &next, &mut theirs).await?;
            if let Some(back) = to.strip_prefix(ORIGIN) {
                get(gateway.dial(source).await?, back, &mut ours).await?;
                ensure!(ours.0.contains_key("__Host-lychgate"), "the way back gave no login");
                return Ok(Credential::Cookie { line: ours.line(), origin: ORIGIN.to_owned() });
            }
            next = path(&to).to_owned();
        }
        bail!("the provider sent him round in circles")
    }
}

/// Cookies of one browser at one place. Where on it they belong does not matter for a single login.
#[derive(Debug, Default)]
struct Cookies(BTreeMap<String, String>);

impl Cookies {
    fn line(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, set: &str) {
        if let Some((name, value)) = set.split(';').next().and_then(|pair| pair.split_once('=')) {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// Asks for a page that has to be a redirect; where to.
async fn get(stream: TcpStream, path: &str, cookies: &mut Cookies) -> anyhow::Result<String> {
    let address = stream.peer_addr()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::get(path).header(HOST, address.to_string()).header("connection", "close");
    if !cookies.0.is_empty() {
        request = request.header(COOKIE, cookies.line());
    }
    let request = request.body(Empty::<Bytes>::new())?;
    let answer = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        for set in parts.headers.get_all(SET_COOKIE) {
            cookies.keep(set.to_str()?);
        }
        if let Some(to) = parts.headers.get(LOCATION) {
            return Ok(to.to_str()?.to_owned());
        }
        let said = Limited::new(body, MAX_BYTES).collect().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        let at = path.split('?').next().unwrap_or_default();
        bail!("{at} answered {} and no redirect: {}", parts.status, String::from_utf8_lossy(&said.to_bytes()))
    };
    // A connection may end with the very bytes that answer: only the answer says how it went.
    let driven = async {
        let _ended = connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driven => match never {},
    }
}

/// Path and query of an address, wherever it is.
fn path(address: &str) -> &str {
    match address.split_once("://") {
        None => address,
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
    }
}

/// A value of a query, byte by byte.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_one_on_this_machine() {
        assert!(Provider::at("http://127.0.0.1:4000").is_ok());
        assert!(Provider::at("https://accounts.google.com").is_err());
    }

    #[test]
    fn the_path_of_an_address_is_taken_to_whichever_gateway_it_is() {
        assert_eq!(path("https://chat.example.test/v1/login/live/callback?code=1"), "/v1/login/live/callback?code=1");
        assert_eq!(path("/interaction/1"), "/interaction/1");
        assert_eq!(encoded("ü a"), "%C3%BC%20%61");
    }
}
