//! For whom a trusted proxy sent a request: the header of its choice, read from the right.
//!
//! ```text
//!  X-Forwarded-For: 203.0.113.9 (said by the client, may be a lie), 198.51.100.7, 10.0.0.2
//!                                                      the client --^        ^-- a proxy of ours
//! ```
//!
//! Every proxy appends whom it heard the request from. So the rightmost address that is no proxy of ours is the only one
//! that somebody trustworthy vouches for; whatever stands left of it anybody may have made up.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use crate::config::{ForwardedHeader, Server};

/// Hops that are looked at: no chain of proxies of ours is longer.
const MAX_HOPS: usize = 16;

/// The client's address; none where the header names none, so that the request is the proxy's own.
pub(super) fn client(headers: &HeaderMap, server: &Server) -> Option<IpAddr> {
    let (name, read): (HeaderName, fn(&str) -> Option<IpAddr>) = match server.forwarded_header {
        ForwardedHeader::XForwardedFor => (HeaderName::from_static("x-forwarded-for"), address),
        ForwardedHeader::Forwarded => (FORWARDED, forwarded_for),
    };
    let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("")).collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(',')).take(MAX_HOPS);
    let mut nearest = None;
    for hop in hops {
        // What cannot be read hides whoever is behind it: the last one that somebody vouched for counts.
        let Some(address) = read(hop.trim()) else { break };
        nearest = Some(address);
        if !server.trusts(address) {
            break;
        }
    }
    nearest
}

/// One hop of `Forwarded` (RFC 7239, section 4): `for="[2001:db8::1]:4711";proto=https`. An obfuscated name is none.
fn forwarded_for(hop: &str) -> Option<IpAddr> {
    hop.split(';')
        .find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            name.trim().eq_ignore_ascii_case("for").then_some(value)
        })
        .and_then(|value| address(value.trim().trim_matches('"')))
}

/// An address, with a port or without, IPv6 in brackets or not.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests;
