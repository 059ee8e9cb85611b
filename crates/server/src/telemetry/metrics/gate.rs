//! What the gate decided, counted.

use std::time::Duration;

use lychgate_core::{Cause, Event, EvictReason, PingOutcome, ReclaimLevel, Refusal};

use super::Metrics;
use super::words::{BY_ITSELF, REFUSED, SCOPES, WAIT, ping};

impl Metrics {
    /// Counts what the gate decided.
    pub fn on_event(&self, event: &Event) {
        let to = &self.instruments;
        match event {
            Event::SessionCreated { path, waited, was_full, .. } => {
                self.admitted(path.as_str(), *waited);
                if *was_full {
                    to.lockouts_prevented.inc();
                }
            }
            Event::SessionAttached { path, waited, .. } => self.admitted(path.as_str(), *waited),
            Event::SessionLingers { .. } => {}
            Event::SessionReleased { reason, .. } => to.sessions_ended.inc_of(&[reason.as_str()]),
            Event::SessionEvicted { reason, eviction, cause, .. } => {
                to.evictions.inc_of(&[eviction.level.as_str(), reason.as_str()]);
                if matches!(cause, Cause::OtherNode) {
                    to.cluster_sessions_taken.inc();
                }
            }
            Event::WouldEvict { eviction, .. } => to.shadow_verdicts.inc_of(&[eviction.level.as_str()]),
            Event::WouldWait { .. } => to.shadow_verdicts.inc_of(&[WAIT]),
            Event::Waiting { .. } => to.admissions_delayed.inc(),
            Event::Queued { .. } => to.queued.inc(),
            Event::Refused { thread, refusal, waited, .. } => {
                to.refusals.inc_of(&[refusal.as_str()]);
                // Where a connection was refused nobody asked for a session yet, and one that is not known is gone.
                if thread.is_some() && *refusal != Refusal::NotConnected {
                    self.admitted(REFUSED, *waited);
                }
            }
            Event::Pressure { usage, .. } => to.pressure_changes.inc_of(&[usage.level.as_str()]),
            Event::Repaired { .. } => to.repairs.inc(),
            Event::Reclaimed { level, freed, .. } => {
                to.cleanup_attempts.inc_of(&[level.as_str()]);
                if *freed > 0 {
                    to.cleanup_successes.inc_of(&[level.as_str()]);
                }
            }
            Event::ProbeFailed { .. } => to.cleanup_failures.inc_of(&[ReclaimLevel::Aggressive.as_str()]),
            Event::CloseUnconfirmed { level, .. } => {
                to.close_unconfirmed.inc();
                if let Some(level) = level {
                    to.cleanup_failures.inc_of(&[level.as_str()]);
                }
            }
            Event::Breaker { user, step, state } => {
                let [of_user, of_node] = SCOPES;
                let scope = if user.is_some() { of_user } else { of_node };
                to.breaker_moves.inc_of(&[scope, step.as_str(), state.as_str()]);
            }
            Event::Connected { .. } => to.connects.inc(),
            Event::Disconnected { reason, .. } => {
                to.disconnects.inc_of(&[reason.map_or(BY_ITSELF, EvictReason::as_str)]);
            }
            Event::Zombie { kind, evidence, .. } => {
                to.zombies.inc_of(&[kind.as_str()]);
                to.heartbeat_misses.add(u64::from(evidence.missed_pings) + u64::from(evidence.missed_probes));
            }
            Event::VerdictDisproved { kind, .. } => to.verdicts_disproved.inc_of(&[kind.as_str()]),
        }
    }

    fn admitted(&self, path: &str, waited: Duration) {
        self.instruments.admissions.inc_of(&[path]);
        self.instruments.admission_wait_seconds.observe_of(&[path], waited.as_secs_f64());
    }

    /// A connection was asked whether it is there.
    pub fn on_ping(&self, outcome: PingOutcome) {
        self.instruments.pings.inc_of(&[ping(outcome)]);
    }
}
