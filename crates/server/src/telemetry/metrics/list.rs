//! The one list of metrics. They are registered from it, docs/metrics.md and the dashboard are made from it, and what is
//! not in it cannot be counted.
//!
//! To add one: a line here, a method that feeds it beside its kin, and the two files made anew ([`super::reference::RENEW`]
//! and [`super::dashboard::RENEW`]); a test says so, too.

use std::sync::Arc;

use lychgate_core::{BreakerState, EvictReason, Pressure, ReclaimLevel, ReclaimStep, Refusal, ZombieKind};
use prometheus_client::registry::Registry;

use super::instrument::{Counter, Gauge, Histogram, Level, Series, Sum};
use super::spec::{Kind, Label, PREFIX, Spec, Values};
use super::words::{
    ACQUIRES, AGENT_OUTCOMES, APPENDS, AUTH_FAILURES, DISCONNECTS, EVICTION_REASONS, HORIZONS, LOGINS, PATHS, PINGS,
    QUESTIONS, REMEDIES, REMEDY_MODES, REMEDY_OUTCOMES, RUN_OUTCOMES, SCOPES, SHADOW_VERDICTS, SPANS, UNWRITTEN,
    words_of,
};
use crate::telemetry::alerts::catalogue::NAMES;
use crate::telemetry::alerts::{Delivery, STATES};

/// Upper bounds in seconds; 1.5 is the promise of an admission with dead sockets, 10 the one of invariant I3.
const ADMISSION: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 1.5, 3.0, 5.0, 8.0, 10.0];
/// A commit to a disk takes 4 ms or so.
const APPEND: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// A script of Redis nearby takes half a millisecond, a deadline half a second by default, a newcomer's patience two seconds.
const ACQUIRE: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0];
/// Backends begin within a second, or have 30 by default.
const FIRST_EVENT: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const RUN: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0];

/// `name: Kind(bounds) {label: values} = help;` in chapters. Makes [`METRICS`] and a field for each of them.
macro_rules! metrics {
    ($($theme:literal { $($name:ident: $kind:ident $(($bounds:expr))? $({$($label:ident: $values:expr),+})? = $help:literal;)+ })+) => {
        /// Every metric, chapter by chapter.
        pub const METRICS: &[Spec] = &[$($(
            Spec {
                theme: $theme,
                name: stringify!($name),
                help: $help,
                kind: Kind::$kind $(($bounds))?,
                labels: &[$($(Label { name: stringify!($label), values: $values }),+)?],
            },
        )+)+];

        /// Every metric, to be fed.
        #[derive(Debug)]
        pub(super) struct Instruments { $($(pub(super) $name: $kind,)+)+ }

        impl Instruments {
            /// All at zero, and what shows them.
            pub(super) fn register(agents: &[Arc<str>]) -> (Self, Registry) {
                let mut registry = Registry::with_prefix(PREFIX);
                let mut list = METRICS.iter();
                // The fields stand in the order of the list: both are made from the same lines.
                let mut next = || list.next().unwrap_or(&METRICS[0]);
                let instruments = Self { $($($name: Series::register(next(), agents, &mut registry),)+)+ };
                (instruments, registry)
            }
        }
    };
}

