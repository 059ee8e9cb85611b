//! `cargo xtask lint`: what a tool can check, a tool checks.
//!
//! ```text
//! files -> Tree (tokens, test code marked) -> each lint -> findings: file:line and a sentence -> exit code
//! ```
//!
//! Every lint is a pure function from sources to findings, with a test that shows that it bites.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{built, run};
use source::Source;

mod imports;
mod licences;
mod purity;
mod scripts;
mod sizes;
mod source;
mod walks;
mod words;

pub(crate) const HELP: &str = "\
cargo xtask lint [NAME...]

All lints, or those named:
  fmt        cargo fmt --check
  clippy     cargo clippy --workspace --all-targets, warnings are errors
  imports    which room of crates/server may use which (the table is xtask/src/lint/imports.rs)
  sizes      files: a warning above 400 lines, an error above 800; functions: an error above 70
  purity     core has no I/O, clock, thread, randomness; core and scenario forbid unsafe code
  words      no #[allow], no #[ignore], no unbounded channel, no sleep in a test
  scripts    TypeScript: no way round the compiler, no sleep in a test, no markup from text, no other origin
  licences   licences, bans and sources of every dependency, from deny.toml
  walks      the functions that ARCHITECTURE.md names in its two walks exist";

const FMT_WITHIN: Duration = Duration::from_secs(120);
const CLIPPY_WITHIN: Duration = Duration::from_secs(20 * 60);

/// Directories whose files are ours.
const OURS: [&str; 9] = [".ci", "bench", "console", "crates", "deploy", "docs", "fuzz", "sdk", "xtask"];
/// Directories that hold what tools made.
const MADE: [&str; 3] = ["dist", "node_modules", "target"];

/// What a lint has to say about one place.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    weight: Weight,
    file: String,
    /// Counted from 1; 0 where the whole file is meant.
    line: usize,
    /// What is wrong, and what would be right.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// Shown.
    Warning,
    /// Shown, and the lint fails.
    Error,
}

impl Finding {
    fn error(file: &str, line: usize, text: String) -> Self {
        Self { weight: Weight::Error, file: file.to_owned(), line, text }
    }

    fn warning(file: &str, line: usize, text: String) -> Self {
        Self { weight: Weight::Warning, file: file.to_owned(), line, text }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Warning => "warning",
            Weight::Error => "error",
        };
        match self.line {
            0 => write!(f, "{weight}: {}: {}", self.file, self.text),
            line => write!(f, "{weight}: {}:{line}: {}", self.file, self.text),
        }
    }
}

/// What all lints read.
struct Tree {
    /// Every Rust file of ours.
    rust: Vec<Source>,
    /// Every text file of ours that people write (Rust too): path and number of lines.
    sizes: Vec<(String, usize)>,
    /// Every TypeScript and JavaScript file of SDK and pages: path and text.
    scripts: Vec<(String, String)>,
}

/// The lints, in the order of what they cost.
const LINTS: [(&str, Lint); 9] = [
    ("fmt", Lint::Command(fmt_check)),
    ("imports", Lint::Tree(imports::check)),
    ("sizes", Lint::Tree(sizes::check)),
    ("purity", Lint::Tree(purity::check)),
    ("words", Lint::Tree(words::check)),
    ("scripts", Lint::Tree(scripts::check)),
    ("walks", Lint::Root(walks::check)),
    ("licences", Lint::Root(licences::check)),
    ("clippy", Lint::Command(clippy)),
];

#[derive(Clone, Copy)]
enum Lint {
    /// Another program decides, and shows its findings itself.
    Command(fn(&Path) -> Result<()>),
    /// Reads the sources alone.
    Tree(fn(&Tree) -> Vec<Finding>),
    /// Reads the sources and other files of the workspace.
    Root(fn(&Path, &Tree) -> Result<Vec<Finding>>),
}

pub(crate) fn run(root: &Path, names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| LINTS.iter().all(|(known, _)| known != name)) {
        bail!("there is no lint `{unknown}`\n\n{HELP}");
    }
    let tree = read(root)?;
    let mut failed = Vec::new();
    for (name, lint) in LINTS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        if passes(root, &tree, lint)? {
            println!("lint {name}: ok");
        } else {
            println!("lint {name}: FAILED");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("lints failed: {}", failed.join(", "));
    }
    Ok(())
}

