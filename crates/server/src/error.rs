//! Why the program ends, whose fault it is, and the exit code that says so.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done; also when whoever read our output went away |
//! | 1 | something failed while running |
//! | 2 | the configuration or the command line has to be changed first |

use std::io;
use std::net::SocketAddr;

use crate::config::{ConfigError, Place};

/// An error that ends the program; its text fits on a screen and names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is not one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The command line asks for something that does not exist.
    #[error("{0}")]
    Usage(String),
    /// A listener did not come up.
    #[error("{place}: {key} = {address} cannot be listened on: {source}\n  {}", listen_remedy(key, source))]
    Listen {
        /// Where the address was set.
        place: Place,
        /// `server.listen` or `server.admin_listen`.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system denied something that we cannot do without: threads, descriptors, signals, random numbers.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The terminal client could not do what it was asked for.
    #[error("{0}")]
    Chat(String),
    /// Something else went wrong while running.
    #[error("{0}")]
    Failed(String),
    /// Whoever read our output has gone, as `head` does. Nothing is printed for it.
    #[error("the output was closed")]
    OutputClosed,
}

impl Error {
    /// A listener did not come up. The command line adds where the address was set ([`Error::located`]).
    #[must_use]
    pub fn listen(key: &'static str, address: SocketAddr, source: io::Error) -> Self {
        Self::Listen { place: Place::Default, key, address, source }
    }

    /// The same with the place where a key was set, if the error is about one.
    #[must_use]
    pub fn located(self, place_of: impl FnOnce(&str) -> Place) -> Self {
        match self {
            Self::Listen { key, address, source, .. } => Self::Listen { place: place_of(key), key, address, source },
            other @ (Self::Config(_)
            | Self::Usage(_)
            | Self::System { .. }
            | Self::Chat(_)
            | Self::Failed(_)
            | Self::OutputClosed) => other,
        }
    }

    /// What the process returns.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) | Self::Listen { .. } => 2,
            Self::System { .. } | Self::Chat(_) | Self::Failed(_) => 1,
            Self::OutputClosed => 0,
        }
    }
}

fn listen_remedy(key: &str, source: &io::Error) -> String {
    let variable = format!("LYCHGATE__{}", key.to_uppercase().replace('.', "__"));
    let first = match source.kind() {
        io::ErrorKind::AddrInUse => "Another process listens there: stop it, or choose another port",
        io::ErrorKind::AddrNotAvailable => "This machine has no such address: choose one that it has",
        io::ErrorKind::PermissionDenied => "Ports below 1024 need a privilege: choose a higher one",
        // The list of the standard library is open; its own text stands before this.
        _ => "Choose another address",
    };
    format!("{first}, with {key} in the file, {variable}, or --listen or --port where it was given.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_place_key_address_and_remedy() {
        let address = "127.0.0.1:8787".parse().unwrap();
        let error = Error::listen("server.listen", address, io::ErrorKind::AddrInUse.into());
        let error = error.located(|key| Place::Environment(format!("X_{key}")));
        let text = error.to_string();
        for part in [
            "environment variable X_server.listen: server.listen = 127.0.0.1:8787",
            "another port",
            "LYCHGATE__SERVER__LISTEN",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(error.exit_code(), 2);
    }
}
