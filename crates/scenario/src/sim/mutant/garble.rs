//! What a mutant says: less, twice, something else, or to somebody else.

use lychgate_core::{
    AdmissionPath, BreakerState, Cause, Event, EvictReason, Eviction, Evidence, Input, Manner, Output, ReclaimLevel,
};

use super::{Fault, Mutant};

impl Mutant {
    /// The output as the mutant says it; it may say more in `extra`.
    pub(super) fn say(&mut self, output: Output) -> Option<Output> {
        self.note(&output);
        let output = match &mut self.teller {
            Some(teller) => teller.correct(self.now, output)?,
            None => output,
        };
        let Some(fault) = self.fault else { return Some(output) };
        match (fault, output) {
            (Fault::ForgetsARelease, Output::Event(Event::SessionReleased { .. }))
            | (Fault::TellsNoPosition, Output::Queued { .. })
            | (Fault::TellsNoBand, Output::Limit { .. })
            | (Fault::EvictsInSilence, Output::Closed { reason: EvictReason::MadeRoom, .. }) => None,
            (Fault::TellsAPositionOnce, Output::Queued { .. }) if self.tells_again => None,
            (Fault::ReleasesTwice, released @ Output::Event(Event::SessionReleased { .. })) => {
                self.extra.push_back(released.clone());
                Some(released)
            }
            (Fault::ClosesTwice, close @ Output::CloseSocket { .. }) => {
                self.extra.push_back(close.clone());
                Some(close)
            }
            (Fault::ClosesPolitelyForEver, Output::CloseSocket { user, connection, reason, .. }) => {
                Some(Output::CloseSocket { user, connection, reason, manner: Manner::Handshake })
            }
            (
                Fault::BlamesTheLoser,
                Output::CloseSocket { user, connection, reason: EvictReason::Superseded, manner },
            ) => Some(Output::CloseSocket { user, connection, reason: EvictReason::MadeRoomForConnection, manner }),
            (Fault::TakesOverStrangers, Output::Event(Event::Connected { user, connection, superseded: None })) => {
                let stranger = self.seen.iter().find(|(other, _)| *other != user).map(|(_, id)| *id);
                Some(Output::Event(Event::Connected { user, connection, superseded: stranger }))
            }
            (Fault::MixesUsersUp, Output::Closed { key, connection, reference, reason, session_ended, eviction }) => {
                let stranger = self.seen.iter().find(|(other, _)| other != key.user());
                let connection = stranger.map_or(connection, |(_, id)| *id);
                Some(Output::Closed { key, connection, reference, reason, session_ended, eviction })
            }
            (Fault::EvictsWhenALimitFalls, Output::Event(Event::SessionReleased { key, .. })) if self.falls => {
                let eviction = Eviction { level: ReclaimLevel::Force, evidence: Evidence::default() };
                let cause = Cause::Pressure;
                Some(Output::Event(Event::SessionEvicted { key, reason: EvictReason::MadeRoom, eviction, cause }))
            }
            (
                Fault::GuessesLockouts,
                Output::Event(Event::SessionCreated { key, connection, path, waited, was_full: _ }),
            ) => {
                let was_full = !matches!(path, AdmissionPath::Free | AdmissionPath::Shadow);
                Some(Output::Event(Event::SessionCreated { key, connection, path, waited, was_full }))
            }
            (_, output) => Some(output),
        }
    }

    /// Remembers what faults need.
    fn note(&mut self, output: &Output) {
        match output {
            Output::Opened { context, reference, .. } => {
                self.queued.remove(&(context.connection(), reference.clone()));
                self.opened.retain(|(key, _)| key != context.key());
                self.opened.push((context.key().clone(), context.connection()));
            }
            Output::Queued { key, connection, reference, .. } => {
                self.tells_again = !self.queued.insert((*connection, reference.clone()));
                if self.is(Fault::ForgetsAWaiter) {
                    let (user, thread) = (key.user().clone(), key.thread().clone());
                    self.injected.push(Input::Leave { user, connection: *connection, thread });
                }
            }
            Output::Event(Event::Breaker { state, .. }) => self.breaker_is_open = *state != BreakerState::Closed,
            Output::Connected { .. }
            | Output::Closed { .. }
            | Output::Detached { .. }
            | Output::Refused { .. }
            | Output::Ping { .. }
            | Output::CloseSocket { .. }
            | Output::Limit { .. }
            | Output::Expiring { .. }
            | Output::Wish(_)
            | Output::Event(_) => {}
        }
    }
}
