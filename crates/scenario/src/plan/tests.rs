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
        sessions 3
        open-tab u0 c0-2 t0-2 app every 10ms
        open-thread u0 c0 new1
        reconnect u0 c1 stolen u1 c2
        times 2
          close-tab u0 c0 lost   # and again
          advance 1500us
        end
        expect sessions u0 3
        expect waited 1500ms
    ";
    let plan: Plan = text.parse().unwrap();
    assert_eq!(plan.to_string().parse(), Ok(plan.clone()));
    assert_eq!(plan.steps.len(), 3 * 2 + 2 + 4 + 2);
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
fn settings_that_contradict_each_other_are_refused() {
    assert_eq!(reason("sessions 0"), "the plan: max_sessions_per_user must be at least 1");
}
