//! The ways in which a client leaves, most of them rude, and the ways in which it stays without being there.

use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Raw;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{Client, PATIENCE, Trouble};

impl Client {
    /// Behaves like a frozen page from now on: the protocol's pongs still go out while it is read, `ack` does not.
    pub fn freeze(&mut self) {
        self.is_frozen = true;
    }

    /// Falls silent: it goes on reading, but nothing that it says leaves any more, so that a plan still sees what a dead
    /// tab was told. To the gateway it is a peer whose kernel acknowledges bytes and who never answers.
    pub fn mute(&mut self) {
        self.socket.get_mut().set_mute(true);
    }

    /// Whether it is mute.
    #[must_use]
    pub fn is_mute(&self) -> bool {
        self.socket.get_ref().is_mute()
    }

    /// Speaks again after [`Self::mute`] or [`Self::freeze`]: the pings that came meanwhile are answered now, as by a
    /// laptop whose lid was opened. An `ack` that is owed leaves with the next read.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn wake(&mut self) -> Result<(), Trouble> {
        self.socket.get_mut().set_mute(false);
        self.is_frozen = false;
        match self.unanswered.take() {
            Some(payload) => self.say_raw(Raw::Pong(payload)).await,
            None => Ok(()),
        }
    }

    /// Never answers a close from now on.
    pub fn hang(&mut self) {
        self.hangs = true;
    }

    /// Closes with a code and waits for the handshake to end.
    ///
    /// # Errors
    /// [`Trouble::Mute`] where the gateway does not answer the close within [`PATIENCE`].
    pub async fn close(mut self, code: u16) -> Result<(), Trouble> {
        let close = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        let handshake = async {
            self.socket.close(Some(close)).await.map_err(Trouble::from)?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok(())
        };
        timeout(PATIENCE, handshake).await.unwrap_or(Err(Trouble::Mute(PATIENCE)))
    }

    /// Tears the connection down with RST, as a crashed process behind a strict firewall would.
    ///
    /// # Errors
    /// Those of setting the linger time.
    pub fn reset(self) -> Result<(), Trouble> {
        self.socket.get_ref().stream().set_zero_linger().map_err(Trouble::Io)
    }

    /// Sends FIN without a close frame; the other direction stays open and can be read.
    ///
    /// # Errors
    /// Those of `shutdown`.
    pub async fn half_close(&mut self) -> Result<(), Trouble> {
        self.socket.get_mut().shutdown().await.map_err(Trouble::Io)
    }

    /// Falls silent for good: the socket stays open, neither pings nor closes are answered any more.
    #[must_use]
    pub fn silence(self) -> Silent {
        Silent { _stream: self.socket.into_inner().into_stream() }
    }
}

/// A socket that is open and says nothing. Dropping it sends FIN, or RST where unread bytes wait.
#[derive(Debug)]
pub struct Silent {
    /// Held, never read.
    _stream: TcpStream,
}
