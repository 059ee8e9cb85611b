//! Where a configuration is read from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// The file that is read where `--config` names none.
const USUAL_FILE: &str = "lychgate.toml";

/// Where configuration comes from, besides the defaults.
#[derive(Clone, Default)]
pub struct Sources {
    /// A file that must exist.
    pub file: Option<PathBuf>,
    /// The environment: `LYCHGATE__SECTION__KEY`, and the variables that `secret_env` and `api_key_env` name.
    pub environment: BTreeMap<OsString, OsString>,
    /// What the command line says; it wins.
    pub arguments: Vec<Argument>,
    /// Whether a name alone logs in, without a password: for `lychgate demo`, and on loopback alone.
    pub is_demo: bool,
}

impl fmt::Debug for Sources {
    /// The file alone: the environment holds the secrets of every program that was started with it, and an argument may be
    /// an address with a key in its query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A key that was set by an argument of the command line.
#[derive(Clone, Debug)]
pub struct Argument {
    /// The argument, for error messages, for example `--listen`.
    pub flag: &'static str,
    /// The key with its sections, for example `server.listen`.
    pub key: String,
    /// Its value, spelled as in the environment.
    pub value: String,
}

impl Sources {
    /// What this process was started with: `config`, or else `lychgate.toml` in the working directory if it is there,
    /// and the environment.
    #[must_use]
    pub fn of_process(config: Option<PathBuf>) -> Self {
        let usual = || Some(PathBuf::from(USUAL_FILE)).filter(|path| path.exists());
        let file = config.or_else(usual);
        Self { file, environment: std::env::vars_os().collect(), ..Self::default() }
    }
}
