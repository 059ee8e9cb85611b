//! `lychgate check-config` on the shipped default and on broken files: what it prints is written down beside each file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// With this variable set, what is printed becomes what is expected; read the difference before it is committed.
const RENEW: &str = "RENEW_GOLDEN_FILES";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/check_config")
}

fn check(file: &Path, environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lychgate"))
        .args(["check-config", "--config"])
        .arg(file.file_name().unwrap())
        .current_dir(file.parent().unwrap())
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn every_broken_file_is_told_what_is_wrong_where_and_what_would_be_right() {
    let mut broken: Vec<_> = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    broken.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    broken.sort();
    assert!(broken.len() >= 10, "{broken:?}");
    for file in broken {
        let output = check(&file, &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(output.stdout.is_empty() && said.lines().count() <= 6, "{name}: {said}");
        assert!(said.contains(&format!("{name}:")), "{name} is not named with a line: {said}");
        let golden = file.with_extension("txt");
        if std::env::var_os(RENEW).is_some() {
            fs::write(&golden, &said).unwrap();
        }
        assert_eq!(said, fs::read_to_string(&golden).unwrap_or_default(), "{name}; renew with {RENEW}=1");
    }
}

#[test]
fn the_shipped_default_is_good_once_it_has_a_secret() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("default.toml");
    let output = check(&file, &[("LYCHGATE__AUTH__JWT__SECRET", "a secret of the tests, long enough for HS256")]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), "The configuration is good (default.toml).\n"));
}
