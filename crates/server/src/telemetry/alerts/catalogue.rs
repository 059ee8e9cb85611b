//! The one list of alerts: name, condition, and what a person does about it.

use std::time::Duration;

use super::Severity;
use super::condition::Condition::{self, Above, Any, Below, Both};
use super::condition::Series;
use super::condition::Value::{self, Increase, Max, Min, Ratio, Sum};
use super::levers::{
    ASK_ABOUT_A_USER, CLUSTER_STATUS, CRITICAL_LOGS, DOCTOR, DRAIN, END_ONE, LEND, RECLAIM, WHICH_BREAKER, WHO_IS_NEAR,
    WHO_WAITED, WHO_WAS_DEAD, WHO_WAS_REFUSED,
};

/// One alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alert {
    /// The same in Prometheus, in messages and in the runbook.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What has to hold.
    pub condition: Condition,
    /// For how long it has to hold before the alert fires.
    pub holds_for: Duration,
    /// What is the case, in one sentence without a full stop.
    pub summary: &'static str,
    /// What that means for users, and what the gateway does about it by itself.
    pub meaning: &'static str,
    /// Where to look: metrics, explain, logs.
    pub look_at: &'static [&'static str],
    /// What to press: commands, routes, keys of the configuration.
    pub press: &'static [&'static str],
}

impl Alert {
    /// The part of the runbook that is about it.
    #[must_use]
    pub fn runbook(&self) -> String {
        format!("docs/alerts.md#{}", self.name.to_ascii_lowercase())
    }
}

/// The alert of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Alert> {
    ALERTS.iter().find(|alert| alert.name == name)
}

/// The names of all alerts.
pub(in crate::telemetry) const NAMES: [&str; ALERTS.len()] = {
    let mut names = [""; ALERTS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = ALERTS[index].name;
        index += 1;
    }
    names
};

/// Those of users, from the lowest band on: 50, 60, 70 and 100 % of the limit of one user.
pub use crate::config::USER_ALERTS as OF_USERS;

const AT_ONCE: Duration = Duration::ZERO;
const TEN_SECONDS: Duration = Duration::from_secs(10);
const HALF_A_MINUTE: Duration = Duration::from_secs(30);
const FIVE_MINUTES: Duration = Duration::from_secs(5 * 60);
const TEN_MINUTES: Duration = Duration::from_secs(10 * 60);

type Labels = &'static [(&'static str, &'static [&'static str])];

const fn users(bands: Labels) -> Condition {
    Above(Sum(Series { name: "lychgate_users", labels: bands }), 0.0)
}

/// Something of a kind was lost lately.
const fn lost(name: &'static str, labels: Labels) -> Condition {
    Above(Increase(Series { name, labels }, TEN_MINUTES), 0.0)
}

/// By how much a counter rose within the window, over all of its labels.
const fn rose(name: &'static str, window: Duration) -> Value {
    Increase(Series::all(name), window)
}

