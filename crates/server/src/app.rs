//! (to come: assemble, bind, serve, drain)

use std::net::SocketAddr;

use crate::config::Config;
use crate::error::Error;

/// Where the listeners ended up.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// For browsers.
    pub listen: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
}

/// Serves until SIGTERM.
///
/// # Errors
/// [`Error`].
pub async fn serve(_config: Config, _ready: impl FnOnce(Ready) + Send) -> Result<(), Error> {
    Err(Error::Failed("this build has no listener yet".to_owned()))
}
