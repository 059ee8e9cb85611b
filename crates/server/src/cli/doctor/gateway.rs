//! A gateway that runs, as its admin listener shows it.

use std::time::Duration;

use jiff::Timestamp;

use super::cluster;
use super::finding::{Finding, Grade};
use super::metrics::Scrape;
use super::neighbours::{ahead, clock};
use crate::cli::operator::{Failure, Operator};
use crate::error::Error;
use crate::wire::admin::Listed;

/// Between two scrapes.
const BETWEEN: Duration = Duration::from_secs(2);
/// Refusals that harm nobody: a client is sent to another node, or had gone before its answer.
const HARMLESS: [&str; 2] = ["reason=\"draining\"", "reason=\"not_connected\""];
/// How late the reaper or the runtime may be before somebody should look.
const LATE: f64 = 0.25;
/// Users that are looked at, the fullest first.
const USERS: usize = 200;
/// Share of its descriptors that a process should keep free.
const CROWDED: f64 = 0.9;

/// Every check; those that need an answer which was not given are left out.
pub(super) async fn look(operator: &Operator) -> Vec<Finding> {
    const CHECK: &str = "reachable";
    let alive = match operator.get(&["healthz"], &[], Duration::ZERO).await {
        Err(failure) => return vec![told(CHECK, operator, &failure)],
        Ok(answer) if answer.status != 200 || answer.body.trim() != "ok" => {
            return vec![told(CHECK, operator, &Failure::Foreign("what answers is no gateway of Lychgate".to_owned()))];
        }
        Ok(answer) => answer,
    };
    let mut findings = vec![Finding::ok(CHECK, format!("{} answers", operator.base()))];
    findings.push(ready(operator).await);
    let gateway = alive.date.as_deref().and_then(ahead).map(|ahead| ("the gateway".to_owned(), ahead));
    findings.extend(clock(&gateway.into_iter().collect::<Vec<_>>()));
    let (numbers, answers) = tokio::join!(scraped_twice(operator), asked_with_key(operator));
    findings.extend(numbers);
    findings.extend(answers);
    findings
}

/// An error for people, whose first line is what is wrong and whose second is the fix.
fn told(check: &'static str, operator: &Operator, failure: &Failure) -> Finding {
    let text = match operator.error(failure) {
        Error::Failed(text) => text,
        other => other.to_string(),
    };
    let (what, fix) = text.split_once('\n').unwrap_or((&text, ""));
    Finding::wrong(check, what.to_owned(), fix.trim().to_owned())
}

async fn ready(operator: &Operator) -> Finding {
    const CHECK: &str = "ready";
    match operator.get(&["readyz"], &[], Duration::ZERO).await {
        Err(failure) => told(CHECK, operator, &failure),
        Ok(answer) if answer.status == 200 => Finding::ok(CHECK, "it delivers"),
        Ok(answer) => Finding::wrong(
            CHECK,
            answer.body.trim().to_owned(),
            "docs/operations.md, \"Readiness\", says what each reason means; the log has more.",
        ),
    }
}

/// What needs a key: who it is, and how full its users are.
async fn asked_with_key(operator: &Operator) -> Vec<Finding> {
    const CHECK: &str = "key";
    if !operator.has_key() {
        let what = "none was shown, so version and users were not looked at";
        return vec![Finding::ok(CHECK, what)];
    }
    let query = [("sort", "pressure".to_owned()), ("limit", USERS.to_string())];
    let listed = match operator.json(&["v1", "admin", "sessions"], &query, Duration::ZERO).await {
        Ok(listed) => listed,
        Err(failure) => return vec![told(CHECK, operator, &failure)],
    };
    let mut findings = vec![Finding::ok(CHECK, "it may look")];
    findings.push(match serde_json::from_value::<Listed>(listed) {
        Ok(listed) => users(&listed),
        Err(_) => told("users", operator, &Failure::Foreign("its list of users cannot be read".to_owned())),
    });
    findings.extend(version(operator).await);
    findings.extend(cluster::look(operator).await);
    findings
}

fn users(listed: &Listed) -> Finding {
    const CHECK: &str = "users";
    let full: Vec<_> = listed.users.iter().filter(|user| user.used >= user.limit).collect();
    let waiting: usize = listed.users.iter().map(|user| user.waiting).sum();
    let names = full.iter().take(3).map(|user| format!("{:?} ({} of {})", user.user, user.used, user.limit));
    match full.len() {
        0 => Finding::ok(CHECK, "nobody is at his limit"),
        count => Finding::warning(
            CHECK,
            format!("{count} at their limit, {waiting} opens wait: {}", names.collect::<Vec<_>>().join(", ")),
            "`lychgate explain USER` says what holds his slots; `POST /v1/admin/users/USER/reclaim` frees what is dead, \
             `PUT .../limits` lends him more for a while.",
        ),
    }
}

