//! What the kernel knows of the bytes that it took: how many the peer's kernel has not acknowledged, and since when that
//! one has said nothing at all. That it took them says nothing of the peer (hazard R9).

#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "neither rustix nor socket2 reads TCP_INFO and SIOCOUTQ, and there is no safe call")
)]

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpStream;

/// One look at a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Bytes that were written and not acknowledged, sent or not.
    pub(super) bytes: u32,
    /// Whether the peer's kernel owes an answer: nothing came from it since data was last sent, or since it was last
    /// asked whether its window is open again. A peer that does not read owes none between two such questions, which
    /// may lie minutes apart, however much waits: its silence then is ours.
    pub(super) owes_answer: bool,
    /// Since the last acknowledgement of any kind, in the kernel's ticks of up to 10 ms.
    pub(super) silent_for: Duration,
}

/// Whether a write would find room now.
pub(super) fn takes_bytes(socket: &TcpStream) -> bool {
    let mut asked = [PollFd::new(socket, PollFlags::OUT)];
    let ready = poll(&mut asked, Some(&Timespec::default()));
    // A socket that is broken is "ready" as well.
    ready.is_ok() && asked[0].revents() == PollFlags::OUT
}

/// Looks; none where the kernel does not tell.
#[cfg(target_os = "linux")]
pub(super) fn look(socket: &TcpStream) -> Option<Look> {
    use std::mem::{size_of, zeroed};
    use std::os::fd::AsRawFd;

    let descriptor = socket.as_raw_fd();
    // SAFETY: `tcp_info` is a record of numbers, for which all zeroes is a value.
    let mut info: libc::tcp_info = unsafe { zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: the descriptor is open as long as the socket is borrowed, and the kernel writes at most `length` bytes,
    // which is the size of `info`; an older kernel writes fewer, and the rest stays zero.
    let told = unsafe {
        libc::getsockopt(descriptor, libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut length)
    };
    let mut waiting: libc::c_int = 0;
    // SAFETY: the descriptor is open as above, and SIOCOUTQ, which is TIOCOUTQ, writes one `int`.
    let counted = unsafe { libc::ioctl(descriptor, libc::TIOCOUTQ, &raw mut waiting) };
    (told == 0 && counted == 0).then(|| Look {
        bytes: waiting.max(0).unsigned_abs(),
        owes_answer: info.tcpi_probes > 0
            || (info.tcpi_unacked > 0 && info.tcpi_last_data_sent < info.tcpi_last_ack_recv),
        silent_for: Duration::from_millis(info.tcpi_last_ack_recv.into()),
    })
}

/// Only Linux tells.
#[cfg(not(target_os = "linux"))]
pub(super) fn look(_socket: &TcpStream) -> Option<Look> {
    None
}
