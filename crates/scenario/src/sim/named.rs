//! The plans that have a name: what locked users out before, and what could.

use anyhow::Context;

use crate::plan::Plan;

macro_rules! plans {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../plans/", $name, ".plan")))),*]
    };
}

/// Names and texts.
pub const PLANS: [(&str, &str); 29] = plans![
    "twenty-zombies",
    "many-tabs",
    "cold-start-storm",
    "flapping-network",
    "id-mismatch",
    "create-faster-than-cleanup",
    "restart-with-orphans",
    "all-busy",
    "takeover",
    "linger-reload",
    "tunnel",
    "stalled-server",
    "noisy-neighbour",
    "own-session-makes-room",
    "frozen-pages",
    "dead-newcomer",
    "slow-fill",
    "limit-in-sight",
    "queue-order",
    "reserve-window",
    "late-death",
    "burst-of-waiters",
    "token-plans",
    "never",
    "shadow",
    "broken-probe",
    "broken-close",
    "broken-node",
    "ten-thousand-users",
];

/// The text of a named plan.
#[must_use]
pub fn text_of(name: &str) -> Option<&'static str> {
    PLANS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// All of them, read.
///
/// # Errors
/// Names the plan that cannot be read; the tests read them all.
pub fn all() -> anyhow::Result<Vec<(String, Plan)>> {
    let read = |(name, text): &(&str, &str)| -> anyhow::Result<(String, Plan)> {
        Ok(((*name).to_owned(), text.parse().with_context(|| format!("plan {name}"))?))
    };
    PLANS.iter().map(read).collect()
}