async fn version(operator: &Operator) -> Option<Finding> {
    const CHECK: &str = "version";
    let document = operator.json(&["v1", "admin", "openapi.json"], &[], Duration::ZERO).await.ok()?;
    let (theirs, ours) = (document["info"]["version"].as_str()?, env!("CARGO_PKG_VERSION"));
    Some(match theirs == ours {
        true => Finding::ok(CHECK, theirs),
        false => Finding::warning(
            CHECK,
            format!("the gateway is {theirs:?} and this program {ours:?}"),
            "Use the program that the gateway was started with, or start the gateway anew.",
        ),
    })
}

/// Twice: a total says what was, and only one that rises says what is.
async fn scraped_twice(operator: &Operator) -> Vec<Finding> {
    let before = match scraped(operator).await {
        Ok(text) => text,
        Err(finding) => return vec![finding],
    };
    tokio::time::sleep(BETWEEN).await;
    match scraped(operator).await {
        Ok(now) => numbers(&Scrape(&before), &Scrape(&now)),
        Err(finding) => vec![finding],
    }
}

async fn scraped(operator: &Operator) -> Result<String, Finding> {
    const CHECK: &str = "metrics";
    let answer =
        operator.get(&["metrics"], &[], Duration::ZERO).await.map_err(|failure| told(CHECK, operator, &failure))?;
    match answer.status {
        200 => Ok(answer.body),
        401 | 403 => Err(Finding::ok(CHECK, "want a key (admin.metrics_need_key), so they were not looked at")),
        status => Err(Finding::wrong(
            CHECK,
            format!("answer with status {status}: the records cannot be counted in time"),
            "A lock is held or the machine is overloaded: look at `ready` and at the load.",
        )),
    }
}

/// How a number is judged.
#[derive(Clone, Copy)]
enum Measure {
    /// It is the present state, or a defect whenever it was.
    State,
    /// It only ever rises: old troubles are told, those of this moment are a warning.
    Total,
}

/// What a check makes of a number, and how it is told.
struct Rule {
    check: &'static str,
    metric: &'static str,
    measure: Measure,
    is_wrong: bool,
    above: f64,
    what: &'static str,
    fix: &'static str,
}

const RULES: [Rule; 9] = [
    Rule {
        check: "repairs",
        metric: "repairs_total",
        measure: Measure::State,
        is_wrong: true,
        above: 0.0,
        what: "broken records were found and repaired, each of which is a defect of the gateway",
        fix: "Report it with the lines of the log at level error.",
    },
    Rule {
        check: "reaper",
        metric: "reaper_lag_seconds",
        measure: Measure::State,
        is_wrong: false,
        above: LATE,
        what: "seconds is the reaper late: the dead are found late",
        fix: "The machine has too little time for it: look at its load and at CPU limits.",
    },
    Rule {
        check: "runtime",
        metric: "runtime_lag_seconds",
        measure: Measure::State,
        is_wrong: false,
        above: LATE,
        what: "seconds is the runtime late: everybody is served late",
        fix: "The machine has too little time for it: look at its load and at CPU limits.",
    },
    Rule {
        check: "verdicts",
        metric: "verdicts_disproved_total",
        measure: Measure::Total,
        is_wrong: false,
        above: 0.0,
        what: "peers spoke after they had been called dead",
        fix: "Lengthen liveness.probe_deadline or ping_answer; `lychgate explain` shows who.",
    },
    Rule {
        check: "refusals",
        metric: "refusals_total",
        measure: Measure::Total,
        is_wrong: false,
        above: 0.0,
        what: "opens or connects were refused",
        fix: "`lychgate explain` shows who and why: a full node, a rule that sheds, or limits.force.",
    },
    Rule {
        check: "breakers",
        metric: "breakers_open",
        measure: Measure::State,
        is_wrong: false,
        above: 0.0,
        what: "breakers round steps of reclaim are open: that step is skipped",
        fix: "`lychgate explain` shows which; sockets cannot be written or closed in time.",
    },
    Rule {
        check: "memory of decisions",
        metric: "explain_dropped_users",
        measure: Measure::State,
        is_wrong: false,
        above: 0.0,
        what: "users' decisions were forgotten to stay within the budget",
        fix: "Raise explain.ledger_bytes.",
    },
    Rule {
        check: "log",
        metric: "log_lines_dropped_total",
        measure: Measure::Total,
        is_wrong: false,
        above: 0.0,
        what: "lines of the log were dropped",
        fix: "Lower log.level, or write to something faster.",
    },
    Rule {
        check: "runtime",
        metric: "runtime_stuck_total",
        measure: Measure::Total,
        is_wrong: false,
        above: 0.0,
        what: "times the runtime was stuck",
        fix: "Something blocked it: the log says when, at level error.",
    },
];

fn numbers(before: &Scrape<'_>, now: &Scrape<'_>) -> Vec<Finding> {
    let mut findings: Vec<_> = RULES.iter().filter_map(|rule| rule.judge(before, now)).collect();
    let down = now.labels_where("agent_up", |up| up == 0.0);
    if !down.is_empty() {
        findings.push(Finding::wrong(
            "agent",
            format!("nobody is let through to {}: it failed too often", down.join(", ")),
            "Look at that agent and its log; the gateway tries it again by itself.",
        ));
    }
    if let (Some(open), Some(most)) = (now.sum("process_open_fds"), now.sum("process_max_fds"))
        && open > most * CROWDED
    {
        findings.push(Finding::warning(
            "descriptors",
            format!("{open} of {most} descriptors are open"),
            "Raise LimitNOFILE, or add a node.",
        ));
    }
    if findings.iter().all(|finding| finding.grade == Grade::Ok) {
        findings.push(Finding::ok("metrics", "nothing that anybody would have to look at"));
    }
    findings
}

