//! What systemd is told (sd_notify(3)): only where it asks, by the variable NOTIFY_SOCKET. `Type=notify-reload` is right for
//! this program.

use std::time::Duration;

use sd_notify::NotifyState;

/// Both listeners accept, or a reload is over.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "systemd is not told of the reload"),
    }
}

/// The node is being drained, and may take so long.
pub(super) fn stopping(within: Duration) {
    let micros = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
}

/// That we live, where systemd wants to hear it; `interval` is how often.
pub(super) fn watchdog() -> Option<Duration> {
    // Twice in the time after which it would kill us, as sd_watchdog_enabled(3) advises.
    sd_notify::watchdog_enabled().map(|within| within / 2)
}

/// We live.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Without systemd there is nobody to tell, and that is no error.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
