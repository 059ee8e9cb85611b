//! Nodes and scripts that are wrong on purpose: the oracle is worth what it finds.

use super::oracle::Rule;

macro_rules! mistakes {
    ($($name:ident breaks $rule:ident: $says:literal),* $(,)?) => {
        /// What somebody got wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mistake {
            $(#[doc = concat!("It ", $says, ".")] $name,)*
        }

        impl Mistake {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The mistake in words.
            #[must_use]
            pub fn says(self) -> &'static str {
                match self {
                    $(Self::$name => $says,)*
                }
            }

            /// The promise that it breaks.
            #[must_use]
            pub fn breaks(self) -> Rule {
                match self {
                    $(Self::$name => Rule::$rule,)*
                }
            }

            /// Its name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

mistakes! {
    LeavesNoTombstone breaks Over: "leaves no tombstone where a lease ends, and a late command brings it back",
    ReleasesTheThread breaks Limit: "gives back whatever lease its thread has by then",
    TheDeadMakeRoom breaks Limit: "gives a newcomer the place of a dead node's session, also where those who live are at the limit",
    GenerationIsIgnored breaks Told: "takes the server of a failover for the one before it",
    TakesWithoutALetter breaks Heard: "tells the victim's node by a hint alone",
    SwapsInTwoSteps breaks Swap: "takes the victim's place in one step, and its own in another",
    ClosesOnUnknown breaks Closed: "closes what it cannot renew",
    ForgetsToTellAgain breaks Told: "tells a new data set nothing of what it holds",
    KeepsItToItself breaks Agreement: "does not tell what it admitted by its own count",
    ReleasesOnce breaks Agreement: "says once that a place is free, and not again where nobody heard",
    DoesNotWaitForTheOthers breaks Told: "admits before the others have told a new data set what they hold",
    NeverGivesUp breaks Answer: "waits for an answer of Redis for as long as it takes",
    HidesItsRuns breaks Run: "says of no session that a run is in flight",
    BlamesOthers breaks Silence: "finds another node silent though it was deaf itself (R30)",
    CountsAlone breaks Alone: "goes by its own count though Redis answers",
}
