//! `[websocket]`: bounds of the WebSocket layer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Fault, in_range, not_zero};
use super::value::Span;

/// `[websocket]`
#[derive(Clone, Debug)]
pub struct WebSocket {
    /// From upgrade to identity and `hello`. Default 5 s.
    pub hello_timeout: Duration,
    /// A message from a client, in bytes, over all its fragments; the body of an HTTP request too. Default 262,144; 1,024 to 16,777,216.
    pub max_message_bytes: usize,
    /// Fragments of one message. Default 128, at least 1.
    pub max_fragments: usize,
    /// Protocol pings from a client per second, sustained; beyond it the socket is closed. Default 10, at least 1.
    pub max_pings_per_second: u32,
    /// Bad frames in a row of a client before 4500. Default 8, at least 1.
    pub max_bad_frames: u32,
    /// Unacknowledged events per connection and thread. Default 512, at least 1.
    pub window: u64,
    /// Bytes that wait for the kernel per connection before events stop. Default 65,536, at least 4,096.
    pub outbox_bytes: usize,
    /// From our close frame to tearing the socket down. Default 2 s.
    pub close_timeout: Duration,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawWebSocket {
    hello_timeout: Span,
    max_message_bytes: usize,
    max_fragments: usize,
    max_pings_per_second: u32,
    max_bad_frames: u32,
    window: u32,
    outbox_bytes: usize,
    close_timeout: Span,
}

impl RawWebSocket {
    pub(super) fn check(&self) -> Result<WebSocket, Fault> {
        not_zero("websocket.hello_timeout", self.hello_timeout.0)?;
        in_range("websocket.max_message_bytes", self.max_message_bytes, 1_024, 16_777_216)?;
        in_range("websocket.max_fragments", self.max_fragments, 1, usize::MAX)?;
        in_range("websocket.max_pings_per_second", self.max_pings_per_second as usize, 1, usize::MAX)?;
        in_range("websocket.max_bad_frames", self.max_bad_frames as usize, 1, usize::MAX)?;
        in_range("websocket.window", self.window as usize, 1, usize::MAX)?;
        in_range("websocket.outbox_bytes", self.outbox_bytes, 4_096, usize::MAX)?;
        not_zero("websocket.close_timeout", self.close_timeout.0)?;
        Ok(WebSocket {
            hello_timeout: self.hello_timeout.0,
            max_message_bytes: self.max_message_bytes,
            max_fragments: self.max_fragments,
            max_pings_per_second: self.max_pings_per_second,
            max_bad_frames: self.max_bad_frames,
            window: u64::from(self.window),
            outbox_bytes: self.outbox_bytes,
            close_timeout: self.close_timeout.0,
        })
    }
}
