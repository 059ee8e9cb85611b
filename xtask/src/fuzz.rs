//! `cargo xtask fuzz`: every target of `fuzz/` against libFuzzer for a while.
//!
//! ```text
//! fuzz/Cargo.toml [[bin]] --cargo build, instrumented--> target/fuzz/.../NAME target/fuzz/corpus/NAME fuzz/seeds/NAME
//!                                                             a finding: target/fuzz/findings/NAME-..., exit code 1
//! ```
//!
//! The instrumentation is a flag that the pinned toolchain has; neither nightly nor cargo-fuzz is needed. What a run has
//! found worth keeping stays in `target/fuzz/corpus`, so that the next one begins where it ended.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::test::Skipped;
use crate::{install, run};

pub(crate) const HELP: &str = "\
cargo xtask fuzz [--seconds N] [NAME...]

Builds the fuzz targets of fuzz/, or those named, and runs each for 20 s, those of the doors (token) for 60 s, or all for N. A finding is written to target/fuzz/findings;
give its path to the program in target/fuzz to see it again.";

const BUILD_WITHIN: Duration = Duration::from_secs(20 * 60);
/// Beyond the time for fuzzing: to load the corpus, and to end.
const MARGIN: Duration = Duration::from_secs(120);

/// Targets that read what strangers send.
const AT_THE_DOORS: [&str; 1] = ["token"];

/// What makes libFuzzer see which way an input went.
const INSTRUMENTED: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
     -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// What is asked for on the command line.
struct Wish {
    /// For each target; its usual time where nothing is said.
    seconds: Option<u64>,
    names: Vec<String>,
}

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let wish = Wish::parse(args)?;
    // libFuzzer is written in C++.
    install::program("c++", "g++").map_err(|error| missing(&error, std::env::var_os("CI").is_some()))?;
    let folder = root.join("fuzz");
    let targets = wish.targets(&std::fs::read_to_string(folder.join("Cargo.toml"))?)?;
    let home = run::target_dir(root)?.join("fuzz");
    let host = host()?;
    let mut build = run::cargo(root, "build");
    build
        .env("RUSTFLAGS", INSTRUMENTED)
        // With a target, what runs while building is not instrumented.
        .args(["--release", "--target", &host, "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&home);
    for target in &targets {
        build.args(["--bin", target]);
    }
    run::stream(&mut build, BUILD_WITHIN)?;
    for target in &targets {
        let program = home.join(&host).join("release").join(target);
        fuzz(&program, target, &home, &folder.join("seeds").join(target), wish.seconds(target))?;
    }
    Ok(())
}

/// A machine of one's own may do without; one that checks for everybody must not pass without having fuzzed.
fn missing(error: &anyhow::Error, in_ci: bool) -> anyhow::Error {
    match in_ci {
        true => anyhow!("{error:#}"),
        false => Skipped(format!("{error:#}")).into(),
    }
}

fn fuzz(program: &Path, target: &str, home: &Path, seeds: &Path, seconds: u64) -> Result<()> {
    let corpus = home.join("corpus").join(target);
    let findings = home.join("findings");
    for folder in [&corpus, &findings] {
        std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    }
    let mut prefix = OsString::from("-artifact_prefix=");
    prefix.push(findings.join(format!("{target}-")));
    let mut command = Command::new(program);
    command.arg(&corpus).arg(seeds).arg(prefix).args([
        &format!("-max_total_time={seconds}"),
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-verbosity=0",
        "-print_final_stats=1",
    ]);
    run::stream(&mut command, Duration::from_secs(seconds) + MARGIN)
}

impl Wish {
    fn parse(args: &[String]) -> Result<Self> {
        let mut wish = Self { seconds: None, names: Vec::new() };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seconds" => {
                    let seconds = words.next().and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
                    wish.seconds = Some(seconds.context("--seconds needs a number above 0")?);
                }
                option if option.starts_with('-') => bail!("fuzz does not know `{option}`\n\n{HELP}"),
                name => wish.names.push(name.to_owned()),
            }
        }
        Ok(wish)
    }

    /// How long a target runs: longer where it stands at a door that anybody may knock at.
    fn seconds(&self, target: &str) -> u64 {
        self.seconds.unwrap_or(if AT_THE_DOORS.contains(&target) { 60 } else { 20 })
    }

    /// The targets of the manifest that were asked for; all of them where none was named.
    fn targets(&self, manifest: &str) -> Result<Vec<String>> {
        let manifest: toml::Table = manifest.parse()?;
        let binaries = manifest.get("bin").and_then(toml::Value::as_array).context("fuzz/Cargo.toml has no [[bin]]")?;
        let all: Vec<&str> = binaries.iter().filter_map(|binary| binary.get("name")?.as_str()).collect();
        if let Some(unknown) = self.names.iter().find(|name| !all.contains(&name.as_str())) {
            bail!("there is no fuzz target `{unknown}`; there are: {}", all.join(", "));
        }
        let asked = |name: &&str| self.names.is_empty() || self.names.iter().any(|other| other == name);
        Ok(all.into_iter().filter(asked).map(str::to_owned).collect())
    }
}

/// What this machine is called, such as `x86_64-unknown-linux-gnu`.
fn host() -> Result<String> {
    let said = run::capture(Command::new("rustc").arg("-vV"), Duration::from_secs(60))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say what this machine is called")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[[bin]]\nname = \"a\"\n[[bin]]\nname = \"b\"\n";

    fn targets(words: &[&str]) -> Result<Vec<String>> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Wish::parse(&words)?.targets(MANIFEST)
    }

    #[test]
    fn every_target_is_fuzzed_unless_some_are_named() {
        assert_eq!(targets(&[]).unwrap(), ["a", "b"]);
        assert_eq!(targets(&["--seconds", "5", "b"]).unwrap(), ["b"]);
    }

    #[test]
    fn what_strangers_send_is_fuzzed_for_longer_unless_a_time_is_given() {
        let seconds = |words: &[&str], target: &str| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            Wish::parse(&words).unwrap().seconds(target)
        };
        assert_eq!((seconds(&[], "token"), seconds(&[], "sse")), (60, 20));
        assert_eq!((seconds(&["--seconds", "5"], "token"), seconds(&["--seconds", "5"], "sse")), (5, 5));
    }

    #[test]
    fn a_compiler_that_is_missing_skips_the_step_here_and_fails_it_in_ci() {
        let error = anyhow!("`c++` is needed");
        assert!(missing(&error, false).is::<Skipped>());
        assert!(!missing(&error, true).is::<Skipped>());
    }

    #[test]
    fn words_that_fuzz_does_not_know_are_refused() {
        for words in [&["c"][..], &["--fast"], &["--seconds"], &["--seconds", "0"], &["--seconds", "soon"]] {
            assert!(targets(words).is_err(), "{words:?}");
        }
    }
}
