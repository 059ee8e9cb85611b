//! The socket below an outbox, in the clear or under TLS, with one promise: what it takes, the kernel has.
//!
//! ```text
//!  plain:  bytes ─► kernel
//!  TLS:    bytes ─► encrypted, bounded ─► kernel        "would block" until all of it is there; then the same bytes,
//!                      └─ owed: taken by us, not told      offered again, are taken without being encrypted again
//! ```
//!
//! So everything above can count on it: a ping is written when the kernel has it (hazard R30), what waits is counted once,
//! and an idle connection holds neither its frames nor their ciphertext. What the kernel took of a batch that is not all
//! there is told apart: a slow link that moves is not one that stands.

use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that are encrypted before the kernel has them: what a cork gathers leaves as one batch of records (hazard R24:
/// the library's own default is no bound that fits a node with many connections).
const ENCRYPTED_BYTES: usize = 64 * 1024;

/// A connected socket, in the clear or under TLS.
#[derive(Debug)]
pub enum Transport {
    /// Straight to the kernel.
    #[doc(hidden)]
    Plain(TcpStream),
    /// In a box, so that a connection in the clear does not pay for it.
    #[doc(hidden)]
    Tls(Box<Tls>),
}

/// TLS on a socket; its handshake is done.
#[derive(Debug)]
pub struct Tls {
    socket: TcpStream,
    session: ServerConnection,
    /// Of what is offered next, so many bytes are encrypted already and wait for the kernel.
    owed: usize,
    /// Ciphertext that the kernel has taken since the beginning.
    moved: u64,
    /// How much of it before that of `owed`.
    moved_before: u64,
}

impl From<TcpStream> for Transport {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket)
    }
}

impl Transport {
    /// After a handshake.
    #[must_use]
    pub fn tls(socket: TcpStream, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(ENCRYPTED_BYTES));
        Self::Tls(Box::new(Tls { socket, session, owed: 0, moved: 0, moved_before: 0 }))
    }

    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &tls.socket,
        }
    }

    /// Bytes of the next ones to be offered that can no longer be taken back: part of them may have left.
    pub(super) fn owed(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(tls) => tls.owed,
        }
    }

    /// Of those bytes, how many the kernel has all the same, as nearly as can be said of ciphertext.
    pub(super) fn left(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(tls) => usize::try_from(tls.moved - tls.moved_before).unwrap_or(usize::MAX).min(tls.owed),
        }
    }

    /// Grows whenever the kernel takes bytes, also of what cannot be told as taken yet; where there is no such thing it
    /// stays.
    pub(super) fn moved(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(tls) => tls.moved,
        }
    }

    /// Hands over as much as the kernel takes now. After `WouldBlock` the same bytes come first again.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write(bytes),
            Self::Tls(tls) => tls.write(&[IoSlice::new(bytes)]),
        }
    }

    /// As [`Self::try_write`], from several places.
    pub(super) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write_vectored(slices),
            Self::Tls(tls) => tls.write(slices),
        }
    }

    /// Has the kernel take what TLS itself has to say, such as the rest of a handshake; wakes the task when it can go on.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => loop {
                match tls.flush() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(tls.socket.poll_write_ready(cx))?,
                    done => return Poll::Ready(done),
                }
            },
        }
    }

    /// Reads into `buffer`; 0 means that the peer will send nothing more.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => {
                let mut buffer = ReadBuf::new(buffer);
                Pin::new(socket).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
            }
            Self::Tls(tls) => tls.poll_read(cx, buffer),
        }
    }

    /// Reads what has come, without waiting; nothing where that fails, too. It asks the kernel and not the runtime, which may
    /// be stuck.
    pub(super) fn read_now(&mut self, buffer: &mut [u8]) -> usize {
        match self {
            Self::Plain(socket) => (&*SockRef::from(&*socket)).read(buffer).unwrap_or(0),
            Self::Tls(tls) => tls.read_now(buffer),
        }
    }

    /// Tells the peer that nothing follows, if the kernel takes it at once. Only for a peer that is there: nobody takes
    /// leave of a dead one (hazard R29).
    pub(super) fn take_leave(&mut self) {
        match self {
            Self::Plain(_) => {}
            Self::Tls(tls) => {
                tls.session.send_close_notify();
                // The end of the TCP connection says the same.
                let _ = tls.flush();
            }
        }
    }
}

impl Tls {
    fn read_now(&mut self, buffer: &mut [u8]) -> usize {
        let mut socket = &*SockRef::from(&self.socket);
        // What was decrypted before comes first; more than one read of records no answer to a question takes.
        let _ = self.session.read_tls(&mut socket).map(|_| self.session.process_new_packets());
        self.session.reader().read(buffer).unwrap_or(0)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush()?;
        if self.owed == 0 {
            self.moved_before = self.moved;
            self.owed = self.session.writer().write_vectored(slices)?;
            self.flush()?;
        }
        Ok(std::mem::take(&mut self.owed))
    }

    /// Hands what is encrypted to the kernel; `WouldBlock` if it does not take all of it.
    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Kernel(&self.socket))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.moved += count as u64,
            }
        }
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // No close_notify came: many clients just go. Nothing that was sent is missing a frame's end unnoticed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(0)),
                done => return Poll::Ready(done),
            }
            ready!(self.socket.poll_read_ready(cx))?;
            match self.session.read_tls(&mut Kernel(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error)),
            }
            if let Err(error) = self.session.process_new_packets() {
                // The alert that says why.
                let _ = self.flush();
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
    }
}

/// A socket that never waits, as the library wants it.
struct Kernel<'a>(&'a TcpStream);

impl Read for Kernel<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Kernel<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
