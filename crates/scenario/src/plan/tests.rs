//! What a plan's text promises.

use std::time::Duration;

use super::*;

fn reason(text: &str) -> String {
    text.parse::<Plan>().unwrap_err().to_string()
}

#[test]
fn a_printed_plan_reads_back_as_the_same_plan() {
    let text = "
        seed 7
        late 20ms
        sessions 3
        waiting 4
        reserve_sessions 0
        reserve_window 20s
        pinned_sessions 1
        force never
        mode shadow
        queue_deadline 4s
        admission_budget 9s
        reclaim_interval 3s
        plan pro sessions 8 force evict
        open-tab u0 c0-2 t0-2 app every 10ms
        open-thread u0 c0 new1
        reconnect u0 c1 stolen u1 c2
        times 2
          close-tab u0 c0 lost   # and again
          advance 1500us
        end
        renew u0 c1 plan pro
        renew u0 c1
        pings-fail u0 c1
        open-tab u0 c3 t3 plan pro
        open-tab u0 c4 t4 app plan pro
        expect sessions u0 3
        expect waited 1500ms
        expect queued u0 c1 t1 2
        expect told u0 c1 high
        expect reserve u0 open
        expect breaker u0 probe probing
        expect evicted 1
        expect refused 2
    ";
    let plan: Plan = text.parse().unwrap();
    assert_eq!(plan.to_string().parse(), Ok(plan.clone()));
    assert_eq!(plan.steps.len(), 3 * 2 + 2 + 4 + 13);
    assert_eq!(plan.steps[9], Step::Advance(Duration::from_micros(1500)));
}

#[test]
fn a_range_of_users_repeats_the_line_for_each() {
    let plan: Plan = "open-tab u0-1 c0-2 t5-7".parse().unwrap();
    let lines: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    assert_eq!(lines[0], "open-tab u0 c0 t5");
    assert_eq!(lines[2], "open-tab u0 c2 t7");
    assert_eq!(lines[5], "open-tab u1 c2 t7");
    assert_eq!(lines.len(), 6);
}

#[test]
fn a_line_that_is_no_step_is_named_with_its_number() {
    assert_eq!(reason("advance 1s\n\nopne-tab u0 c0 t0"), "line 3: `opne-tab u0 c0 t0`: there is no step `opne-tab`");
    assert_eq!(reason("open-tab u0 c0"), "line 1: `open-tab u0 c0`: it ends before a thread such as t5 or new5");
    assert_eq!(reason("go-silent u0 x1"), "line 1: `go-silent u0 x1`: `x1` is not a tab such as c3");
    assert_eq!(reason("advance 10"), "line 1: `advance 10`: `10` is not a time such as 200ms or 10s");
    assert_eq!(reason("look u0 c+1"), "line 1: `look u0 c+1`: `c+1` is not a tab such as c3");
    assert_eq!(reason("advance 10s now"), "line 1: `advance 10s now`: `now` is one word too many");
}

#[test]
fn loops_and_ranges_that_do_not_fit_are_refused() {
    assert_eq!(reason("times 3\nadvance 1s"), "line 1: `times 3`: every `times` has its `end`");
    assert_eq!(reason("end"), "line 1: `end`: every `times` has its `end`");
    assert!(reason("open-tab u0 c0-3 t0-2").contains("equally long"));
    assert!(reason("go-silent u0 c3-1").contains("ranges rise"));
    assert!(reason("advance 1s\nseed 4").contains("before the first step"));
}

#[test]
fn a_plan_that_would_fill_the_memory_is_refused() {
    assert!(reason("look u0-4000000 c0-4000000").contains("more than 200000 steps"));
    let nested = format!("{}advance 1s\n{}", "times 1000\n".repeat(5), "end\n".repeat(5));
    assert!(reason(&nested).contains("more than 200000 steps"));
}

#[test]
fn the_head_is_laid_over_the_defaults_and_a_plan_of_a_token_over_the_head() {
    let plan: Plan = "sessions 4\nreserve_sessions 1\nforce never\nplan pro sessions 8 force evict".parse().unwrap();
    let set = |key: &'static str, value: &str| (key, value.to_owned());
    assert_eq!(
        plan.settings(),
        [set("max_sessions_per_user", "4"), set("reserve_sessions", "1"), set("force", "never")]
    );
    assert_eq!(plan.named_settings(), [("pro", vec![set("max_sessions_per_user", "8"), set("force", "evict")])]);
    let plans = plan.plans().unwrap();
    assert_eq!(plans.limits(plans.find("pro").unwrap()).reserve_sessions, 1);
    assert_eq!(Plan::new(0).settings(), []);
}

#[test]
fn a_head_that_cannot_be_meant_is_named_with_its_line() {
    assert_eq!(reason("sessions"), "line 1: `sessions`: it ends before a number");
    assert_eq!(reason("sessions 4 5"), "line 1: `sessions 4 5`: `5` is one word too many");
    assert_eq!(reason("seed 1\nforce maybe"), "line 2: `force maybe`: `maybe` is not `evict` or `never`");
    assert_eq!(reason("reserve_window 5"), "line 1: `reserve_window 5`: `5` is not a time such as 200ms or 10s");
    assert_eq!(reason("late soon"), "line 1: `late soon`: `soon` is not a time such as 200ms or 10s");
    assert_eq!(reason("plan"), "line 1: `plan`: it ends before the name of a plan");
    assert_eq!(reason("plan pro size 4"), "line 1: `plan pro size 4`: `size` is not a key of the head");
    assert_eq!(reason("plan pro\nplan pro"), "line 2: `plan pro`: the head defines a plan `pro` already");
    assert_eq!(
        reason("\nopen-tab u0 c0 t0 plan pro"),
        "line 2: `open-tab u0 c0 t0 plan pro`: the head defines no plan `pro`"
    );
    assert!(reason("advance 1s\nforce never").contains("before the first step"));
    assert_eq!(
        reason("plan pro queue_deadline 11s"),
        "the plan: queue_deadline must not be longer than admission_budget"
    );
}

#[test]
fn an_expectation_that_cannot_be_meant_is_named_with_its_line() {
    assert_eq!(reason("expect queued u0 c0 t0"), "line 1: `expect queued u0 c0 t0`: it ends before a number");
    assert_eq!(
        reason("expect told u0 c0 half"),
        "line 1: `expect told u0 c0 half`: `half` is not a band: `ok`, `watch`, `warn`, `high` or `full`"
    );
    assert_eq!(
        reason("expect breaker u0 lease open"),
        "line 1: `expect breaker u0 lease open`: `lease` is not `probe` or `close`"
    );
    assert_eq!(reason("expect reserve u0 ajar"), "line 1: `expect reserve u0 ajar`: `ajar` is not `open` or `closed`");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    assert_eq!(reason("sessions 0"), "the plan: max_sessions_per_user must be at least 1");
}
