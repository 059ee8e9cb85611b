//! The PROXY protocol, version 2: the first bytes of a connection, in which a proxy says for whom it is.
//!
//! ```text
//!  signature (12)  version, command  family  length (2)  addresses and extensions (length)
//!  0d 0a 0d 0a ..  2x                xx      n n         at most 520 bytes
//! ```
//!
//! Source: the protocol's own text, "The PROXY protocol, versions 1 & 2", section 2.2.

use std::io;
use std::net::SocketAddr;

use ppp::v2::{Addresses, Command, Header};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The fixed part: signature, command, family, length.
const FIXED_BYTES: usize = 16;

/// The signature, which no HTTP request and no TLS handshake begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header that is read, the fixed part included: every address family and room for extensions (hazard R31).
pub const MAX_HEADER_BYTES: usize = 536;

/// For whom a proxy opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBehalfOf {
    /// For itself, as for a health check (command LOCAL).
    Itself,
    /// For the client at this address.
    Client(SocketAddr),
    /// For somebody whom it does not name (command PROXY, and no address of TCP): anybody who could reach it.
    Somebody,
}

/// Why a connection of a proxy is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyFault {
    /// It ended before it began, as that of a balancer which only looks whether the port is open.
    #[error("the connection ended before it said anything")]
    Silent,
    /// It begins with something else.
    #[error("the connection does not begin with a PROXY header, version 2")]
    Missing,
    /// The header says that it is longer.
    #[error("the PROXY header says that {0} bytes follow; at most {most} are read", most = MAX_HEADER_BYTES - FIXED_BYTES)]
    TooLong(usize),
    /// It is not one.
    #[error("the PROXY header is malformed: {0}")]
    Malformed(ppp::v2::ParseError),
    /// The connection ended before.
    #[error("the connection ended within the PROXY header: {0}")]
    Cut(#[from] io::Error),
}

/// Reads the header and not one byte more. Answers for whom the connection is.
pub(super) async fn read_header<S>(stream: &mut S) -> Result<OnBehalfOf, ProxyFault>
where
    S: AsyncRead + Unpin,
{
    let mut bytes = [0; MAX_HEADER_BYTES];
    // First the signature alone: who begins with something else may have said all that he has to say.
    let begun = match stream.read(&mut bytes[..SIGNATURE.len()]).await {
        Ok(0) | Err(_) => return Err(ProxyFault::Silent),
        Ok(begun) => begun,
    };
    stream.read_exact(&mut bytes[begun..SIGNATURE.len()]).await?;
    if bytes[..SIGNATURE.len()] != *SIGNATURE {
        return Err(ProxyFault::Missing);
    }
    stream.read_exact(&mut bytes[SIGNATURE.len()..FIXED_BYTES]).await?;
    let length = usize::from(u16::from_be_bytes([bytes[FIXED_BYTES - 2], bytes[FIXED_BYTES - 1]]));
    let rest = bytes.get_mut(FIXED_BYTES..FIXED_BYTES + length).ok_or(ProxyFault::TooLong(length))?;
    stream.read_exact(rest).await?;
    parse_header(&bytes[..FIXED_BYTES + length]).map_err(ProxyFault::Malformed)
}

/// Whom a whole header names.
///
/// # Errors
/// It is no header.
pub fn parse_header(bytes: &[u8]) -> Result<OnBehalfOf, ppp::v2::ParseError> {
    let header = Header::try_from(bytes)?;
    Ok(match (header.command, header.addresses) {
        (Command::Local, _) => OnBehalfOf::Itself,
        (Command::Proxy, Addresses::IPv4(ip)) => OnBehalfOf::Client((ip.source_address, ip.source_port).into()),
        (Command::Proxy, Addresses::IPv6(ip)) => OnBehalfOf::Client((ip.source_address, ip.source_port).into()),
        (Command::Proxy, Addresses::Unix(_) | Addresses::Unspecified) => OnBehalfOf::Somebody,
    })
}

#[cfg(test)]
mod tests;
