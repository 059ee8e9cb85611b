//! `cargo xtask test`: everything that CI runs, no more and no less.
//!
//! ```text
//! web -> lint -> unit and integration -> doc tests -> schedules -> sim -> fuzz -> live -> cluster -> sdk -> browser -> peers -> table -> exit code
//! ```
//!
//! A step that fails does not stop the others: one run shows everything that is wrong.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{
    aimock, autobahn, built, chromium, cluster_test, e2e, fuzz, http_agent, install, lint, oidc_provider, pages,
    prometheus, pydantic_ai, rotel, run, schedules, secrets, sim, verifier, web,
};

pub(crate) const HELP: &str = "\
cargo xtask test [WORD...]

With words: only the steps in whose names one of them stands. Without: everything, as in CI. Lints, unit, property and integration tests, doc tests, schedules, simulation, fuzz targets, live plans, faults of a cluster, the SDK and the pages in a browser,
and third-party peers,
one after the other with their output as it comes, and a table at the end. Needs Rust, a C compiler,
make, openssl, node and npm; what else a step needs it installs below target/. Exit code 1 if anything failed.";

const TESTS_WITHIN: Duration = Duration::from_secs(40 * 60);

/// One line of the table.
struct Step {
    name: &'static str,
    run: fn(&Path) -> Result<()>,
}

/// All steps: the pages, which the gateway shows, and then the cheap and telling ones first. A peer is a module with
/// `run(root: &Path) -> anyhow::Result<()>` that installs what it needs, starts and stops its own processes, and stands
/// after `e2e`.
const STEPS: [Step; 22] = [
    Step { name: "client SDK and pages are built (web)", run: |root| web::run(root, &[]) },
    Step { name: "lint", run: |root| lint::run(root, &[]) },
    Step { name: "unit and integration tests", run: tests },
    Step { name: "doc tests", run: doc_tests },
    Step { name: "schedules of the driver", run: |root| schedules::run(root, &[]) },
    Step { name: "simulation", run: |root| sim::run(root, &[]) },
    Step { name: "fuzz targets", run: |root| fuzz::run(root, &[]) },
    Step { name: "rules of Prometheus (promtool)", run: prometheus::rules },
    Step { name: "live plans under Prometheus, third-party client", run: e2e::live },
    Step { name: "faults of several nodes and their Redis (cluster-test)", run: |root| cluster_test::run(root, &[]) },
    Step { name: "client SDK against a real gateway (vitest)", run: pages::sdk },
    Step { name: "chat page and console in Chromium (Playwright)", run: pages::browser },
    Step { name: "peer: Autobahn (RFC 6455)", run: autobahn::run },
    Step { name: "peer: aimock (OpenAI protocol)", run: aimock::run },
    Step { name: "peer: HttpAgent (AG-UI)", run: http_agent::run },
    Step { name: "peer: pydantic-ai (AG-UI)", run: pydantic_ai::run },
    Step { name: "peer: OTLP collector (rotel)", run: rotel::run },
    Step { name: "peer: AG-UI verifier", run: verifier::run },
    Step { name: "peer: oidc-provider", run: oidc_provider::run },
    Step { name: "live plans, users logged in at oidc-provider", run: e2e::logged_in },
    Step { name: "peer: Chromium", run: chromium::run },
    Step { name: "secrets in the logs of all of these", run: secrets::run },
];

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let steps = chosen(args)?;
    install::need_compiler()?;
    secrets::begin(root)?;
    // Set once: there is one run of all tests in a process.
    let _first = run::RECORD.set(secrets::directory(root)?);
    let outcomes: Vec<Outcome> = steps.into_iter().map(|step| take(step, root)).collect();
    println!("\n{}", table(&outcomes));
    let count = |is: fn(&End) -> bool| outcomes.iter().filter(|outcome| is(&outcome.end)).count();
    let (failed, skipped) = (count(|end| matches!(end, End::Failed(_))), count(|end| matches!(end, End::Skipped(_))));
    println!("{} passed, {failed} failed, {skipped} skipped", outcomes.len() - failed - skipped);
    if failed > 0 {
        bail!("{failed} of {} steps failed", outcomes.len());
    }
    Ok(())
}

/// The steps in whose names one of the words stands, in their order; all of them without words.
fn chosen(words: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = words.iter().find(|word| !STEPS.iter().any(|step| step.name.contains(word.as_str()))) {
        let names = STEPS.map(|step| step.name).join("\n  ");
        bail!("no step of test has `{unknown}` in its name; they are\n  {names}\n\n{HELP}");
    }
    let is_wanted = |step: &&Step| words.is_empty() || words.iter().any(|word| step.name.contains(word.as_str()));
    Ok(STEPS.iter().filter(is_wanted).collect())
}

/// A step that could not be taken on this machine, as an error that does not fail the run; says what is missing.
#[derive(Debug)]
pub(crate) struct Skipped(pub(crate) String);

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skipped {}

/// How a step ended.
struct Outcome {
    name: &'static str,
    end: End,
    /// Tests that passed only when they were tried again.
    flaky: Vec<String>,
    took: Duration,
}

