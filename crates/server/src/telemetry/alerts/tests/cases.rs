//! What fires when, alert by alert: series as they are scraped every [`STEP`] seconds, and a moment to look.

/// Seconds between two scrapes.
pub(super) const STEP: u64 = 15;

/// One case.
pub(super) struct Case {
    pub(super) alert: &'static str,
    pub(super) name: &'static str,
    pub(super) series: &'static [(&'static str, Values)],
    /// Seconds after the first scrape, a multiple of [`STEP`].
    pub(super) at: u64,
    pub(super) fires: bool,
}

/// What a series says, scrape by scrape: pieces that begin somewhere and rise by so much, so many times.
pub(super) struct Values(&'static [Piece]);

#[derive(Clone, Copy)]
enum Piece {
    /// A value, and how often it is scraped.
    Flat(f64, u32),
    /// From a value, by a step, so many scrapes.
    Rise(f64, f64, u32),
}

use Piece::{Flat, Rise};

impl Values {
    pub(super) fn expand(&self) -> Vec<f64> {
        let piece = |piece: &Piece| match *piece {
            Flat(value, count) => vec![value; count as usize],
            Rise(from, by, count) => (0..count).map(|n| from + by * f64::from(n)).collect(),
        };
        self.0.iter().flat_map(piece).collect()
    }

    /// As promtool reads it.
    pub(super) fn text(&self) -> String {
        self.expand().iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
    }
}

const fn case(
    alert: &'static str,
    name: &'static str,
    (at, fires): (u64, bool),
    series: &'static [(&'static str, Values)],
) -> Case {
    Case { alert, name, series, at, fires }
}

const FIRES: bool = true;
const QUIET: bool = false;

