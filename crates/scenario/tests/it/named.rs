//! Every plan that has a name keeps every promise, and ends as it says it does.

use lychgate_scenario::plan::Plan;
use lychgate_scenario::sim::named::{PLANS, all, text_of};
use lychgate_scenario::sim::run::run;

fn holds(name: &str) {
    let text = text_of(name).expect("a named plan");
    let plan: Plan = text.parse().expect("a named plan reads");
    let outcome = run(&plan);
    if let Some(violation) = outcome.violation {
        panic!("{name}: {violation}");
    }
}

macro_rules! named {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test] fn $test() { holds($name); })*

        #[test]
        fn no_named_plan_is_left_out_of_the_tests() {
            let tested = [$($name),*];
            assert_eq!(tested, PLANS.map(|(name, _)| name));
        }
    };
}

named! {
    twenty_zombies_do_not_keep_their_user_out: "twenty-zombies",
    many_tabs_open_and_close: "many-tabs",
    a_cold_start_storm_is_admitted: "cold-start-storm",
    a_flapping_network_costs_no_slot: "flapping-network",
    two_components_agree_on_the_ids_of_one_conversation: "id-mismatch",
    creation_that_is_faster_than_cleanup_stays_below_the_limit: "create-faster-than-cleanup",
    orphans_of_a_restart_hold_nobody_up: "restart-with-orphans",
    a_newcomer_is_admitted_though_every_session_is_busy: "all-busy",
    a_takeover_replaces_its_own_socket_and_no_other: "takeover",
    a_reload_within_the_linger_finds_its_session: "linger-reload",
    tabs_in_a_tunnel_are_not_lost_to_a_phone: "tunnel",
    a_stalled_server_blames_nobody: "stalled-server",
    a_noisy_neighbour_is_not_noticed: "noisy-neighbour",
    a_socket_whose_own_session_makes_room_is_kept: "own-session-makes-room",
    frozen_pages_do_not_pass_for_living_ones: "frozen-pages",
    nobody_goes_for_an_open_whose_own_socket_is_dead: "dead-newcomer",
    a_user_who_fills_up_slowly_is_told_and_loses_nobody: "slow-fill",
    a_limit_in_sight_has_the_lingering_taken_early: "limit-in-sight",
    the_queue_keeps_its_order_and_everybody_knows_his_place: "queue-order",
    the_reserve_keeps_to_its_window: "reserve-window",
    who_dies_while_others_wait_goes_before_the_living: "late-death",
    more_waiters_than_the_queue_holds_are_served_early: "burst-of-waiters",
    the_plan_of_the_newest_token_decides: "token-plans",
    an_operator_who_chose_never_has_refusals_and_no_evictions: "never",
    a_limit_in_shadow_mode_only_tells: "shadow",
    a_probe_that_cannot_be_written_is_skipped: "broken-probe",
    closes_without_an_end_hold_nobody_up: "broken-close",
    trouble_of_ten_users_is_the_nodes: "broken-node",
    ten_thousand_users_come_at_once: "ten-thousand-users",
}

#[test]
fn every_named_plan_reads() {
    assert_eq!(all().unwrap().len(), PLANS.len());
}

#[test]
fn a_plan_that_expects_what_does_not_come_breaks_its_expectation() {
    let plan: Plan = "open-tab u0 c0 t0\nexpect sessions u0 2".parse().unwrap();
    let violation = run(&plan).violation.unwrap();
    assert_eq!(violation.to_string(), "expectation broken at step 2 (1s): expect sessions u0 2: there are 1");
}
