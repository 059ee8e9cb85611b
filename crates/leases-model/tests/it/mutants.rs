//! Every mistake is found, and by the promise that it breaks: what lets one of them pass proves nothing.

use lychgate_leases_model::bounds::{Bounds, Fault};
use lychgate_leases_model::mutant::Mutant;
use lychgate_leases_model::promise;
use lychgate_leases_model::protocol::Protocol;
use stateright::{Checker, HasDiscoveries, Model};

/// The promise that must be refuted.
fn broken_by(mutant: Mutant) -> &'static str {
    match mutant {
        Mutant::AcquireIgnoresTombstones | Mutant::AssertIgnoresTombstones | Mutant::ReleaseLeavesNoTombstone => {
            promise::NOT_REVIVED
        }
        Mutant::ClosesWhenItCannotRenew => promise::CLOSED_BY_TOMBSTONE,
        Mutant::RefusesWhenUnknown => promise::DARK_IS_HARMLESS,
        Mutant::NoGenerationInScripts
        | Mutant::AdmitsUnsettled
        | Mutant::SettledByTheTableAlone
        | Mutant::FailoverKeepsTheGeneration => promise::NOT_OVER_THE_LIMIT,
        Mutant::TrustsItsOwnClock | Mutant::DeclaresDeadOnReturn | Mutant::ReturnsUnderTheOldIncarnation => {
            promise::NOT_BURIED_ALIVE
        }
        Mutant::SwapInTwoSteps | Mutant::LateSwapTakesAnyway => promise::TAKEN_FOR_A_NEWCOMER,
        Mutant::SwapOfOneVictim => promise::ADMITS,
        Mutant::AsksTwiceUnderOneLease => promise::NODES_KEEP_THE_LIMIT,
        Mutant::TrustsAnswersOfBeforeTheLoss
        | Mutant::FencedByTheOldIdAlone
        | Mutant::CallerTellsTheVictim
        | Mutant::LostSubscriptionIgnored
        | Mutant::AssertsBeforeItSubscribes
        | Mutant::FenceBeforeGrantIgnored
        | Mutant::ForgetsTheDeparted
        | Mutant::TimedOutNotReleased
        | Mutant::LocalNotAsserted => promise::CONVERGES,
    }
}

/// Mistakes that need other sessions than one on each of two nodes, or are quicker to find with one kind of fault.
const SPECIAL: [(Mutant, &[u8], Fault); 3] = [
    (Mutant::SwapOfOneVictim, &[0, 1, 0], Fault::Late),
    (Mutant::AsksTwiceUnderOneLease, &[0, 0], Fault::Late),
    (Mutant::FencedByTheOldIdAlone, &[0, 1], Fault::Stop),
];

fn bounds(mutant: Mutant) -> Bounds {
    let special = SPECIAL.into_iter().find(|(of, ..)| *of == mutant);
    special.map_or_else(
        || Bounds::new(&[0, 1], 1, 1),
        |(_, owners, fault)| Bounds::new(owners, 1, 1).with_faults(&[fault]),
    )
}

#[test]
fn every_promise_has_a_mistake_that_breaks_it() {
    for promise in promise::PROMISES {
        assert!(Mutant::ALL.into_iter().any(|mutant| broken_by(mutant) == promise), "{promise}");
    }
}

#[test]
fn every_mistake_is_found_by_the_promise_that_it_breaks() {
    let mut survivors = Vec::new();
    for mutant in Mutant::ALL {
        let wanted = broken_by(mutant);
        let model = Protocol::with_mutant(bounds(mutant), mutant);
        let checker = model.checker().finish_when(HasDiscoveries::AllOf([wanted].into())).spawn_bfs().join();
        match checker.discovery(wanted) {
            Some(path) => println!("{mutant:?}: {wanted}: {:?}", path.into_actions()),
            None => survivors.push(mutant),
        }
    }
    assert_eq!(survivors, [], "these were not found in any state");
}
