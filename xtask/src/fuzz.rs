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

Builds the fuzz targets of fuzz/, or those named, and runs each for N seconds: 60 for those that anybody on the network
reaches before he has said who he is, 20 for the others, where N is not given. As many run at once as there are cores. A
finding is written to target/fuzz/findings; give its path to the program in target/fuzz to see it again.";

/// What strangers reach: they have all the time in the world, and so their targets have more than the others.
const EXPOSED: [&str; 2] = ["handshake", "token"];
const EXPOSED_SECONDS: u64 = 60;
const SECONDS: u64 = 20;

const BUILD_WITHIN: Duration = Duration::from_secs(40 * 60);
/// Beyond the time for fuzzing: to load the corpus, and to end.
const MARGIN: Duration = Duration::from_secs(120);

/// What makes libFuzzer see which way an input went.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module \
     -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// What is asked for on the command line.
struct Wish {
    /// For each target; none leaves it to the target.
    seconds: Option<u64>,
    names: Vec<String>,
}

pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let wish = Wish::parse(args)?;
    // libFuzzer is written in C++.
    install::program("c++", "g++").map_err(|error| missing(&error, std::env::var_os("CI").is_some()))?;
    let folder = root.join("fuzz");
    let mut targets = wish.targets(&std::fs::read_to_string(folder.join("Cargo.toml"))?)?;
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
    let fuzz_one = |target: &String| {
        let program = home.join(&host).join("release").join(target);
        fuzz(&program, target, &home, &folder.join("seeds").join(target), wish.seconds_for(target))
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // Those that take equally long run together.
    targets.sort_by_key(|target| wish.seconds_for(target));
    for together in targets.chunks(cores) {
        let ends: Vec<Result<()>> = std::thread::scope(|scope| {
            let running: Vec<_> = together.iter().map(|target| scope.spawn(|| fuzz_one(target))).collect();
            let ended = |thread: std::thread::ScopedJoinHandle<'_, Result<()>>| {
                thread.join().unwrap_or_else(|_| Err(anyhow!("watching a fuzz target ended by a panic")))
            };
            running.into_iter().map(ended).collect()
        });
        ends.into_iter().collect::<Result<()>>()?;
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

    fn seconds_for(&self, target: &str) -> u64 {
        let usual = if EXPOSED.contains(&target) { EXPOSED_SECONDS } else { SECONDS };
        self.seconds.unwrap_or(usual)
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
    fn what_strangers_reach_is_fuzzed_for_a_minute_unless_told_otherwise() {
        let wish = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            Wish::parse(&words).unwrap()
        };
        assert_eq!(["handshake", "token", "sse"].map(|target| wish(&[]).seconds_for(target)), [60, 60, 20]);
        assert_eq!(wish(&["--seconds", "5"]).seconds_for("handshake"), 5);
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
