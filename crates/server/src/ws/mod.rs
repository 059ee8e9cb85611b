//! WebSocket connections: the upgrade, frames, and one light task per connection.
//!
//! ```text
//!  listener ─► upgrade ─► Connection (one task)
//!                           │  waits for the socket, holding no buffer
//!                           │  reads into a buffer of its thread ─► inbox ─► Handler callbacks, corked
//!                           └─ writes what waits in the Outbox when the kernel takes more
//! ```
//!
//! Everything here is RFC 6455 and nothing above it: what a message means is the [`Handler`]'s business.

pub mod chat;
mod close_code;
mod connection;
pub mod endpoint;
mod handler;
mod inbox;
pub mod upgrade;
mod violation;

pub use connection::Connection;
pub use handler::{Ending, Handler};
pub use upgrade::{Rejection, Upgrade};
pub use violation::Violation;
