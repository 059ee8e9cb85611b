//! `lychgate admin-key`: a key for the operators' API, shown once.

use clap::{Args, ValueEnum};

use super::print;
use crate::api::OperatorKey;
use crate::config::Config;
use crate::error::Error;

#[derive(Debug, Args)]
pub(super) struct AdminKeyArgs {
    /// What the audit log calls whoever uses it: 1 to 64 letters, digits, dots, dashes and underscores
    name: String,
    /// What it may do: `read` may look, `write` may also change
    #[arg(long, value_enum, default_value_t = RoleArg::Read)]
    role: RoleArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleArg {
    Read,
    Write,
}

impl RoleArg {
    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

pub(super) fn run(args: AdminKeyArgs) -> Result<(), Error> {
    let key = OperatorKey::generate()
        .map_err(|error| Error::System { what: "no random numbers", source: std::io::Error::other(error) })?;
    let lines = lines(&args.name, args.role.as_str(), &key);
    // A name that the configuration refuses is refused here, before anybody copies it.
    Config::from_toml(&format!("auth.jwt.secret = \"{}\"\n{lines}", key.hash()))
        .map_err(|error| Error::Usage(format!("NAME {:?}: {error}", args.name)))?;
    print(&format!(
        "The key, shown this once; whoever has it may {} as {:?}:\n\n{}\n\nFor the configuration, which holds its hash alone:\n\n{lines}",
        match args.role {
            RoleArg::Read => "look",
            RoleArg::Write => "look and change",
        },
        args.name,
        key.reveal()
    ))
}

fn lines(name: &str, role: &str, key: &OperatorKey) -> String {
    // In TOML a name with a dot in it would be two.
    let name = if name.contains('.') { format!("{name:?}") } else { name.to_owned() };
    format!("[admin.keys.{name}]\nhash = \"{}\"\nrole = \"{role}\"\n", key.hash())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;

    #[test]
    fn the_lines_are_a_configuration_and_hold_no_key() {
        let key = OperatorKey::generate().unwrap();
        for name in ["ops", "a.b", "ci-1_x"] {
            let lines = lines(name, "write", &key);
            let config = Config::from_toml(&format!("auth.jwt.secret = \"{}\"\n{lines}", "x".repeat(32))).unwrap();
            assert_eq!(config.admin.keys[name].role, Role::Write);
            assert!(!lines.contains(key.reveal()));
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused_before_it_is_copied() {
        for name in ["", "two words", "\"", "ü", "a]\nb = 1\n[c", &"x".repeat(65)] {
            let error = run(AdminKeyArgs { name: name.to_owned(), role: RoleArg::Read }).unwrap_err();
            assert!(error.to_string().contains("NAME"), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
