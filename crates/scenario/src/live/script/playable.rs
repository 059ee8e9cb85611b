//! Which steps can be made real from outside of a gateway, and why the others cannot.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::plan::Plan;
use crate::step::{Step, Tab};

/// Whether a step can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Playable {
    /// On any gateway.
    Anywhere,
    /// On one whose process we started.
    OwnGateway,
    /// Left out; what follows holds without it as well.
    Without(&'static str),
    /// What follows depends on it: the plan is for the simulation alone.
    Never(&'static str),
}

fn playable(step: &Step) -> Playable {
    match step {
        Step::StallRuntime(_) => Playable::OwnGateway,
        Step::CloseFails(_) => Playable::Without("a close cannot be made to fail from outside"),
        Step::PingsFail(_) => Playable::Never("a ping that cannot be written cannot be made from outside"),
        Step::Expel(_) => Playable::Never("a gateway takes no order of an operator to close a socket yet"),
        Step::Drain(_) => Playable::Never("a gateway that drains ends, and admits nobody who could tell what it holds"),
        Step::OpenTab { .. }
        | Step::OpenThread { .. }
        | Step::CloseTab { .. }
        | Step::GoSilent(_)
        | Step::Freeze(_)
        | Step::WakeUp(_)
        | Step::StopReading(_)
        | Step::ReadSome(_)
        | Step::ReadAgain(_)
        | Step::Reconnect { .. }
        | Step::Leave { .. }
        | Step::Prompt { .. }
        | Step::RunEnds { .. }
        | Step::Look(_)
        | Step::CloseHangs(_)
        | Step::Expire { .. }
        | Step::Renew { .. }
        | Step::Advance(_)
        | Step::Expect(_) => Playable::Anywhere,
    }
}

/// Sockets that the client's process opens for a plan, and the gateway's process takes: 80 % of 20,000 are its bound.
const MOST_TABS: usize = 15_000;

/// What a plan may wait altogether: nobody watches for longer, and CI has other things to do.
const LONGEST: Duration = Duration::from_secs(300);

fn wait(step: &Step) -> Option<Duration> {
    if let Step::Advance(time) = step { Some(*time) } else { None }
}

fn opened_tab(step: &Step) -> Option<Tab> {
    if let Step::OpenTab { tab, .. } = step { Some(*tab) } else { None }
}

/// Why a plan is for the simulation alone, if it is: the step and the reason.
pub(crate) fn sim_only(plan: &Plan) -> Option<String> {
    let tabs: BTreeSet<_> = plan.steps.iter().filter_map(opened_tab).collect();
    if tabs.len() > MOST_TABS {
        return Some(format!("its {} tabs are more sockets than a process may have", tabs.len()));
    }
    let waits: Duration = plan.steps.iter().filter_map(wait).sum();
    if waits > LONGEST {
        return Some(format!("it waits for {} s, and {} s are the most", waits.as_secs(), LONGEST.as_secs()));
    }
    plan.steps.iter().enumerate().find_map(|(index, step)| match playable(step) {
        Playable::Never(why) => Some(format!("step {} `{step}`: {why}", index + 1)),
        Playable::Anywhere | Playable::OwnGateway | Playable::Without(_) => None,
    })
}

/// The steps of a plan that are left out, each with the reason.
pub(crate) fn left_out(plan: &Plan) -> Vec<String> {
    let told = |(index, step): (usize, &Step)| match playable(step) {
        Playable::Without(why) => Some(format!("sim only: step {} `{step}`: {why}", index + 1)),
        Playable::Anywhere | Playable::OwnGateway | Playable::Never(_) => None,
    };
    plan.steps.iter().enumerate().filter_map(told).collect()
}

/// Whether a plan needs a gateway whose process we started.
pub(crate) fn needs_process(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| playable(step) == Playable::OwnGateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        text.parse().unwrap()
    }

    #[test]
    fn a_plan_that_waits_for_longer_than_anybody_watches_is_for_the_simulation_alone() {
        assert_eq!(sim_only(&plan("open-tab u0 c0 t0\nadvance 300s")), None);
        let why = sim_only(&plan("open-tab u0 c0 t0\nadvance 299s\nadvance 2s")).unwrap();
        assert_eq!(why, "it waits for 301 s, and 300 s are the most");
    }

    #[test]
    fn a_plan_that_hangs_on_an_operator_is_for_the_simulation_alone() {
        let told = sim_only(&plan("open-tab u0 c0 t0\nexpel u0 c0")).unwrap();
        assert!(told.starts_with("step 2 `expel u0 c0`: "), "{told}");
        assert_eq!(sim_only(&plan("open-tab u0 c0 t0\nexpire u0 c0 3s")), None);
    }

    #[test]
    fn a_step_that_is_left_out_is_told_by_its_number() {
        let plan = plan("open-tab u0 c0 t0\nclose-fails u0 c0\nadvance 1s");
        assert_eq!(sim_only(&plan), None);
        let told = left_out(&plan);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("sim only: step 2 `close-fails u0 c0`"), "{told:?}");
    }

    #[test]
    fn a_plan_with_more_tabs_than_descriptors_is_for_the_simulation_alone() {
        let told = sim_only(&plan("open-tab u0-9999 c0-1 t0"));
        assert!(told.is_some_and(|why| why.contains("20000 tabs")));
        assert_eq!(sim_only(&plan("open-tab u0-499 c0 t0")), None);
    }

    #[test]
    fn a_stall_needs_the_process_of_the_gateway() {
        assert!(needs_process(&plan("stall-runtime 2s")));
        assert!(!needs_process(&plan("advance 2s")));
    }
}