metrics! {
    "Who is here" {
        sessions: Gauge = "Sessions that users hold on this node, lingering ones included";
        sessions_lingering: Gauge = "Sessions without a connection, kept warm for a reload";
        connections: Gauge = "Connections with an identity";
        unidentified_sockets: Gauge = "Sockets that have not yet proven who they are";
        runs: Gauge = "Runs of agents in flight";
        users: Gauge {band: Values::Words(words_of!(Pressure))} = "Users with anything on this node, by the band of their limit that they are in now";
        users_forecast: Gauge {within: Values::Words(&HORIZONS)} = "Users below their limit who reach it within this time at the present trend; whoever is counted within a short time is counted within a longer one";
        connects: Counter = "Connections that were registered";
        disconnects: Counter {reason: Values::Words(&DISCONNECTS)} = "Connections that left, by reason";
        pressure_changes: Counter {level: Values::Words(words_of!(Pressure))} = "Users that moved into a band of their limit, by band";
    }
    "Admissions" {
        admissions: Counter {path: Values::Words(&PATHS)} = "Opens that were answered, by the way to a session; refused ones are those of connections that were there";
        admission_wait_seconds: Histogram(ADMISSION) {path: Values::Words(&PATHS)} = "From an open to its answer, by the way to a session";
        lockouts_prevented: Counter = "Opens that got a session of their own though their user was at his limit when they came: whoever only checks and refuses would have refused them. Opens that joined one that waited for the same thread are not counted again";
        admissions_delayed: Counter = "Opens that had to wait for a probe";
        waiters: Gauge = "Threads for which an open waits: for a probe, or in the queue";
        queued: Counter = "Opens that had to wait in the queue, because every session was protected";
        refusals: Counter {reason: Values::Words(&Refusal::WORDS)} = "Opens and connects that were refused, by reason";
        shadow_verdicts: Counter {verdict: Values::Words(&SHADOW_VERDICTS)} = "What a limit in shadow mode would have done: the level of the eviction, or a wait";
    }
    "Reclaim" {
        cleanup_attempts: Counter {level: Values::Words(words_of!(ReclaimLevel))} = "Times that reclaim went to work on a user at a level, in an admission, in the background or by hand, however many sessions it wanted; levels that the ladder did not come to, or skipped, are not counted";
        cleanup_successes: Counter {level: Values::Words(words_of!(ReclaimLevel))} = "Attempts that freed at least one session; those that found nobody to take are neither successes nor failures";
        cleanup_failures: Counter {level: Values::Words(words_of!(ReclaimLevel))} = "Steps of attempts that failed: a question of a probe could not be written (aggressive), or the close of a connection whose session a level took was not confirmed in time. One attempt can have several";
        evictions: Counter {level: Values::Words(words_of!(ReclaimLevel)), reason: Values::Words(&EVICTION_REASONS)} = "Sessions that were reclaimed, by level and reason";
        sessions_ended: Counter {reason: Values::Words(words_of!(EvictReason))} = "Sessions that ended without reclaim, by reason";
        breakers_open: Gauge {scope: Values::Words(&SCOPES)} = "Breakers that have a step of reclaim skipped now: of the users together, and of the node";
        breaker_moves: Counter {scope: Values::Words(&SCOPES), step: Values::Words(words_of!(ReclaimStep)), state: Values::Words(words_of!(BreakerState))} = "Breakers round steps of reclaim that moved, by scope, step and state";
        close_unconfirmed: Counter = "Sockets torn down because no close was confirmed";
        repairs: Counter = "Broken invariants that were found and repaired; each one is a defect";
    }
    "Liveness" {
        pings: Counter {outcome: Values::Words(&PINGS)} = "Questions whether somebody is there, by what became of them";
        heartbeat_misses: Counter = "Unanswered heartbeats and probe pings of connections found dead";
        zombies: Counter {kind: Values::Words(words_of!(ZombieKind))} = "Connections found dead, by kind";
        verdicts_disproved: Counter {kind: Values::Words(words_of!(ZombieKind))} = "Connections called dead that had shown before their socket was gone that they are not: a sign of life was unread (half_open), or the socket took bytes again (stalled). The true number may be higher: what comes after the socket is gone, nobody can hear";
        reaper_lag_seconds: Level = "How late the reaper thread last ran";
        runtime_lag_seconds: Level = "How late the asynchronous runtime last ran";
        runtime_stuck: Counter = "Times that the asynchronous runtime was stuck for too long";
    }
    "Runs and agents" {
        run_seconds: Histogram(RUN) {outcome: Values::Words(&RUN_OUTCOMES)} = "From the start of a run to its last event, by how it ended";
        agent_up: Gauge {agent: Values::Agents} = "Whether an agent would be asked now: 0 while its breaker is open, and while one run tries whether it is back";
        agent_runs: Counter {agent: Values::Agents, outcome: Values::Words(&AGENT_OUTCOMES)} = "Answers of agents, by what became of them";
        agent_first_event_seconds: Histogram(FIRST_EVENT) {agent: Values::Agents} = "From the question to the first event of an agent's answer";
    }
    "Journal" {
        journal_append_seconds: Histogram(APPEND) = "From an append to its acknowledgement, or to its failure";
        journal_appends: Counter {outcome: Values::Words(&APPENDS)} = "Appends, by what became of them; gone: the thread was deleted meanwhile";
        journal_bytes: Gauge = "What the journal takes: bytes of its file with what is not yet written back, or of memory";
        journal_trouble: Gauge = "1 while the journal can take nothing, else 0";
    }
    "Cluster" {
        cluster_store_known: Gauge = "1 while the store of the leases can be asked, and on a node that is alone; 0 while each node goes by its own count";
        cluster_nodes: Level = "Nodes that live, this one included, as it saw them last; 1 on a node that is alone, 0 before it has met the others";
        cluster_leases: Gauge = "Leases that this node holds, those included that the store has yet to be told of; 0 on a node that is alone";
        cluster_acquires: Counter {outcome: Values::Words(&ACQUIRES)} = "Leases that were asked for, by what became of it; unknown: nobody answered in time, and this node's own count decided; taken: it was over before";
        cluster_acquire_seconds: Histogram(ACQUIRE) = "From the question for a lease to its answer, or to the end of its deadline";
        cluster_questions: Counter {outcome: Values::Words(&QUESTIONS)} = "Questions to other nodes how a user's sessions are there, by what became of them; silence: no answer within a second; not_asked: the question did not leave, or no answer could come back";
        cluster_sessions_taken: Counter = "Sessions that were closed because another node took their place; they are counted among the evictions as well";
    }
    "Doors" {
        auth_failures: Counter {reason: Values::Words(&AUTH_FAILURES)} = "Tokens, cookies and tickets that proved nothing, by reason";
        logins: Counter {outcome: Values::Words(&LOGINS)} = "Logins with a browser, by what became of them";
        turned_away: Counter = "Strangers who were told to come back later, because of their address or an overload";
        events_sent: Counter = "Events and answers to opens that were taken for sending";
        bytes_sent: Counter = "Bytes of frames that the kernel took";
    }
    "Alerts" {
        alerts: Counter {alert: Values::Words(&NAMES), state: Values::Words(&STATES)} = "Alerts that began or ended, those of users one by one and by name alone: those of users whom nobody watches by name are not counted";
        webhook_deliveries: Counter {outcome: Values::Words(words_of!(Delivery))} = "Requests to webhooks of alerts, by what became of them; failed: given up for this time";
        remediations: Counter {action: Values::Words(&REMEDIES), mode: Values::Words(&REMEDY_MODES), outcome: Values::Words(&REMEDY_OUTCOMES)} = "Rules of remediation that were due, by what became of them; told: in a dry run; held: by their cooldown or another bound";
    }
    "Node" {
        ready: Gauge = "1 while the node can deliver and is not being drained, else 0: what /readyz says";
        draining: Gauge = "1 while the node is being drained, else 0: what tells a planned end from trouble while it is not ready";
        node_load_ratio: Level = "How full the node is, from 0 to 1: the fullest of connections with an identity, sockets and file descriptors against their bounds";
        node_full_in_seconds: Level = "After how long the node is full at the present trend of node_load_ratio; +Inf while that is not in sight, or nothing is forecast";
        node_load_forecast_ratio: Level = "node_load_ratio as it is expected one forecast.horizon ahead, at the present trend; above 1 where there is no room for all who come";
        explain_bytes: Gauge = "Bytes of the record of decisions";
        explain_dropped_users: Gauge = "Users whose record of decisions was dropped to stay within its budget, since the start";
        log_lines_dropped: Counter {reason: Values::Words(&UNWRITTEN)} = "Log lines that were not written: left out of a storm, or lost because standard error took them too slowly";
        spans: Counter {outcome: Values::Words(&SPANS)} = "Spans of traces, by what became of them; dropped: the queue was full, failed: the collector did not take them";
    }
    "Process" {
        process_cpu_seconds: Sum = "Processor time of the process, of its own and in the kernel for it";
        process_resident_memory_bytes: Gauge = "Memory of the process that is in RAM";
        process_open_fds: Gauge = "File descriptors that are open";
        process_max_fds: Gauge = "File descriptors that may be open; the soft limit";
        process_start_time_seconds: Level = "When the process started, in seconds since 1970";
    }
}
