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

/// Reads one hop.
type ReadHop = fn(&[u8]) -> Option<IpAddr>;

/// The client's address; none where the header names none, so that the request is the proxy's own.
pub(super) fn client(headers: &HeaderMap, server: &Server) -> Option<IpAddr> {
    let (name, read): (HeaderName, ReadHop) = match server.forwarded_header {
        ForwardedHeader::XForwardedFor => (HeaderName::from_static("x-forwarded-for"), address),
        ForwardedHeader::Forwarded => (FORWARDED, forwarded_for),
    };
    let lines = headers.get_all(name).iter().rev();
    let hops = lines.flat_map(|line| from_the_right(line.as_bytes(), b',')).take(MAX_HOPS);
    let mut nearest = None;
    for hop in hops {
        // What cannot be read hides whoever is behind it: the last one that somebody vouched for counts.
        let Some(address) = read(hop) else { break };
        nearest = Some(address);
        if !server.trusts(address) {
            break;
        }
    }
    nearest
}

/// The pieces of a line, the rightmost first. A separator in a quoted string is none (RFC 9110, section 5.6.4): a proxy
/// quotes what the client chose, such as his `Host`.
///
/// From the right, too, so that nothing that the client wrote to the left of the proxy's word (a quote that never ends,
/// bytes that are no text) changes how that word is read.
fn from_the_right(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let mut is_quoted = false;
        let at = (0..line.len()).rev().find(|at| match line[*at] {
            b'"' if is_quoted && is_escaped(&line[..*at]) => false,
            b'"' => {
                is_quoted = !is_quoted;
                false
            }
            byte => byte == separator && !is_quoted,
        });
        let Some(at) = at else { return Some(line) };
        rest = Some(&line[..at]);
        Some(&line[at + 1..])
    })
}

/// Whether the byte after these stands for itself: an odd number of backslashes is before it.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// One hop of `Forwarded` (RFC 7239, section 4): `for="[2001:db8::1]:4711";proto=https`. An obfuscated name is none.
fn forwarded_for(hop: &[u8]) -> Option<IpAddr> {
    let values = from_the_right(hop, b';').filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&pair[..equals], pair[equals + 1..].trim_ascii());
        name.trim_ascii().eq_ignore_ascii_case(b"for").then_some(value)
    });
    let value = values.last()?;
    address(value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value))
}

/// An address, with a port or without, IPv6 in brackets or not.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests;
