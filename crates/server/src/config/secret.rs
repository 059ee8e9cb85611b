//! What a configuration reads besides itself: environment variables and files that hold secrets.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use super::error::Fault;

/// The largest file that holds one secret. Whoever names a disk image by mistake gets a sentence instead of a wait.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// The world outside the configuration.
pub(super) struct Outside<'a> {
    pub(super) environment: &'a BTreeMap<OsString, OsString>,
}

impl Outside<'_> {
    /// The secret in the environment variable that `key` names.
    pub(super) fn variable(&self, key: &str, name: &str) -> Result<String, Fault> {
        let wrong = |what: &str| {
            Fault::value(
                key,
                format!("names the environment variable {name}, which {what}"),
                format!("Set {name} before starting, or name another variable."),
            )
        };
        match self.environment.get(&OsString::from(name)) {
            None => Err(wrong("is not set")),
            Some(value) => match value.to_str() {
                None => Err(wrong("is not UTF-8 text")),
                Some("") => Err(wrong("is empty")),
                Some(text) => Ok(text.to_owned()),
            },
        }
    }

    /// The secret in the file that `key` names, without the line break at its end.
    pub(super) fn file(&self, key: &str, path: &Path) -> Result<String, Fault> {
        let wrong = |what: String| {
            Fault::value(
                key,
                format!("names the file {}, which {what}", path.display()),
                "Make the file readable for this process and put nothing but the secret into it.",
            )
        };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|error| wrong(format!("cannot be opened: {error}")))?;
        match file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text) {
            Err(error) => Err(wrong(format!("cannot be read: {error}"))),
            Ok(read) if read as u64 > MAX_SECRET_BYTES => Err(wrong("is larger than 64 KiB".to_owned())),
            Ok(_) => {
                let line = text.strip_suffix('\n').unwrap_or(&text);
                let secret = line.strip_suffix('\r').unwrap_or(line);
                match secret {
                    "" => Err(wrong("is empty".to_owned())),
                    secret => Ok(secret.to_owned()),
                }
            }
        }
    }
}
