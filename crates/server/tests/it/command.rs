//! The program's other commands, run as people run them.

use std::process::{Command, Output};

use serde_json::Value;

use crate::gateway::soon;

/// Runs `lychgate` with these arguments and variables, and nothing else of this process's environment.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    run_as(Command::new(env!("CARGO_BIN_EXE_lychgate")), arguments, variables).await
}

/// The same by another command, which is given the arguments.
pub(crate) async fn run_as(mut command: Command, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    command.args(arguments).env_clear().envs(variables.iter().copied());
    let output = soon(tokio::task::spawn_blocking(move || command.output())).await.unwrap().unwrap();
    Said::of(&output)
}

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Standard output as one JSON value per line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.out.lines().map(parse).collect()
    }
}