enum End {
    Ok,
    Skipped(String),
    Failed(String),
}

impl End {
    fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped(_) => "SKIPPED",
            Self::Failed(_) => "FAILED",
        }
    }

    fn why(&self) -> Option<&str> {
        match self {
            Self::Ok => None,
            Self::Skipped(why) | Self::Failed(why) => Some(why),
        }
    }
}

fn take(step: &Step, root: &Path) -> Outcome {
    println!("\n== {}", step.name);
    let begin = Instant::now();
    let end = match (step.run)(root) {
        Ok(()) => End::Ok,
        Err(error) => match error.downcast_ref::<Skipped>() {
            Some(skipped) => End::Skipped(skipped.0.clone()),
            None => End::Failed(format!("{error:#}")),
        },
    };
    let took = begin.elapsed();
    // The rest of it comes with the table.
    let why = end.why().and_then(|why| why.lines().next()).unwrap_or_default();
    println!("== {}: {} after {:.1} s {why}", step.name, end.word(), took.as_secs_f64());
    Outcome { name: step.name, end, flaky: run::flaky::take(), took }
}

fn table(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| outcome.name.len()).max().unwrap_or_default();
    let mut text = format!("{:width$}  result   seconds\n", "step");
    for outcome in outcomes {
        let seconds = outcome.took.as_secs_f64();
        text.push_str(&format!("{:width$}  {:7}  {seconds:7.1}\n", outcome.name, outcome.end.word()));
    }
    for outcome in outcomes {
        if let Some(why) = outcome.end.why() {
            text.push_str(&format!("\n{}: {}: {why}\n", outcome.name, outcome.end.word()));
        }
    }
    for outcome in outcomes {
        for test in &outcome.flaky {
            text.push_str(&format!("\n{}: passed at its second try, and wants to be mended: {test}\n", outcome.name));
        }
    }
    text
}

fn tests(root: &Path) -> Result<()> {
    // Tests of tokens have their keys made by it, as people do.
    install::program("openssl", "openssl")?;
    // Tests of what lies in Redis start their own.
    install::program("redis-server", "redis-server")?;
    // What the other steps start is built together with the tests.
    built::programs(root)?;
    let mut command = if run::is_on_path("cargo-nextest") {
        // nextest wants `--locked` behind its own subcommand.
        let mut command = run::bare_cargo(root);
        command.args([
            "nextest",
            "run",
            "--locked",
            "--profile",
            "ci",
            "--cargo-profile",
            built::PROFILE,
            "--workspace",
            "--no-fail-fast",
        ]);
        command
    } else {
        let mut command = built::cargo(root, "test");
        command.args(["--workspace", "--lib", "--bins", "--tests", "--examples", "--no-fail-fast"]);
        command
    };
    run::stream(&mut command, TESTS_WITHIN)
}

fn doc_tests(root: &Path) -> Result<()> {
    run::stream(built::cargo(root, "test").args(["--workspace", "--doc"]), TESTS_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &'static str, error: Option<&str>) -> Outcome {
        let end = error.map_or(End::Ok, |error| End::Failed(error.to_owned()));
        Outcome { name, end, flaky: Vec::new(), took: Duration::from_millis(1_500) }
    }

    #[test]
    fn the_table_has_a_line_for_each_step_and_the_reason_of_each_failure() {
        let text = table(&[outcome("lint", None), outcome("simulation", Some("seed 7 failed"))]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "lint        ok           1.5");
        assert_eq!(lines[2], "simulation  FAILED       1.5");
        assert_eq!(lines[4], "simulation: FAILED: seed 7 failed");
        let flaky = Outcome { flaky: vec!["FLAKY 2/2 a_test".to_owned()], ..outcome("lint", None) };
        assert!(table(&[flaky]).contains("lint: passed at its second try, and wants to be mended: FLAKY 2/2 a_test"));
    }

    #[test]
    fn a_step_that_fails_is_an_outcome_and_not_the_end() {
        let step = Step { name: "broken", run: |_| bail!("on purpose") };
        let end = take(&step, Path::new(".")).end;
        assert_eq!((end.word(), end.why()), ("FAILED", Some("on purpose")));
        let step = Step { name: "absent", run: |_| bail!(Skipped("no python".to_owned())) };
        assert_eq!(take(&step, Path::new(".")).end.word(), "SKIPPED", "a peer that is missing is not a pass");
    }

    #[test]
    fn words_that_test_does_not_know_are_refused() {
        assert!(chosen(&["--fast".to_owned()]).is_err_and(|error| error.to_string().contains("peer: Chromium")));
        assert!(chosen(&["lint".to_owned(), "--fast".to_owned()]).is_err());
    }

    #[test]
    fn steps_are_taken_by_a_word_of_their_names_and_all_of_them_without_one() {
        let names = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            chosen(&words).unwrap().iter().map(|step| step.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["Autobahn", "lint"]), ["lint", "peer: Autobahn (RFC 6455)"]);
        assert_eq!(names(&[]).len(), STEPS.len());
    }
}