/// Every alert, in the order of the runbook.
pub const ALERTS: [Alert; 20] = [
    Alert {
        name: OF_USERS[0],
        severity: Severity::Info,
        condition: users(&[("band", &["watch", "warn", "high", "full"])]),
        holds_for: AT_ONCE,
        summary: "Somebody holds half of his sessions or more",
        meaning: "Nobody is locked out, and nothing is reclaimed yet: whoever uses many tabs comes here. A user who stays here \
                  with few tabs leaves sessions behind that look alive.",
        look_at: &[WHO_IS_NEAR, "`lychgate_users{band}`: how many users are in each band", ASK_ABOUT_A_USER],
        press: &["nothing, as long as it goes away by itself"],
    },
    Alert {
        name: OF_USERS[1],
        severity: Severity::Info,
        condition: users(&[("band", &["warn", "high", "full"])]),
        holds_for: AT_ONCE,
        summary: "Somebody holds 60 % of his sessions or more",
        meaning: "Background reclaim takes what is known to be dead, and sessions that nobody is attached to.",
        look_at: &[
            WHO_IS_NEAR,
            "`lychgate_evictions_total{level,reason}`: what is reclaimed",
            "`lychgate_cleanup_attempts_total{level}` and `lychgate_cleanup_failures_total{level}`: whether it works",
            ASK_ABOUT_A_USER,
        ],
        press: &["nothing, as long as it goes away by itself", RECLAIM],
    },
    Alert {
        name: OF_USERS[2],
        severity: Severity::Warning,
        condition: users(&[("band", &["high", "full"])]),
        holds_for: AT_ONCE,
        summary: "Somebody holds 70 % of his sessions or more",
        meaning: "Background reclaim asks every connection of this user whether it is there, and takes those that do not answer. \
                  Who stays here has that many living tabs.",
        look_at: &[WHO_IS_NEAR, "`lychgate_zombies_total{kind}`: of which kind the dead are", ASK_ABOUT_A_USER],
        press: &[RECLAIM, LEND, "`[plans.NAME]`: a plan with a higher limit, for users who need it for good"],
    },
    Alert {
        name: OF_USERS[3],
        severity: Severity::Warning,
        condition: users(&[("band", &["full"])]),
        holds_for: AT_ONCE,
        summary: "Somebody holds all of his sessions",
        meaning: "His next open climbs the ladder: the worst session goes, or the reserve and the queue serve him. He is not \
                  locked out.",
        look_at: &[
            WHO_IS_NEAR,
            "`lychgate_lockouts_prevented_total`: opens that a gateway without reclaim would have refused",
            "`lychgate_admissions_total{path}` and `lychgate_admission_wait_seconds`: how they got in, and how long it took",
            "`lychgate_waiters`: opens that wait in the queue",
            ASK_ABOUT_A_USER,
        ],
        press: &[RECLAIM, END_ONE, LEND],
    },
    Alert {
        name: "LychgateLimitsInSight",
        severity: Severity::Info,
        condition: Above(Sum(Series { name: "lychgate_users_forecast", labels: &[("within", &["5m"])] }), 0.0),
        holds_for: HALF_A_MINUTE,
        summary: "Somebody will hold all of his sessions within five minutes, if he goes on like this",
        meaning: "Nobody feels anything yet. Background reclaim of that user starts one band early (`[forecast]`); nobody is evicted \
                  for a forecast alone.",
        look_at: &[WHO_IS_NEAR, "`lychgate_users_forecast{within}`: how many, and how soon", ASK_ABOUT_A_USER],
        press: &[
            "nothing, where it is one user who opens many tabs",
            LEND,
            "`forecast.horizon`, `forecast.smoothing`: look less far ahead, or at a longer past",
        ],
    },
    Alert {
        name: "LychgateNodeFullSoon",
        severity: Severity::Warning,
        condition: Below(Min(Series::all("lychgate_node_full_in_seconds")), 600.0),
        holds_for: HALF_A_MINUTE,
        summary: "The node will be full within ten minutes, if it goes on like this",
        meaning: "Nobody feels anything yet. A full node lets the least worthy connection go for a newcomer, and refuses newcomers \
                  only where everybody else is the last reader of a running answer.",
        look_at: &[
            "`lychgate_node_load_ratio` and `lychgate_node_load_forecast_ratio`: how full it is, and how full it will be",
            "`lychgate_connects_total`: whether they come all at once",
        ],
        press: &[
            "add a node, or have an autoscaler do it: docs/forecast.md",
            "`server.max_descriptor_percent`, `LimitNOFILE=`: room for more sockets on this one",
        ],
    },
    Alert {
        name: "LychgateLockout",
        severity: Severity::Critical,
        condition: Above(
            Increase(
                Series { name: "lychgate_refusals_total", labels: &[("reason", &["overload", "no_slot"])] },
                FIVE_MINUTES,
            ),
            0.0,
        ),
        holds_for: AT_ONCE,
        summary: "Somebody who proved who he is was not let in",
        meaning: "`overload`: the node is full, and he was told when to come back. `no_slot`: the operator chose \
                  `limits.force = \"never\"`, and everything that he holds lives. The limit of one user alone ends in a refusal in no \
                  other case.",
        look_at: &[
            WHO_WAS_REFUSED,
            "`lychgate_refusals_total{reason}`: which of the two",
            "`lychgate_connections`, `lychgate_node_load_ratio` and `lychgate_runtime_lag_seconds`: how full the node is",
            ASK_ABOUT_A_USER,
        ],
        press: &[
            "`overload`: add a node, or raise the descriptor limit and `server.max_descriptor_percent`",
            "`no_slot`: `limits.force = \"evict\"`, or a plan with a higher limit",
        ],
    },
    Alert {
        name: "LychgateCleanupFailing",
        severity: Severity::Warning,
        condition: Both(
            &Above(
                Ratio(
                    &rose("lychgate_cleanup_failures_total", FIVE_MINUTES),
                    &rose("lychgate_cleanup_attempts_total", FIVE_MINUTES),
                ),
                0.1,
            ),
            &Above(rose("lychgate_cleanup_failures_total", FIVE_MINUTES), 3.0),
        ),
        holds_for: AT_ONCE,
        summary: "More than one step fails for every ten attempts to reclaim",
        meaning: "A step is a ping that could not be written, or a close that was not confirmed; one attempt can have several, so the \
                  value can pass 1. The slot is free all the same; after five failures the \
                  breaker leaves the step out, and Force takes suspects first.",
        look_at: &[
            WHICH_BREAKER,
            "`lychgate_cleanup_failures_total{level}`: at which level",
            "`lychgate_breaker_moves_total` and `lychgate_close_unconfirmed_total`: which step",
            CRITICAL_LOGS,
        ],
        press: &[
            "look for a network that swallows packets, or a proxy that keeps sockets open that are closed on our side",
        ],
    },
    Alert {
        name: "LychgateWrongVerdict",
        severity: Severity::Warning,
        condition: Above(rose("lychgate_verdicts_disproved_total", TEN_MINUTES), 0.0),
        holds_for: AT_ONCE,
        summary: "A peer spoke after it had been called dead",
        meaning: "Somebody who lived may have lost his socket. He comes back by himself and resumes, but the deadlines are too tight \
                  for this network, or this machine stalls.",
        look_at: &[
            WHO_WAS_DEAD,
            "`lychgate_verdicts_disproved_total{kind}` beside `lychgate_zombies_total{kind}`: how many of how many",
            "`lychgate_runtime_lag_seconds` and `lychgate_reaper_lag_seconds`: whether we were late ourselves",
        ],
        press: &[
            "raise `liveness.probe_deadline` and `liveness.ping_answer`, and start it again",
            "give the machine more processors",
        ],
    },
    Alert {
        name: "LychgateBreakerOpen",
        severity: Severity::Warning,
        condition: Above(Sum(Series::all("lychgate_breakers_open")), 0.0),
        holds_for: AT_ONCE,
        summary: "A step of reclaim fails so often that it is left out",
        meaning: "An open breaker skips a step and refuses nobody: admission goes on with the next level. With `scope=\"node\"` at \
                  least ten users are concerned.",
        look_at: &[
            WHICH_BREAKER,
            "`lychgate_breakers_open{scope}`: one user, or the node",
            "`lychgate_breaker_moves_total{scope,step,state}`: which step",
            CRITICAL_LOGS,
        ],
        press: &["nothing: after ten seconds one attempt is made, and success closes it"],
    },
    Alert {
        name: "LychgateAgentDown",
        severity: Severity::Critical,
        condition: Below(Min(Series::all("lychgate_agent_up")), 1.0),
        holds_for: TEN_SECONDS,
        summary: "An agent is not asked any more, because it fails",
        meaning: "Whoever asks it gets an error at once instead of an answer. Sessions, other agents and stored conversations work.",
        look_at: &[
            "`lychgate_agent_up{agent}`: which one",
            DOCTOR,
            "`lychgate_agent_runs_total{agent,outcome}`: how its runs end",
            CRITICAL_LOGS,
        ],
        press: &[
            "start the agent again, or have `agents.NAME.url` or `base_url` point to one that works",
            "nothing here: after `agents.NAME.breaker_open` one run tries it",
        ],
    },
    Alert {
        name: "LychgateRuntimeStalled",
        severity: Severity::Critical,
        // Counted once when it begins: one that stays away for longer than the window still has its lag.
        condition: Any(&[
            Above(rose("lychgate_runtime_stuck_total", FIVE_MINUTES), 0.0),
            Above(Max(Series::all("lychgate_runtime_lag_seconds")), 5.0),
        ]),
        holds_for: AT_ONCE,
        summary: "The asynchronous runtime did not run for too long",
        meaning: "Nobody was served meanwhile. Nobody is called dead for it either: the reaper has a thread of its own and widens \
                  deadlines by the lag.",
        look_at: &[
            "`lychgate_runtime_lag_seconds`, `lychgate_process_cpu_seconds_total`: a busy machine, or a stopped one",
            DOCTOR,
            CRITICAL_LOGS,
        ],
        press: &[
            "give the process more processors, or drain it and start it again",
            DRAIN,
            "`WatchdogSec=` of systemd does that by itself (docs/operations.md)",
        ],
    },
    Alert {
        name: "LychgateReaperLate",
        severity: Severity::Warning,
        condition: Above(Max(Series::all("lychgate_reaper_lag_seconds")), 1.0),
        holds_for: HALF_A_MINUTE,
        summary: "The reaper runs more than a second late",
        meaning: "Dead sockets are found later, and background reclaim begins later. Admissions climb the ladder by themselves and \
                  lock nobody out.",
        look_at: &["`lychgate_reaper_lag_seconds`, `lychgate_process_cpu_seconds_total`", "the load of the machine"],
        press: &["give the process more processors"],
    },
    Alert {
        name: "LychgateJournalTrouble",
        severity: Severity::Critical,
        condition: Above(Max(Series::all("lychgate_journal_trouble")), 0.0),
        holds_for: TEN_SECONDS,
        summary: "The journal cannot write",
        meaning: "No run can begin, because nothing leaves for a socket that is not stored. The node says that it is not ready.",
        look_at: &[
            "`GET /readyz`: the reason in words",
            DOCTOR,
            "`lychgate_journal_appends_total{outcome}`, `lychgate_journal_bytes`",
            CRITICAL_LOGS,
        ],
        press: &[
            "make room on the disk of `journal.directory`, or move it and start the gateway again",
            "once another node serves:",
            DRAIN,
        ],
    },
    Alert {
        name: "LychgateClusterUnknown",
        severity: Severity::Warning,
        condition: Below(Min(Series::all("lychgate_cluster_store_known")), 1.0),
        holds_for: HALF_A_MINUTE,
        summary: "The Redis in which nodes count sessions together cannot be asked",
        meaning: "Nobody is refused and nobody is closed: each node goes by its own count, so a user may hold his limit on each of \
                  them. When Redis is back the nodes tell it what they hold, and nobody is evicted for the excess.",
        look_at: &[
            CLUSTER_STATUS,
            "`lychgate_cluster_store_known` of every node: one of them alone is cut off, all of them miss Redis itself",
            "`lychgate_cluster_acquires_total{outcome}`, `lychgate_cluster_acquire_seconds`: whether it is gone or slow",
            "the log, lines with the event cluster.unknown: since when, and why",
        ],
        press: &[
            "`Redis did not answer`: look for a long command there (SLOWLOG), a swapping machine, a network that swallows packets; \
             `cluster.command_timeout` where it is far away",
            "`cannot be reached`: start it again, empty if need be; the nodes tell it anew what they hold",
            "`cannot serve`, `refuses our commands`: `maxmemory` with the policy noeviction, a replica that is read-only, the user of \
             `cluster.url`",
            "nothing here: the nodes ask four times a second, and count together again when it answers",
        ],
    },
    Alert {
        name: "LychgateNotReady",
        severity: Severity::Critical,
        condition: Both(
            &Below(Min(Series::all("lychgate_ready")), 1.0),
            &Below(Max(Series::all("lychgate_draining")), 1.0),
        ),
        holds_for: HALF_A_MINUTE,
        summary: "The node is not ready, and nobody drains it",
        meaning: "A load balancer sends nobody here. Whoever is connected stays. A node that is being drained is not meant.",
        look_at: &[
            "`GET /readyz`: the reason in words; docs/operations.md says what each one means",
            DOCTOR,
            CRITICAL_LOGS,
        ],
        press: &["what the reason asks for"],
    },
    Alert {
        name: "LychgateAdmissionSlow",
        severity: Severity::Warning,
        condition: Both(
            &Below(
                Ratio(
                    &Increase(
                        Series { name: "lychgate_admission_wait_seconds_bucket", labels: &[("le", &["3.0"])] },
                        FIVE_MINUTES,
                    ),
                    &rose("lychgate_admission_wait_seconds_count", FIVE_MINUTES),
                ),
                0.99,
            ),
            &Above(rose("lychgate_admission_wait_seconds_count", FIVE_MINUTES), 20.0),
        ),
        holds_for: AT_ONCE,
        summary: "One admission in a hundred takes longer than 3 s",
        meaning: "The p99 is above the deadline of the ladder: users wait in the queue because everything that they hold is protected \
                  by a run or by their plan. All are let in within 10 s.",
        look_at: &[
            WHO_WAITED,
            "`lychgate_admission_wait_seconds_bucket{path}`: which way takes long",
            "`lychgate_admissions_total{path=\"queue\"}`, `lychgate_waiters`, `lychgate_run_seconds`: runs that do not end",
        ],
        press: &[
            LEND,
            "`[plans.NAME]` with a higher limit for users with many runs",
            "`agents.idle_timeout`: give silent runs up sooner",
        ],
    },
    Alert {
        name: "LychgateDescriptorsLow",
        severity: Severity::Critical,
        condition: Above(
            Ratio(&Sum(Series::all("lychgate_process_open_fds")), &Sum(Series::all("lychgate_process_max_fds"))),
            0.9,
        ),
        holds_for: TEN_SECONDS,
        summary: "More than nine tenths of the file descriptors are in use",
        meaning: "Sockets stop at `server.max_descriptor_percent` of the limit; what lies above it belongs to the journal, to agents \
                  and to operators, and something takes it.",
        look_at: &[
            "`lychgate_process_open_fds`, `lychgate_process_max_fds`, `lychgate_connections`, `lychgate_unidentified_sockets`",
            DOCTOR,
        ],
        press: &["raise the limit (`LimitNOFILE=` of systemd, `ulimit -n`) and start again", "add a node"],
    },
    Alert {
        name: "LychgateRepaired",
        severity: Severity::Critical,
        condition: Above(rose("lychgate_repairs_total", TEN_MINUTES), 0.0),
        holds_for: AT_ONCE,
        summary: "A count did not equal its records and was mended",
        meaning: "Users are served, and no slot is lost: this is a defect of Lychgate. Each one is an error in the log that names the \
                  invariant.",
        look_at: &["the log, lines with `broken`: which invariant, and whose"],
        press: &["report it with those lines"],
    },
    Alert {
        name: "LychgateEyesImpaired",
        severity: Severity::Warning,
        condition: Any(&[
            lost("lychgate_webhook_deliveries_total", &[("outcome", &["failed"])]),
            lost("lychgate_spans_total", &[("outcome", &["failed"])]),
            lost("lychgate_log_lines_dropped_total", &[("reason", &["lost"])]),
        ]),
        holds_for: AT_ONCE,
        summary: "A webhook, a collector of traces or standard error did not take what it was given",
        meaning: "Users feel nothing, but somebody sees less than he thinks. The alert is sent again with the next one, or after \
                  `alerts.repeat_after`; spans and log lines are gone.",
        look_at: &[
            "`lychgate_webhook_deliveries_total{outcome}`, `lychgate_spans_total{outcome}`, `lychgate_log_lines_dropped_total{reason}`: \
             which of the three",
            "the log, lines with `webhook` or `traces`: which one, and what it answered",
            DOCTOR,
        ],
        press: &[
            "set the address right, `alerts.webhooks.NAME.url` or `traces.endpoint`, and start the gateway again: both are read at the \
             start alone",
            "log lines: let whatever reads standard error read faster, or raise `log.level` from debug",
        ],
    },
];