fn passes(root: &Path, tree: &Tree, lint: Lint) -> Result<bool> {
    let findings = match lint {
        Lint::Command(run) => {
            let result = run(root);
            if let Err(error) = &result {
                println!("error: {error:#}");
            }
            return Ok(result.is_ok());
        }
        Lint::Tree(check) => check(tree),
        Lint::Root(check) => check(root, tree)?,
    };
    for finding in &findings {
        println!("{finding}");
    }
    Ok(findings.iter().all(|finding| finding.weight != Weight::Error))
}

fn fmt_check(root: &Path) -> Result<()> {
    run::stream(run::bare_cargo(root).args(["fmt", "--all", "--check"]), FMT_WITHIN)
}

fn clippy(root: &Path) -> Result<()> {
    let mut command = built::cargo(root, "clippy");
    // With shuttle's locks in place of std's: the unit tests are the same, and those that need shuttle are there too.
    command.args(["--workspace", "--all-targets", "--features", "lychgate/shuttle", "--", "-D", "warnings"]);
    run::stream(&mut command, CLIPPY_WITHIN)
}

fn read(root: &Path) -> Result<Tree> {
    let mut tree = Tree { rust: Vec::new(), sizes: Vec::new(), scripts: Vec::new() };
    for directory in OURS {
        let directory = root.join(directory);
        if directory.is_dir() {
            read_directory(root, &directory, &mut tree)?;
        }
    }
    mark_test_modules(&mut tree.rust);
    Ok(tree)
}

/// A module declared under `#[cfg(test)]` is test code with everything below it, whatever its file is called.
fn mark_test_modules(sources: &mut [Source]) {
    let modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in sources {
        let within = |module: &String| {
            let rest = source.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if modules.iter().any(within) {
            source.mark_as_test();
        }
    }
}

fn read_directory(root: &Path, directory: &Path, tree: &mut Tree) -> Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(directory)?.collect::<std::io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if !MADE.iter().any(|made| name == *made) {
                read_directory(root, &path, tree)?;
            }
            continue;
        }
        let extension = path.extension().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
        if !matches!(extension, "rs" | "ts" | "tsx" | "js" | "mjs" | "css" | "html" | "py" | "sh" | "lua") {
            continue;
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        let relative = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
        // What is generated says so first; its size is that of what it is made from.
        if !text.starts_with("// Made from ") {
            tree.sizes.push((relative.clone(), text.lines().count()));
        }
        let is_of_pages = relative.starts_with("sdk/") || relative.starts_with("console/");
        match extension {
            "rs" => tree.rust.push(Source::new(&relative, &text)),
            "ts" | "tsx" | "js" | "mjs" if is_of_pages => tree.scripts.push((relative, text)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_lint_is_refused_and_the_known_ones_are_named() {
        let error = run(Path::new("."), &["import".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`import`") && error.contains("walks"), "{error}");
    }

    #[test]
    fn a_warning_lets_a_lint_pass_and_an_error_does_not() {
        let tree = Tree { rust: Vec::new(), sizes: Vec::new(), scripts: Vec::new() };
        let warns = Lint::Tree(|_| vec![Finding::warning("a.rs", 1, "long".to_owned())]);
        let fails = Lint::Tree(|_| vec![Finding::error("a.rs", 0, "too long".to_owned())]);
        assert!(passes(Path::new("."), &tree, warns).unwrap());
        assert!(!passes(Path::new("."), &tree, fails).unwrap());
    }

    #[test]
    fn a_module_declared_for_tests_is_test_code_with_all_below_it() {
        let file = |path| Source::new(path, "mod inner; fn f() {}");
        let mut sources = [
            Source::new("crates/server/src/sink.rs", "#[cfg(test)]\npub(crate) mod recorder;\nmod real;"),
            file("crates/server/src/sink/recorder.rs"),
            file("crates/server/src/sink/recorder/inner.rs"),
            file("crates/server/src/sink/recorders.rs"),
            file("crates/server/src/sink/real.rs"),
        ];
        mark_test_modules(&mut sources);
        assert_eq!(sources.each_ref().map(|source| source.is_test(0)), [true, true, true, false, false]);
    }

    #[test]
    fn the_tree_holds_our_sources_and_not_what_tools_made() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let tree = read(root).unwrap();
        assert!(tree.rust.iter().any(|source| source.path == "xtask/src/lint/mod.rs"));
        assert!(tree.rust.iter().any(|source| source.path == "crates/core/src/lib.rs"));
        assert!(tree.sizes.iter().all(|(path, _)| !path.contains("node_modules") && !path.starts_with("target")));
    }
}
