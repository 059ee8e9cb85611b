//! Nothing secret is in a log: searches what the gateways of the whole test run wrote to standard error for everything
//! secret that the tests used.
//!
//! ```text
//! the tests (tests/it/record.rs, scenario's live plans) -> target/test-record/*.log, *.secrets -> search -> file:line of a leak
//! ```
//!
//! Beside what was noted, whatever has the shape of a token is a leak, whoever made it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run;

/// Tells tests where to record; see [`directory`].
pub(crate) const VARIABLE: &str = "LYCHGATE_TEST_RECORD";

/// What a run of all tests leaves at least; less means that it was not recorded, and nothing would be found.
const LEAST_LOGS: usize = 100;
const LEAST_SECRETS: usize = 200;

/// How a JSON Web Token begins: `{"` in base64.
const TOKEN: &str = "eyJ";

/// Where tests record.
pub(crate) fn directory(root: &Path) -> Result<PathBuf> {
    Ok(run::target_dir(root)?.join("test-record"))
}

/// Empties the directory, before a run of all tests.
pub(crate) fn begin(root: &Path) -> Result<()> {
    let directory = directory(root)?;
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| format!("could not empty {}", directory.display()))?;
    }
    fs::create_dir_all(&directory).with_context(|| format!("could not make {}", directory.display()))
}

/// Searches what was recorded.
pub(crate) fn run(root: &Path) -> Result<()> {
    let found = search(&directory(root)?)?;
    if found.logs < LEAST_LOGS || found.secrets < LEAST_SECRETS {
        bail!(
            "only {} logs and {} secrets were recorded: the tests did not run, or do not record",
            found.logs,
            found.secrets
        );
    }
    match found.leaks.is_empty() {
        true => {
            println!("{} logs searched for {} secrets: none is in them", found.logs, found.secrets);
            Ok(())
        }
        false => bail!("something secret is in a log:\n{}", found.leaks.join("\n")),
    }
}

struct Found {
    logs: usize,
    secrets: usize,
    /// Where, and the beginning of what.
    leaks: Vec<String>,
}

fn search(directory: &Path) -> Result<Found> {
    let mut found = Found { logs: 0, secrets: 0, leaks: Vec::new() };
    let mut names: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| format!("nothing was recorded in {}", directory.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    names.sort();
    let with =
        |ending: &'static str| names.iter().filter(move |path| path.extension().is_some_and(|end| end == ending));
    for log in with("log") {
        let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
        // The secrets of the process that started this gateway: `it-12-3.log` goes with `it-12.secrets`.
        let process =
            log.file_stem().and_then(|name| name.to_str()?.rsplit_once('-')).map_or("", |(process, _)| process);
        let secrets = noted(&directory.join(format!("{process}.secrets")))?;
        found.logs += 1;
        for (number, line) in text.lines().enumerate() {
            let secret = secrets.iter().find(|secret| line.contains(secret.as_str()));
            if let Some(secret) = secret.cloned().or_else(|| token(line)) {
                let begin: String = secret.chars().take(24).collect();
                found.leaks.push(format!("{}:{}: {begin:?}...", log.display(), number + 1));
            }
        }
    }
    for secrets in with("secrets") {
        found.secrets += noted(secrets)?.len();
    }
    Ok(found)
}

/// Every secret as it is, and as it stands in a JSON string; none where a process used none.
fn noted(file: &Path) -> Result<BTreeSet<String>> {
    let text = if file.exists() { fs::read_to_string(file)? } else { String::new() };
    let mut secrets = BTreeSet::new();
    for line in text.lines() {
        let secret: String = serde_json::from_str(line).with_context(|| format!("{} is garbled", file.display()))?;
        secrets.insert(line.trim_matches('"').to_owned());
        // A secret of several lines stands in none of them.
        secrets.extend(secret.lines().filter(|part| part.len() >= 12).map(str::to_owned));
    }
    Ok(secrets)
}

/// Whatever looks like a signed token: three parts, of which the first is JSON.
fn token(line: &str) -> Option<String> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    let shape = |(at, _): (usize, &str)| {
        let text: String = line[at..].chars().take_while(|char| is_part(*char) || *char == '.').collect();
        let parts: Vec<&str> = text.split('.').collect();
        (parts.len() >= 3 && parts[..2].iter().all(|part| part.len() >= 10)).then_some(text)
    };
    line.match_indices(TOKEN).find_map(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record with these lines in a log, and one secret.
    fn leaks(name: &str, line: &str) -> Vec<String> {
        let directory = std::env::temp_dir().join(format!("lychgate-secrets-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("it-7.secrets"), "\"a key \\\"of\\\" the tests\"\n").unwrap();
        fs::write(directory.join("it-7-0.log"), format!("a line\n{line}\n")).unwrap();
        let found = search(&directory).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(found.logs, 1);
        found.leaks
    }

    #[test]
    fn a_planted_leak_is_found_with_its_line() {
        let found = leaks("plain", r#"user=ann token=a key "of" the tests"#);
        assert!(found.len() == 1 && found[0].contains("it-7-0.log:2"), "{found:?}");
        assert_eq!(leaks("json", r#"{"fields":{"key":"a key \"of\" the tests"}}"#).len(), 1);
    }

    #[test]
    fn a_token_that_nobody_noted_is_found_by_its_shape() {
        assert_eq!(leaks("token", "refused eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl").len(), 1);
        assert!(leaks("clean", "thread=eyJ, user=ann, run=eyJhbGciOiJIUzI1NiJ9").is_empty());
    }
}