impl Rule {
    /// None where there is nothing to tell, or no such metric.
    fn judge(&self, before: &Scrape<'_>, now: &Scrape<'_>) -> Option<Finding> {
        let harms = |labels: &str| !HARMLESS.iter().any(|harmless| labels.contains(harmless));
        let value = now.sum_where(self.metric, harms)?;
        if value <= self.above {
            return None;
        }
        let told = |value: f64| format!("{} {}", (value * 100.0).round() / 100.0, self.what);
        let bad = |what| match self.is_wrong {
            true => Finding::wrong(self.check, what, self.fix),
            false => Finding::warning(self.check, what, self.fix),
        };
        // A series that was not there before has all come since; a gateway that was started anew counts from nothing.
        let rose = value - before.sum_where(self.metric, harms).unwrap_or(0.0);
        Some(match self.measure {
            Measure::State => bad(told(value)),
            Measure::Total if rose > 0.0 => bad(format!("{} within {BETWEEN:?}", told(rose))),
            Measure::Total => Finding::ok(self.check, format!("{} {}, none just now", told(value), since_start(now))),
        })
    }
}

fn since_start(scrape: &Scrape<'_>) -> String {
    let start = scrape.sum("process_start_time_seconds").and_then(|at| Timestamp::from_second(at as i64).ok());
    start.map_or_else(|| "since the start".to_owned(), |start| format!("since the start ({start})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_of_a_healthy_node_finds_nothing_and_each_number_that_is_off_finds_itself() {
        let healthy = "lychgate_repairs_total 0\nlychgate_reaper_lag_seconds 0.001\nlychgate_agent_up{agent=\"a\"} 1\n\
                       lychgate_process_open_fds 9\nlychgate_process_max_fds 100\n";
        let found = numbers(&Scrape(healthy), &Scrape(healthy));
        assert_eq!(found, [Finding::ok("metrics", "nothing that anybody would have to look at")]);
        for rule in &RULES {
            let text = |value| format!("lychgate_{} {value}\n", rule.metric);
            let found = numbers(&Scrape(&text(0)), &Scrape(&text(7)));
            assert_eq!(found.len(), 1, "{}", rule.metric);
            assert_eq!(found[0].check, rule.check);
            assert!(found[0].what.starts_with("7 ") && !found[0].fix.is_empty());
        }
        let alone = |text| numbers(&Scrape(text), &Scrape(text));
        let down = alone("lychgate_agent_up{agent=\"a\"} 0\n");
        assert_eq!((down.len(), down[0].check), (1, "agent"));
        let crowded = alone("lychgate_process_open_fds 95\nlychgate_process_max_fds 100\n");
        assert_eq!((crowded.len(), crowded[0].check), (1, "descriptors"));
    }

    #[test]
    fn a_total_that_rises_is_a_warning_and_an_old_one_is_told_with_its_start() {
        for rule in RULES.iter().filter(|rule| matches!(rule.measure, Measure::Total)) {
            let text =
                |value| format!("lychgate_{} {value}\nlychgate_process_start_time_seconds 1700000000.5\n", rule.metric);
            let old = numbers(&Scrape(&text(7)), &Scrape(&text(7)));
            assert!(old.iter().all(|finding| finding.grade == Grade::Ok), "{old:?}");
            let what = format!("7 {} since the start (2023-11-14T22:13:20Z), none just now", rule.what);
            assert_eq!((old[0].check, &*old[0].what), (rule.check, &*what));
            let rising = numbers(&Scrape(&text(7)), &Scrape(&text(9)));
            assert_eq!((rising.len(), rising[0].grade), (1, Grade::Warning));
            assert_eq!(rising[0].what, format!("2 {} within 2s", rule.what));
        }
    }

    #[test]
    fn who_was_sent_to_another_node_or_had_gone_was_not_refused() {
        let text = |draining, gone, full| {
            format!(
                "lychgate_refusals_total{{reason=\"draining\"}} {draining}\nlychgate_refusals_total{{reason=\"not_connected\"}} {gone}\n\
                 lychgate_refusals_total{{reason=\"overload\"}} {full}\n"
            )
        };
        let harmless = numbers(&Scrape(&text(0, 0, 0)), &Scrape(&text(5, 5, 0)));
        assert_eq!(harmless, [Finding::ok("metrics", "nothing that anybody would have to look at")]);
        let found = numbers(&Scrape(&text(5, 5, 0)), &Scrape(&text(6, 6, 3)));
        assert_eq!((found[0].check, &*found[0].what), ("refusals", "3 opens or connects were refused within 2s"));
    }
}