pub(super) const CASES: &[Case] = &[
    case(
        "LychgateUserAt50",
        "one of many users is at half of his limit",
        (60, FIRES),
        &[
            (r#"lychgate_users{band="ok"}"#, Values(&[Flat(400.0, 10)])),
            (r#"lychgate_users{band="watch"}"#, Values(&[Flat(0.0, 3), Flat(1.0, 7)])),
        ],
    ),
    case(
        "LychgateUserAt50",
        "a user in a higher band is above half as well",
        (60, FIRES),
        &[
            (r#"lychgate_users{band="watch"}"#, Values(&[Flat(0.0, 10)])),
            (r#"lychgate_users{band="full"}"#, Values(&[Flat(1.0, 10)])),
        ],
    ),
    case(
        "LychgateLimitsInSight",
        "one user reaches his limit soon",
        (90, FIRES),
        &[(r#"lychgate_users_forecast{within="5m"}"#, Values(&[Flat(0.0, 2), Flat(1.0, 8)]))],
    ),
    case(
        "LychgateLimitsInSight",
        "somebody does, and not so soon",
        (90, QUIET),
        &[
            (r#"lychgate_users_forecast{within="5m"}"#, Values(&[Flat(0.0, 10)])),
            (r#"lychgate_users_forecast{within="15m"}"#, Values(&[Flat(3.0, 10)])),
        ],
    ),
    case(
        "LychgateNodeFullSoon",
        "in nine minutes",
        (90, FIRES),
        &[("lychgate_node_full_in_seconds", Values(&[Flat(540.0, 10)]))],
    ),
    case(
        "LychgateNodeFullSoon",
        "in eleven",
        (90, QUIET),
        &[("lychgate_node_full_in_seconds", Values(&[Flat(660.0, 10)]))],
    ),
    case("LychgateUserAt50", "nobody is", (60, QUIET), &[(r#"lychgate_users{band="ok"}"#, Values(&[Flat(400.0, 10)]))]),
    case(
        "LychgateUserAt50",
        "it is over",
        (60, QUIET),
        &[(r#"lychgate_users{band="watch"}"#, Values(&[Flat(1.0, 3), Flat(0.0, 7)]))],
    ),
    case("LychgateUserAt60", "somebody", (60, FIRES), &[(r#"lychgate_users{band="warn"}"#, Values(&[Flat(2.0, 10)]))]),
    case(
        "LychgateUserAt60",
        "half is not enough",
        (60, QUIET),
        &[
            (r#"lychgate_users{band="watch"}"#, Values(&[Flat(9.0, 10)])),
            (r#"lychgate_users{band="warn"}"#, Values(&[Flat(0.0, 10)])),
        ],
    ),
    case("LychgateUserAt70", "somebody", (60, FIRES), &[(r#"lychgate_users{band="high"}"#, Values(&[Flat(1.0, 10)]))]),
    case(
        "LychgateUserAt70",
        "60 % is not enough",
        (60, QUIET),
        &[(r#"lychgate_users{band="warn"}"#, Values(&[Flat(9.0, 10)]))],
    ),
    case(
        "LychgateUserAt100",
        "somebody",
        (60, FIRES),
        &[(r#"lychgate_users{band="full"}"#, Values(&[Flat(0.0, 4), Flat(1.0, 6)]))],
    ),
    case(
        "LychgateUserAt100",
        "70 % is not enough",
        (60, QUIET),
        &[
            (r#"lychgate_users{band="high"}"#, Values(&[Flat(9.0, 10)])),
            (r#"lychgate_users{band="full"}"#, Values(&[Flat(0.0, 10)])),
        ],
    ),
    case(
        "LychgateLockout",
        "one refusal for an overload",
        (120, FIRES),
        &[
            (r#"lychgate_refusals_total{reason="overload"}"#, Values(&[Flat(0.0, 5), Flat(1.0, 20)])),
            (r#"lychgate_refusals_total{reason="no_slot"}"#, Values(&[Flat(0.0, 25)])),
        ],
    ),
    case(
        "LychgateLockout",
        "a drain refuses, and says when to come back",
        (120, QUIET),
        &[
            (r#"lychgate_refusals_total{reason="draining"}"#, Values(&[Rise(0.0, 40.0, 25)])),
            (r#"lychgate_refusals_total{reason="overload"}"#, Values(&[Flat(7.0, 25)])),
        ],
    ),
    case(
        "LychgateLockout",
        "the last one is longer ago than the window",
        (600, QUIET),
        &[(r#"lychgate_refusals_total{reason="no_slot"}"#, Values(&[Flat(0.0, 5), Flat(3.0, 60)]))],
    ),
    case(
        "LychgateCleanupFailing",
        "one in four",
        (300, FIRES),
        &[
            (r#"lychgate_cleanup_attempts_total{level="aggressive"}"#, Values(&[Rise(0.0, 4.0, 30)])),
            (r#"lychgate_cleanup_failures_total{level="aggressive"}"#, Values(&[Rise(0.0, 1.0, 30)])),
        ],
    ),
    case(
        "LychgateCleanupFailing",
        "one in twenty",
        (300, QUIET),
        &[
            (r#"lychgate_cleanup_attempts_total{level="aggressive"}"#, Values(&[Rise(0.0, 20.0, 30)])),
            (r#"lychgate_cleanup_failures_total{level="aggressive"}"#, Values(&[Rise(0.0, 1.0, 30)])),
        ],
    ),
    case(
        "LychgateCleanupFailing",
        "two of two are a bad network of one user",
        (300, QUIET),
        &[
            (r#"lychgate_cleanup_attempts_total{level="aggressive"}"#, Values(&[Flat(0.0, 10), Flat(2.0, 20)])),
            (r#"lychgate_cleanup_failures_total{level="aggressive"}"#, Values(&[Flat(0.0, 10), Flat(2.0, 20)])),
        ],
    ),
    case(
        "LychgateCleanupFailing",
        "nothing was tried",
        (300, QUIET),
        &[
            (r#"lychgate_cleanup_attempts_total{level="aggressive"}"#, Values(&[Flat(9.0, 30)])),
            (r#"lychgate_cleanup_failures_total{level="aggressive"}"#, Values(&[Flat(9.0, 30)])),
        ],
    ),
    case(
        "LychgateWrongVerdict",
        "one",
        (300, FIRES),
        &[(r#"lychgate_verdicts_disproved_total{kind="half_open"}"#, Values(&[Flat(0.0, 9), Flat(1.0, 21)]))],
    ),
    case(
        "LychgateWrongVerdict",
        "dead ones that stay dead",
        (300, QUIET),
        &[
            (r#"lychgate_verdicts_disproved_total{kind="half_open"}"#, Values(&[Flat(0.0, 30)])),
            (r#"lychgate_zombies_total{kind="half_open"}"#, Values(&[Rise(0.0, 20.0, 30)])),
        ],
    ),
    case(
        "LychgateWrongVerdict",
        "a restart begins to count anew",
        (300, QUIET),
        &[(r#"lychgate_verdicts_disproved_total{kind="half_open"}"#, Values(&[Flat(0.0, 30)]))],
    ),
    case(
        "LychgateBreakerOpen",
        "of a user",
        (60, FIRES),
        &[
            (r#"lychgate_breakers_open{scope="user"}"#, Values(&[Flat(3.0, 10)])),
            (r#"lychgate_breakers_open{scope="node"}"#, Values(&[Flat(0.0, 10)])),
        ],
    ),
    case(
        "LychgateBreakerOpen",
        "all are closed",
        (60, QUIET),
        &[
            (r#"lychgate_breakers_open{scope="user"}"#, Values(&[Flat(1.0, 3), Flat(0.0, 7)])),
            (r#"lychgate_breakers_open{scope="node"}"#, Values(&[Flat(0.0, 10)])),
        ],
    ),
    case(
        "LychgateAgentDown",
        "one of two",
        (60, FIRES),
        &[
            (r#"lychgate_agent_up{agent="support"}"#, Values(&[Flat(1.0, 10)])),
            (r#"lychgate_agent_up{agent="sales"}"#, Values(&[Flat(1.0, 2), Flat(0.0, 8)])),
        ],
    ),
    case(
        "LychgateAgentDown",
        "for one scrape",
        (30, QUIET),
        &[(r#"lychgate_agent_up{agent="sales"}"#, Values(&[Flat(1.0, 2), Flat(0.0, 8)]))],
    ),
    case(
        "LychgateRuntimeStalled",
        "once",
        (120, FIRES),
        &[("lychgate_runtime_stuck_total", Values(&[Flat(0.0, 6), Flat(1.0, 10)]))],
    ),
    case(
        "LychgateRuntimeStalled",
        "never since the start of the window",
        (600, QUIET),
        &[
            ("lychgate_runtime_stuck_total", Values(&[Flat(0.0, 6), Flat(1.0, 50)])),
            ("lychgate_runtime_lag_seconds", Values(&[Flat(0.001, 6), Rise(6.0, 15.0, 4), Flat(0.001, 46)])),
        ],
    ),
    case(
        "LychgateRuntimeStalled",
        "it began before the window and is not over",
        (600, FIRES),
        &[
            ("lychgate_runtime_stuck_total", Values(&[Flat(0.0, 6), Flat(1.0, 50)])),
            ("lychgate_runtime_lag_seconds", Values(&[Flat(0.001, 6), Rise(6.0, 15.0, 50)])),
        ],
    ),
    case(
        "LychgateRuntimeStalled",
        "late for a moment, and the counter is not there",
        (120, QUIET),
        &[("lychgate_runtime_lag_seconds", Values(&[Flat(4.9, 16)]))],
    ),
    case(
        "LychgateReaperLate",
        "for a minute",
        (75, FIRES),
        &[("lychgate_reaper_lag_seconds", Values(&[Flat(0.001, 1), Flat(1.5, 9)]))],
    ),
    case(
        "LychgateReaperLate",
        "for a moment",
        (75, QUIET),
        &[("lychgate_reaper_lag_seconds", Values(&[Flat(0.001, 4), Flat(1.5, 9)]))],
    ),
    case(
        "LychgateJournalTrouble",
        "for two scrapes",
        (60, FIRES),
        &[("lychgate_journal_trouble", Values(&[Flat(0.0, 3), Flat(1.0, 7)]))],
    ),
    case("LychgateJournalTrouble", "none", (60, QUIET), &[("lychgate_journal_trouble", Values(&[Flat(0.0, 10)]))]),
    case(
        "LychgateClusterUnknown",
        "for a minute",
        (90, FIRES),
        &[("lychgate_cluster_store_known", Values(&[Flat(1.0, 2), Flat(0.0, 8)]))],
    ),
    case(
        "LychgateClusterUnknown",
        "a failover that took less than half a minute",
        (90, QUIET),
        &[("lychgate_cluster_store_known", Values(&[Flat(1.0, 2), Flat(0.0, 2), Flat(1.0, 6)]))],
    ),
    case(
        "LychgateNotReady",
        "for a minute",
        (90, FIRES),
        &[("lychgate_ready", Values(&[Flat(1.0, 2), Flat(0.0, 8)])), ("lychgate_draining", Values(&[Flat(0.0, 10)]))],
    ),
    case(
        "LychgateNotReady",
        "at the start",
        (60, QUIET),
        &[("lychgate_ready", Values(&[Flat(0.0, 1), Flat(1.0, 9)])), ("lychgate_draining", Values(&[Flat(0.0, 10)]))],
    ),
    case(
        "LychgateNotReady",
        "a drain that somebody ordered",
        (120, QUIET),
        &[
            ("lychgate_ready", Values(&[Flat(1.0, 2), Flat(0.0, 8)])),
            ("lychgate_draining", Values(&[Flat(0.0, 2), Flat(1.0, 8)])),
        ],
    ),
    case(
        "LychgateNotReady",
        "in trouble first, and then drained for it",
        (120, QUIET),
        &[("lychgate_ready", Values(&[Flat(0.0, 10)])), ("lychgate_draining", Values(&[Flat(0.0, 6), Flat(1.0, 4)]))],
    ),
    case(
        "LychgateAdmissionSlow",
        "one in ten waits in the queue",
        (300, FIRES),
        &[
            (r#"lychgate_admission_wait_seconds_bucket{path="free",le="3.0"}"#, Values(&[Rise(0.0, 9.0, 30)])),
            (r#"lychgate_admission_wait_seconds_bucket{path="free",le="+Inf"}"#, Values(&[Rise(0.0, 9.0, 30)])),
            (r#"lychgate_admission_wait_seconds_count{path="free"}"#, Values(&[Rise(0.0, 9.0, 30)])),
            (r#"lychgate_admission_wait_seconds_bucket{path="queue",le="3.0"}"#, Values(&[Flat(0.0, 30)])),
            (r#"lychgate_admission_wait_seconds_bucket{path="queue",le="+Inf"}"#, Values(&[Rise(0.0, 1.0, 30)])),
            (r#"lychgate_admission_wait_seconds_count{path="queue"}"#, Values(&[Rise(0.0, 1.0, 30)])),
        ],
    ),
    case(
        "LychgateAdmissionSlow",
        "all are quick",
        (300, QUIET),
        &[
            (r#"lychgate_admission_wait_seconds_bucket{path="free",le="3.0"}"#, Values(&[Rise(0.0, 9.0, 30)])),
            (r#"lychgate_admission_wait_seconds_bucket{path="free",le="+Inf"}"#, Values(&[Rise(0.0, 9.0, 30)])),
            (r#"lychgate_admission_wait_seconds_count{path="free"}"#, Values(&[Rise(0.0, 9.0, 30)])),
        ],
    ),
    case(
        "LychgateAdmissionSlow",
        "one of five says nothing about a p99",
        (300, QUIET),
        &[
            (
                r#"lychgate_admission_wait_seconds_bucket{path="queue",le="3.0"}"#,
                Values(&[Flat(0.0, 10), Flat(4.0, 20)]),
            ),
            (r#"lychgate_admission_wait_seconds_count{path="queue"}"#, Values(&[Flat(0.0, 10), Flat(5.0, 20)])),
        ],
    ),
    case(
        "LychgateDescriptorsLow",
        "95 of 100",
        (60, FIRES),
        &[
            ("lychgate_process_open_fds", Values(&[Flat(95.0, 10)])),
            ("lychgate_process_max_fds", Values(&[Flat(100.0, 10)])),
        ],
    ),
    case(
        "LychgateDescriptorsLow",
        "80 of 100 are the bound of sockets",
        (60, QUIET),
        &[
            ("lychgate_process_open_fds", Values(&[Flat(80.0, 10)])),
            ("lychgate_process_max_fds", Values(&[Flat(100.0, 10)])),
        ],
    ),
    case(
        "LychgateDescriptorsLow",
        "a system that does not say",
        (60, QUIET),
        &[("lychgate_process_open_fds", Values(&[Flat(95.0, 10)]))],
    ),
    case(
        "LychgateRepaired",
        "once",
        (120, FIRES),
        &[("lychgate_repairs_total", Values(&[Flat(0.0, 6), Flat(1.0, 10)]))],
    ),
    case("LychgateRepaired", "never", (120, QUIET), &[("lychgate_repairs_total", Values(&[Flat(0.0, 16)]))]),
    case(
        "LychgateEyesImpaired",
        "the collector did not take spans",
        (120, FIRES),
        &[
            (r#"lychgate_webhook_deliveries_total{outcome="failed"}"#, Values(&[Flat(0.0, 16)])),
            (r#"lychgate_spans_total{outcome="failed"}"#, Values(&[Flat(0.0, 6), Flat(1.0, 10)])),
        ],
    ),
    case(
        "LychgateEyesImpaired",
        "log lines were lost",
        (120, FIRES),
        &[(r#"lychgate_log_lines_dropped_total{reason="lost"}"#, Values(&[Flat(0.0, 6), Flat(1.0, 10)]))],
    ),
    case(
        "LychgateEyesImpaired",
        "a storm was left out of the log, and a queue of spans was full",
        (120, QUIET),
        &[
            (r#"lychgate_log_lines_dropped_total{reason="left_out"}"#, Values(&[Rise(0.0, 9.0, 16)])),
            (r#"lychgate_log_lines_dropped_total{reason="lost"}"#, Values(&[Flat(0.0, 16)])),
            (r#"lychgate_spans_total{outcome="dropped"}"#, Values(&[Rise(0.0, 9.0, 16)])),
        ],
    ),
    case(
        "LychgateEyesImpaired",
        "one was given up",
        (120, FIRES),
        &[(r#"lychgate_webhook_deliveries_total{outcome="failed"}"#, Values(&[Flat(0.0, 6), Flat(1.0, 10)]))],
    ),
    case(
        "LychgateEyesImpaired",
        "retries that succeed in the end",
        (120, QUIET),
        &[
            (r#"lychgate_webhook_deliveries_total{outcome="failed"}"#, Values(&[Flat(0.0, 16)])),
            (r#"lychgate_webhook_deliveries_total{outcome="retried"}"#, Values(&[Rise(0.0, 1.0, 16)])),
        ],
    ),
];
