//! Whatever is in a plan file, reading it ends with a plan or with the line that is wrong.

use lychgate_scenario::plan::Plan;
use proptest::prelude::{any, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};

/// Lines that are nearly right are the ones that find mistakes.
fn nearly_a_plan() -> impl proptest::strategy::Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "open-tab",
        "reconnect",
        "advance",
        "expect",
        "times",
        "end",
        "seed",
        "sessions",
        "u0",
        "u0-3",
        "c1",
        "c1-4",
        "t1",
        "t1-4",
        "new1",
        "prev",
        "stolen",
        "every",
        "10ms",
        "3",
        "-1",
        "99999999999",
        "app",
        "plan",
        "pro",
        "renew",
        "force",
        "never",
        "reserve_window",
        "queued",
        "#",
        "\n",
        "\n",
    ]);
    use proptest::strategy::Strategy;
    prop::collection::vec(word, 0..60).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_ends_in_a_plan_or_an_error(text in any::<String>()) {
        if let Err(error) = text.parse::<Plan>() {
            prop_assert!(error.line <= text.lines().count());
        }
    }

    #[test]
    fn what_reads_prints_and_reads_back_the_same(text in nearly_a_plan()) {
        if let Ok(plan) = text.parse::<Plan>() {
            prop_assert_eq!(plan.to_string().parse::<Plan>(), Ok(plan));
        }
    }
}
